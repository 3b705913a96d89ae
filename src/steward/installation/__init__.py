"""One installation: its settings, its parts built from them, its copies, and its upkeep."""
