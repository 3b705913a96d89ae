"""Sets up the log: one line for each event on standard error, no traceback for what has words, and no secret."""

from __future__ import annotations

import logging
import sys

from steward.system.log_line import JsonLogFormatter, LogLineFormatter

NOISY = ("httpx", "httpcore", "alembic", "weasyprint", "fontTools", "kombu", "amqp")


def set_up(level: str, form: str = "text") -> None:
    """Send every log line of this process to standard error, as `form` says; call it once, at the start."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter((JsonLogFormatter if form == "json" else LogLineFormatter)(frames=level == "debug"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # Uvicorn's own words about its start and end double ours.
    logging.getLogger("uvicorn").setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
