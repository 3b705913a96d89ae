"""Those who keep the promise of `steward.storage.archive`."""
