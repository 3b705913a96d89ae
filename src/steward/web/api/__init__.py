"""The interface under `/v1`: its routes, what they take and what they answer."""
