"""Those who keep the promise of `steward.mail.transport`."""
