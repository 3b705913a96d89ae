"""The web door: the HTTP interface, the pages, health and metrics."""
