"""SMTP over kept connections."""
