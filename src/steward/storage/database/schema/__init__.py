"""The ledger's tables, and how they came to be what they are."""
