"""Export grant expenses to QuickBooks Online, page by page and each once. Off unless QUICKBOOKS_REALM_ID is set."""

import os
from decimal import Decimal

from pydantic import BaseModel, Field

from steward import (
    Cursor,
    Handler,
    Note,
    Progress,
    Record,
    Rejected,
    RetryPolicy,
    Source,
    StewardError,
    handler,
    hookimpl,
)

from . import connection, expenses


class QuickBooksExpenses(BaseModel):
    """What to export: whatever QuickBooks does not have yet."""

    dry_run: bool = Field(True, title="Only look", description="Say what would be exported, and export nothing.")


@handler(
    example=QuickBooksExpenses(dry_run=True),
    lane="jobs",
    scope="operate",
    time_limit=3600,
    retry=RetryPolicy(delays=(60.0, 120.0, 300.0, 900.0), then=3600.0, attempts=12),
)
def quickbooks_expenses(
    order: QuickBooksExpenses, found: connection.Connection, source: Source, cursor: Cursor, progress: Progress
) -> Note:
    """Export grant expenses to QuickBooks Online: those that are new, and those that it has refused before."""
    if order.dry_run:
        cursor.look(found.realm_id)
        return would_export(found, source, cursor)
    try:
        from .export import Export
    except ImportError as error:
        raise Rejected(
            "The client for QuickBooks is not installed", str(error), "pip install 'steward-tasks[quickbooks]'"
        ) from error
    cursor.take(found.realm_id, per_minute=found.batches_per_minute)
    export = Export(found, source, cursor, progress)
    export.go()
    return export.note()


def would_export(found: connection.Connection, source: Source, cursor: Cursor) -> Note:
    """Say what a run would export; nothing is asked of QuickBooks."""
    count, total, position = 0, Decimal(0), cursor.position or 0
    unreadable: list[str] = []
    while rows := expenses.after(source, position, found.since, 500):
        count += len(rows)
        for row in rows:
            try:
                total += Record("expenses", row).decimal("total_price")
                Record("expenses", row).day("purchased_at")
            except StewardError as error:
                unreadable.append(str(error))
        position = rows[-1]["id"]
    again = len(cursor.refused())
    words = f"Would export {count:,} expense{'' if count == 1 else 's'}, {total:,.2f} in all" + (
        f", and {again} refused before." if again else "."
    )
    if unreadable:
        words += f" {len(unreadable)} of them cannot be read. {unreadable[0]}"
    return Note(words, {"expenses": count, "amount": total, "refused_before": again})


@hookimpl
def register_handlers() -> list[Handler]:
    """Return the export, if a company is set."""
    return [quickbooks_expenses] if os.environ.get("QUICKBOOKS_REALM_ID") else []
