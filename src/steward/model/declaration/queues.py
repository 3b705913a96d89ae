"""The queues of work: each is served in its own slots, so that a long report holds up no password reset.

In a declaration, in the interface and in the ledger a task's queue is its `lane`.
"""

from __future__ import annotations

from typing import Literal

Queue = Literal["urgent", "mail", "bulk", "reports", "jobs"]
QUEUES: tuple[str, ...] = ("urgent", "mail", "reports", "jobs", "bulk")
"""In the order in which a free worker looks at them."""
