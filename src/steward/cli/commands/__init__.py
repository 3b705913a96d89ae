"""The commands, a module for each kind of person's work."""
