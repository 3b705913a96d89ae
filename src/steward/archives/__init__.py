"""Those who keep the promise of `steward.archive`."""
