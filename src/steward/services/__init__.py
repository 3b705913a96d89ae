"""The engines that keep the promise of `steward.service`."""
