"""Names that people type, and keep: thin modules that lead to where things are now."""
