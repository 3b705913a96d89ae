"""The HTTP interface, as JSON."""
