"""Celery behind the same interface: the ledger accepts, a broker carries ids."""
