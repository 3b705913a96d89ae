"""Those who keep the promise of `steward.tasks.engine`: how accepted tasks reach a worker."""
