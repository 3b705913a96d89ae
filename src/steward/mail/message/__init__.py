"""The message as bytes: letter, MIME, styles inlined, pictures."""
