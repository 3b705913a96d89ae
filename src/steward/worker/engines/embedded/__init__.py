"""The default engine: each worker performs in threads of its own what its dispatcher has claimed."""
