"""What `celery -A steward.services.celery worker -Q urgent,mail,reports,jobs,bulk` begins: a stock worker."""

from typing import Any

from steward.worker.engines.celery import stock_worker


def __getattr__(name: str) -> Any:
    # Celery looks for `app` (or `celery`); made when asked for, so that importing this module needs no settings.
    if name in ("app", "celery"):
        made = globals()["app"] = globals()["celery"] = stock_worker.stock_application()
        return made
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
