"""What the interface answers, as pydantic models."""
