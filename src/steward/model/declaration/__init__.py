"""What a plugin declares: a handler, its payload and options, and what it wants to be given."""
