"""How people of a grant can stand, as the application's database says it."""

STATUSES = ("applicant", "enrolled", "active", "completed", "dropped", "withdrawn", "placed")
