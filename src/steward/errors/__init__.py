"""Every error this service raises, each saying what failed, why, and the remedy.

StewardError
├── InvalidRequest (ValueError)         the caller must change something
│   ├── UnknownHandler (LookupError)
│   ├── NotAHandler (TypeError)
│   ├── InvalidPayload                  carries one FieldProblem per field
│   ├── InvalidOption
│   └── Unsupported (NotImplementedError)   this engine declares that it cannot
├── NotFound (LookupError)              there is none of this name or id, or it is somebody else's
│   ├── UnknownTask
│   ├── UnknownFile
│   ├── UnknownSchedule
│   ├── UnknownKey
│   └── UnknownUser
├── Conflict                            the store says no: a key in use, a state that does not allow it
│   ├── KeyConflict
│   └── StateConflict
├── NotPermitted (PermissionError)
│   └── MissingScope
├── RateLimited
├── ConfigurationError (RuntimeError)
│   ├── MissingExtra (ImportError)
│   ├── NewerStore
│   └── PluginError
├── StorageUnavailable (OSError)
│   ├── StorageBusy
│   └── StorageFull
├── BrokerUnavailable (OSError)
├── SourceUnavailable (OSError)
├── Unreachable (OSError)               raised by the client: no answer, and what was sent may have been accepted
├── NotFinished (TimeoutError)          raised by the client: waiting has an end, the task goes on
├── TaskError (RuntimeError)            raised while a task is performed
│   ├── Rejected                        final: a retry cannot help; with UnreadableData below it
│   ├── TemplateError
│   ├── UnsafeMail
│   └── RenderFailed                    with RenderLimitExceeded below it
└── LateWriter                          an attempt that was given to another worker tried to write
"""

from __future__ import annotations

from collections.abc import Sequence

from steward.errors.field_problem import FieldProblem as FieldProblem


class StewardError(Exception):
    """The root. `what` failed, `why`, and the `remedy`; each a sentence without its final stop, or empty."""

    kind = "error"

    def __init__(self, what: str, why: str = "", remedy: str = "") -> None:
        self.what, self.why, self.remedy = what, why, remedy
        super().__init__(what, why, remedy)

    def __str__(self) -> str:
        parts = (part.rstrip(".") for part in (self.what, self.why, self.remedy) if part)
        return " ".join(part if part.endswith(("?", "!")) else f"{part}." for part in parts)


class InvalidRequest(StewardError, ValueError):
    """The request cannot be accepted as it stands."""

    kind = "invalid-request"


class UnknownHandler(InvalidRequest, LookupError):
    """No registered handler has this name."""

    kind = "unknown-handler"


class NotAHandler(InvalidRequest, TypeError):
    """What was handed over is not a registered handler: a lambda, a closure, a plain function."""

    kind = "not-a-handler"


class InvalidPayload(InvalidRequest):
    """The payload does not fit the handler's model; `more` problems beside those that are named were counted."""

    kind = "invalid-payload"

    def __init__(self, what: str, problems: Sequence[FieldProblem] = (), remedy: str = "", *, more: int = 0) -> None:
        self.problems, self.more = tuple(problems), more
        super().__init__(what, "; ".join(map(str, self.problems)), remedy)


class InvalidOption(InvalidRequest):
    """An option (run_at, expires_at, priority, key) has a value that cannot be honoured."""

    kind = "invalid-option"


class Unsupported(InvalidRequest, NotImplementedError):
    """The engine in use declares that it lacks this ability."""

    kind = "unsupported"


class NotFound(StewardError, LookupError):
    """There is none of this name or id, or it is somebody else's: the words are the same, so that nothing is learnt."""

    kind = "not-found"


class UnknownTask(NotFound):
    """No task has this id."""

    kind = "unknown-task"


class UnknownFile(NotFound):
    """A task has no file of this number, or the outbox no letter of this name."""

    kind = "unknown-file"


class UnknownSchedule(NotFound):
    """No schedule has this id."""

    kind = "unknown-schedule"


class UnknownKey(NotFound):
    """No key in use has this id or name."""

    kind = "unknown-key"


class UnknownUser(NotFound):
    """Nobody of this name may sign in."""

    kind = "unknown-user"


class Conflict(StewardError):
    """The store's present state does not allow the request."""

    kind = "conflict"


class KeyConflict(Conflict):
    """The idempotency key already stands for another payload."""

    kind = "key-conflict"


class StateConflict(Conflict):
    """The task's state does not allow this action."""

    kind = "state-conflict"


class NotPermitted(StewardError, PermissionError):
    """The caller is not known, or lacks the scope."""

    kind = "not-permitted"


class MissingScope(NotPermitted):
    """The caller is known, and lacks the scope; `scope` names those of which any one would do."""

    kind = "missing-scope"

    def __init__(self, what: str, why: str = "", remedy: str = "", *, scope: str = "") -> None:
        self.scope = scope
        super().__init__(what, why, remedy)


class RateLimited(StewardError):
    """Too many requests; `retry_after` says in how many seconds the next one can succeed."""

    kind = "rate-limited"

    def __init__(self, what: str, why: str = "", remedy: str = "", retry_after: int = 60) -> None:
        self.retry_after = retry_after
        super().__init__(what, why, remedy)


class ConfigurationError(StewardError, RuntimeError):
    """A setting or the machine does not let the service run."""

    kind = "configuration"


class MissingExtra(ConfigurationError, ImportError):
    """An optional part is not installed; the remedy is the exact command."""

    kind = "missing-extra"


class NewerStore(ConfigurationError):
    """The store was written by a newer version of this program."""

    kind = "newer-store"


class PluginError(ConfigurationError):
    """A plugin cannot be used; the words name its file and line."""

    kind = "plugin"


class StorageUnavailable(StewardError, OSError):
    """The store cannot be written or read just now; nothing was accepted."""

    kind = "storage-unavailable"


class StorageBusy(StorageUnavailable):
    """Another process holds the store's lock; nothing was accepted."""

    kind = "storage-busy"


class StorageFull(StorageUnavailable):
    """There is no room left; nothing was accepted."""

    kind = "storage-full"


class BrokerUnavailable(StewardError, OSError):
    """The broker cannot be reached or does not answer; what was accepted waits in the ledger."""

    kind = "broker-unavailable"


class SourceUnavailable(StewardError, OSError):
    """The application's database cannot be read just now."""

    kind = "source-unavailable"


class Unreachable(StewardError, OSError):
    """The service gives no answer; whether it accepted what was sent is not known."""

    kind = "unreachable"


class NotFinished(StewardError, TimeoutError):
    """A task has not ended in the time that was given to waiting; it goes on."""

    kind = "not-finished"


class TaskError(StewardError, RuntimeError):
    """A task could not be performed."""

    kind = "task"


class Rejected(TaskError):
    """The task can never succeed as asked; raised by a handler, never retried."""

    kind = "rejected"


class UnreadableData(Rejected):
    """The application's database holds what cannot be meant; the words name its table, row and column."""

    kind = "unreadable-data"


class TemplateError(TaskError):
    """A template is missing, cannot be read, or names a variable that is not there."""

    kind = "template"


class UnsafeMail(TaskError):
    """The finished message holds a header, recipient or body that was not meant."""

    kind = "unsafe-mail"


class RenderFailed(TaskError):
    """A report could not be laid out."""

    kind = "render"


class RenderLimitExceeded(RenderFailed):
    """A render passed its limit of time, processor or memory and was stopped."""

    kind = "render-limit"


class LateWriter(StewardError):
    """An attempt that is no longer the task's own tried to record something; the write was refused."""

    kind = "late-writer"
