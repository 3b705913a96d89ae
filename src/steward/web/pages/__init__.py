"""The pages that people use in a browser."""
