"""Tasks that are asked for again and again."""
