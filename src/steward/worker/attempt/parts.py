"""What every attempt of a worker shares: what it is made with, and what bounds how much is made at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from steward.documents.pdf.renderer import Renderer
from steward.mail.circuit_breaker import MailCircuitBreaker
from steward.mail.draft import MessageRoom
from steward.mail.transport import Transport
from steward.plugins.registry import Registry
from steward.storage.archive import Archive
from steward.storage.database.group_commit import GroupCommit
from steward.storage.encryption import Seal
from steward.worker.handlers.handlers import Handlers


@dataclass(frozen=True, slots=True)
class AttemptParts:
    """What every attempt of a worker shares. At most as many copies as `gate` admits are between mark and record."""

    worker: str
    ledger: GroupCommit
    registry: Registry
    handlers: Handlers
    transport: Transport
    seal: Seal
    archive: Archive
    renderer: Renderer
    spool: Path
    layouts: Executor
    makers: Executor
    gate: asyncio.Semaphore
    room: MessageRoom = field(default_factory=MessageRoom)
    lane: MailCircuitBreaker = field(default_factory=MailCircuitBreaker)
    retry_delays: tuple[float, ...] | None = None
    retries_later: bool = True
