"""Tasks as rows: accepted, claimed, attempted, delivered, found again, and forgotten in time."""
