"""Plugins: the hooks they fill, the registry that finds them, and what they run with."""
