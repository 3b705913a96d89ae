"""A union's training programme, made up: the application's database that the demo and the tests read.

`make(path)` writes about 4,000 members, six grants with their expenses, and the students of three years. Every name and
number is drawn from a fixed seed; addresses end in example.org; telephone numbers are from the range kept for fiction.
"""

from typing import Any, Final

from steward.cli.sample.database import CUT_OFF, SampleDatabase, draw, make
from steward.cli.sample.plans import PLANS
from steward.cli.sample.schema import SCHEMA

__all__ = ["CUT_OFF", "GRANT_REPORT", "MEMBERSHIP_SUMMARY", "SCHEMA", "SampleDatabase", "draw", "make"]

GRANT_REPORT: Final[dict[str, Any]] = {
    "grant": PLANS[0].number,
    "start": "2025-07-01",
    "end": "2026-09-30",
    "prepared_by": "Grace Hopper, grants office",
    "recipients": ["funder@example.org"],
    "formats": ["pdf", "xlsx"],
}
"""What the demo asks of `grant_report`: the first grant, from its beginning to the cut-off."""

MEMBERSHIP_SUMMARY: Final[dict[str, Any]] = {
    "start": "2026-07-01",
    "end": "2026-09-30",
    "prepared_by": "Katherine Johnson, membership office",
}
"""What the demo asks of `membership_summary`: the third quarter of 2026."""
