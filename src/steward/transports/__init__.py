"""Those who keep the promise of `steward.transport`."""
