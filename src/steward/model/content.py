"""What a handler asks for: e-mails, reports, tables, notes; and secrets that leave no trace."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Literal, Protocol, get_args

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from steward.errors import TaskError
from steward.model.figures import Figure, plain

MASK = "••••••••"
SHORTEST = 12
"""Characters from which a part of a secret is taken for secret itself: "https" and "example" are not."""

Context = Mapping[str, Any] | BaseModel | None


class Secret:
    """A string that is shown masked, kept encrypted, and erased when its task ends.

    `reveal()` gives the text; `str()` and `repr()` give dots. Templates print it with `{{ link.reveal() }}`.
    (`pydantic.SecretStr` would be stored, and mailed, as stars.)
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> Any:
        return (Secret, (self._text,))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            _read_secret,
            serialization=core_schema.plain_serializer_function_ser_schema(_write_secret, info_arg=True),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "password", "writeOnly": True}


class _Sealed:
    """Marks a text that is kept like a `Secret`, and is an ordinary `str` to whoever works with it."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.with_info_before_validator_function(
            _opened,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(_write_private, info_arg=True),
        )


Private = Annotated[str, _Sealed]
"""A text about a person that the record does not need, such as a name in a letter.

Templates and handlers see a `str`. In the store it is encrypted, on the pages and in errors it is dots, and it is
erased when the task ends, as a `Secret` is.
"""


def mask(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every one of `secrets` as dots, and with them whatever long part of one stands in it.

    A mail server that refuses a letter for the link within may quote it, and an exception the value it met.
    """
    for secret in secrets:
        for part in (secret, *(p for p in re.split(r"[^A-Za-z0-9_-]+", secret) if len(p) >= SHORTEST)):
            if len(part) > 3:
                text = text.replace(part, MASK)
            elif part:  # so short, it stands within other words by chance
                text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", MASK, text)
    return text


def _read_secret(value: Any, info: core_schema.ValidationInfo) -> Secret:
    # A stored payload holds {"$secret": n}; the texts themselves travel in the validation context.
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        if not value:
            raise ValueError("must not be empty")
        return Secret(value)
    opened = _opened(value, info)
    if opened is value:
        raise ValueError("must be a string")
    return Secret(opened)


def _opened(value: Any, info: core_schema.ValidationInfo) -> Any:
    texts = (info.context or {}).get("secrets")
    if texts is not None and isinstance(value, dict) and isinstance(value.get("$secret"), int):
        return texts[value["$secret"]]
    return value


def _write_secret(value: Secret, info: core_schema.SerializationInfo) -> Any:
    clear = isinstance(info.context, dict) and info.context.get("clear") is True
    return _closed(value.reveal(), info, value.reveal() if clear else MASK)


def _write_private(value: str, info: core_schema.SerializationInfo) -> Any:
    return _closed(value, info, value)


def _closed(text: str, info: core_schema.SerializationInfo, otherwise: str) -> Any:
    collected = (info.context or {}).get("secrets") if isinstance(info.context, dict) else None
    if collected is None:
        return otherwise
    collected.append(text)
    return {"$secret": len(collected) - 1}


ColumnKind = Literal["text", "integer", "decimal", "money", "percent", "date", "datetime", "boolean"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. `kind` decides alignment and number format; `width` is a share (any unit).

    A share is a wish: a column is never narrower than what it holds; without any, it follows from that.
    """

    key: str
    title: str
    kind: ColumnKind = "text"
    width: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in get_args(ColumnKind):
            near = get_close_matches(str(self.kind), get_args(ColumnKind), n=1)
            words = "".join(f"Did you mean '{n}'? " for n in near) + f"The kinds are {', '.join(get_args(ColumnKind))}"
            raise TaskError(f"The column '{self.key!s:.80}' is of no kind", f"It is {str(self.kind)!r:.80}", words)


@dataclass(frozen=True, slots=True)
class Table:
    """Named rows. The same table feeds the PDF, the CSV and the XLSX, so that they cannot disagree.

    `rows` may be a lazy iterator: it is read once. Each row is a sequence in the order of `columns`; money is
    `Decimal`, never a float.
    """

    name: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[Any]]
    title: str = ""
    total: Sequence[Any] | None = None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to send along. `content` is sent byte for byte."""

    name: str
    content: bytes
    media_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Report:
    """A document to lay out: `templates/<template>/report.html.j2` with `context`, and its tables.

    `name` is the file name without its ending. `formats` says which files are kept. A report that stands only
    among an e-mail's attachments is sent and not kept; one that the handler returns is archived. Several reports may
    have one name: whose file is whose never hangs on it, and people get names that are told apart.

    Raises:
        TaskError: two tables have one name; the template, and whoever opens the files, could not tell them apart.
    """

    template: str
    context: Context = None
    tables: Sequence[Table] = ()
    name: str = "report"
    title: str = ""
    formats: Sequence[Literal["pdf", "csv", "xlsx"]] = ("pdf",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", tuple(self.tables))
        seen: set[str] = set()
        for table in self.tables:
            if table.name in seen:
                raise TaskError(
                    f"Two tables of the report '{self.name[:80]}' are named '{table.name[:80]}'",
                    "Its template finds a table by its name, and would find one of them alone",
                    "Give each table of a report a name of its own",
                )
            seen.add(table.name)


@dataclass(frozen=True, slots=True)
class Email:
    """A letter: `templates/<template>/{subject.txt,body.txt,body.html}.j2` with `context`.

    Each recipient gets a message of their own, addressed to nobody else. `attachments` are files or reports.
    `unsubscribe` is an HTTPS address for one-click unsubscribing (RFC 8058).
    """

    to: str | Sequence[str]
    template: str
    context: Context = None
    attachments: Sequence[Attachment | Report] = ()
    reply_to: str | None = None
    unsubscribe: str | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """The addresses, in order, each once."""
        return tuple(dict.fromkeys((self.to,) if isinstance(self.to, str) else self.to))


@dataclass(frozen=True, slots=True)
class Note:
    """What a job that sends nothing did, in one sentence, with figures for programs to read.

    Raises:
        TaskError: a figure is none that JSON (RFC 8259) knows.
    """

    text: str
    figures: Mapping[str, Figure | Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plain(self.figures)


class Cursor(Protocol):
    """Ask for it as a parameter (`cursor: Cursor`) to synchronise page by page, and to go on where one was stopped.

    `take(scope)` once; then for each page `begin(page)`, send it, `commit(position, done, refused)`. What was begun
    and not committed stands in `pending` at the next attempt, to be sent again in the same words or looked for on the
    other side. Values are JSON. `look(scope)` only reads, for a dry run.
    """

    injected_as: ClassVar[str] = "cursor"
    position: Any
    pending: Any
    secret: Secret | None

    def look(self, scope: str) -> None:
        """Read position and pending page of `scope` (an account, a company) without taking the cursor."""

    def take(self, scope: str, per_minute: float | None = None) -> None:
        """Take the cursor; at most so many pages a minute are begun. One task at a time has it."""

    def begin(self, page: Any) -> None:
        """Commit that `page` is about to be sent."""

    def commit(
        self, position: Any = ..., done: Mapping[str, str] | None = None, refused: Mapping[str, str] | None = None
    ) -> None:
        """Commit that it was sent: the new position, the other side's names of items it took, reasons of others."""

    def keep(self, secret: Secret) -> None:
        """Keep a secret, sealed, for later runs."""

    def refused(self) -> dict[str, str]:
        """Return the items that were not taken last time, each with the reason."""


class Progress(Protocol):
    """Ask for it as a parameter (`progress: Progress`) to say how far a long handler has come."""

    injected_as: ClassVar[str] = "progress"

    def __call__(self, fraction: float, text: str = "") -> None:
        """Say what is being done: `fraction` from 0 to 1, `text` in the reader's words."""
