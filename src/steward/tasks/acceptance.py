"""What every engine does the same: find the handler, validate, commit to the ledger, read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel

from steward.errors import FieldProblem, InvalidPayload, InvalidRequest, Rejected, SourceUnavailable, Unsupported
from steward.model.caller import PROCESS, Caller, shown_name
from steward.model.declaration.handler import Handler
from steward.model.declaration.injection import Needs, provided
from steward.model.payload import keep
from steward.model.periods import Calendar
from steward.model.results import TaskResult
from steward.model.service import AcceptedTask, HandlerLike, Options, Page, Query
from steward.model.states import State
from steward.plugins.registry import Registry
from steward.plugins.source import Source
from steward.storage.database import Connection, Ledger, transitions
from steward.storage.database.joining import joined
from steward.storage.encryption import Seal
from steward.storage.tasks import acceptance, commands, idempotency, search
from steward.system.clock import micros, new_id, now
from steward.tasks import options as options_of
from steward.tasks import task_log
from steward.tasks.awaited import AwaitedTaskService, Change
from steward.tasks.payloads import MOST_PROBLEMS, arguments, recipient, validated

LARGEST_PAYLOAD = 256 * 1024


class LedgerTaskService(AwaitedTaskService):
    """Accepts into the ledger and announces; a subclass says by whom tasks are then performed."""

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        seal: Seal,
        *,
        source: Source | None = None,
        calendar: Calendar = Calendar(),  # noqa: B008  # frozen
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        """`guard` is called before anything is accepted, and raises if there is no room to keep it."""
        self.ledger, self.registry, self._seal, self._source, self._guard = ledger, registry, seal, source, guard
        self.calendar = calendar

    def enqueue(self, func: HandlerLike, *args: Any, **kwargs: Any) -> str:
        """Accept a task; see `TaskService.enqueue`."""
        handler, connection, payload, options = self._call(func, args, kwargs)
        return self._accept(handler, payload, options, connection).id

    def schedule(self, func: HandlerLike, run_at: datetime, *args: Any, **kwargs: Any) -> str:
        """Accept a task for later; see `TaskService.schedule`."""
        handler, connection, payload, options = self._call(func, args, kwargs)
        return self._accept(handler, payload, options_of.later(options, run_at), connection).id

    def submit(self, func: HandlerLike, payload: Any, options: Options) -> AcceptedTask:
        """Accept one task; see `TaskService.submit`."""
        return self._accept(self.registry.resolve(func), payload, options)

    def enqueue_many(
        self, func: HandlerLike, payloads: Iterable[Any], *, options: Options | None = None, connection: Any = None
    ) -> list[str]:
        """Accept all payloads in one commit, or none; see `TaskService.enqueue_many`."""
        handler = self.registry.resolve(func)
        change = self._offer_many(handler, payloads, options or Options())
        ids, created = self._write(change, connection)
        if created:
            task_log.accepted(handler.name, ids, joined=connection is not None)
        return ids

    def get_status(self, task_id: str) -> TaskResult:
        """Return the task as it stands; see `TaskService.get_status`."""
        with self.ledger.read() as connection:
            return search.get(connection, task_id)

    def find(self, query: Query | None = None) -> Page:
        """Return one page of tasks; see `TaskService.find`."""
        with self.ledger.read() as connection:
            return search.find(connection, query or Query())

    def cancel(self, task_id: str, *, by: str = "", caller: Caller = PROCESS) -> TaskResult:
        """Stop a task that is not finished; see `TaskService.cancel`."""
        with self.ledger.write() as connection:
            name = search.theirs(connection, task_id, caller)
            commands.cancel(connection, task_id, now())
            _acted(connection, task_id, by or caller.name, "cancelled")
        task_log.cancelled(task_id, name, by or caller.name)
        return self.get_status(task_id)

    def retry(self, task_id: str, *, by: str = "", caller: Caller = PROCESS) -> TaskResult:
        """Try a task again now; see `TaskService.retry`."""
        with self.ledger.write() as connection:
            name = search.theirs(connection, task_id, caller)
            handler = self.registry.handlers.get(name)
            if handler is not None:  # of a plugin that is gone nothing is known, and nothing is performed
                caller.require_again(name, handler.scope)
            commands.retry(connection, task_id, now())
            _acted(connection, task_id, by or caller.name, "asked to try again")
        self._announce([task_id])
        return self.get_status(task_id)

    def prepare(self, func: HandlerLike, payload: Any, options: Options) -> acceptance.NewTask:
        """Return a task to be accepted in one commit with something else; then `announce` it. Raises as `submit`."""
        return self._entry(self.registry.resolve(func), payload, options)[0]

    def announce(self, ids: list[str], name: str = "") -> None:
        """Say that `ids`, accepted elsewhere, are due; the log is told if their handler's `name` is given."""
        task_log.accepted(name, ids if name else ())
        self._announce(ids)

    def _announce(self, ids: list[str]) -> None:
        """Say that `ids` are due. Nothing is lost if nobody hears it: the ledger has them."""

    def _refuse_unable(self, handler: Handler, options: Options) -> None:
        if options.run_at is not None and not self.abilities.schedules:
            raise Unsupported("This engine cannot schedule", self.abilities.why, "Set STEWARD_ENGINE=durable")
        if options.priority is not None and not self.abilities.priorities:
            raise Unsupported(
                "This engine performs tasks in the order in which they come",
                self.abilities.why,
                "Give no priority, or set STEWARD_ENGINE=durable",
            )

    def _accept(self, handler: Handler, payload: Any, options: Options, connection: Any = None) -> AcceptedTask:
        entry, change = self._offer(handler, payload, options)
        ids, created = self._write(change, connection)
        if created:
            task_log.accepted(handler.name, ids, joined=connection is not None)
        return AcceptedTask(ids[0], created, entry.as_result() if created else None)

    def _write(self, change: Change, connection: Any, home: tuple[Any, ...] | None = None) -> tuple[list[str], bool]:
        """Make `change` in a transaction of its own, or in the caller's: then its end is left to the caller."""
        if connection is not None:
            with joined(connection, self.ledger, home) as open_connection:
                ids, created = change(open_connection)
                if created and ids:
                    self._joined(open_connection, ids)
                    transitions.note_joined(open_connection, self.ledger.watchers, ids)
            return ids, created
        ids, created = self.ledger.apply(change)
        if created and ids:
            self._announce(ids)
        return ids, created

    def _joined(self, connection: Connection, ids: list[str]) -> None:
        """Say that `ids` are due once the transaction of `connection` is committed."""

    def _call(
        self, func: HandlerLike, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Handler, Any, Any, Options]:
        """Return the handler, the connection, the payload and the options of a call."""
        handler = self.registry.resolve(func)
        mine = "connection" in handler.payload.model_fields and not args
        connection = None if mine else kwargs.pop("connection", None)
        return (handler, connection, *arguments(handler, args, kwargs))

    def _offer(self, handler: Handler, payload: Any, options: Options) -> tuple[acceptance.NewTask, Change]:
        """Return a task and what accepts it in a transaction. What can be refused before has been."""
        self._guard()
        entry, body = self._entry(handler, payload, options)
        key = self.key_of(handler, body, options)

        def change(connection: Connection) -> tuple[list[str], bool]:
            if key is not None:
                task_id, created = idempotency.accept_once(connection, entry, key)
                return [task_id], created
            acceptance.accept(connection, [entry])
            return [entry.id], True

        return entry, change

    def _offer_many(self, handler: Handler, payloads: Iterable[Any], options: Options) -> Change:
        """Return what accepts all of them in a transaction; as `_offer`."""
        options.caller.require_ask(handler.name, handler.scope)
        self._guard()
        entries, bodies, problems = [], [], []
        for index, payload in enumerate(payloads):
            try:
                entry, body = self._entry(handler, payload, options)
                entries.append(entry)
                bodies.append(body)
            except InvalidPayload as error:
                problems += [FieldProblem(f"{index}.{p.field}", p.message, p.nearest) for p in error.problems]
                if len(problems) >= MOST_PROBLEMS:  # whoever errs so often is told the first, and waits for no more
                    break
        if problems:
            raise InvalidPayload(
                f"Some of the payloads of {handler.name} are not valid; none was accepted",
                problems[:MOST_PROBLEMS],
                f"Mend them; what comes after the first {MOST_PROBLEMS} problems was not looked at"
                if len(problems) >= MOST_PROBLEMS
                else "",
            )
        key = self.key_of(handler, bodies, options)

        def change(connection: Connection) -> tuple[list[str], bool]:
            if key is not None:
                return idempotency.accept_all_once(connection, entries, key)
            if entries:
                acceptance.accept(connection, entries)
            return [entry.id for entry in entries], True

        return change

    def key_of(self, handler: Handler, body: Sequence[Any], options: Options) -> idempotency.IdempotencyKey | None:
        """Return the key of a request with what it stands for: the name, the payload or payloads, and the options.

        Options count as they were given: what a handler adds to the moment of acceptance differs at each repeat.
        """
        text = options.key
        if text is None:
            return None
        options_of.require_key(text)
        times = [None if each is None else micros(each) for each in (options.run_at, options.expires_at)]
        said = [options.span or times, options.priority]
        whole, earlier = json.dumps([handler.name, body, said]), json.dumps([handler.name, *body])
        return idempotency.IdempotencyKey(
            options.caller.id, text, self._seal.digest(whole.encode()), self._seal.digest(earlier.encode())
        )

    def _entry(
        self, handler: Handler, payload: Any, options: Options
    ) -> tuple[acceptance.NewTask, tuple[str, list[str]]]:
        """Return a task to be accepted, and its payload apart: the text as stored, and its secrets."""
        options.caller.require_ask(handler.name, handler.scope)  # here, where every door passes
        self._refuse_unable(handler, options)
        model = validated(handler, payload)
        self.look(handler, model)
        text, secrets = keep(handler.name, handler.payload, model)
        size = len(text.encode())
        if size > LARGEST_PAYLOAD:
            raise InvalidPayload(
                f"The payload of {handler.name} is too large",
                [FieldProblem("", f"it has {size:,} bytes, and at most {LARGEST_PAYLOAD:,} are taken")],
                "Hand over a reference to the data instead of the data",
            )
        moment = now()
        due, expires = options_of.times(handler, options, moment)
        task_id = new_id()
        entry = acceptance.NewTask(
            id=task_id,
            name=handler.name,
            state=State.SCHEDULED if due > moment else State.QUEUED,
            lane=handler.lane,
            priority=options_of.priority(handler, options),
            payload=text,
            sealed=self._seal.close_texts(secrets, task_id),
            recipient=recipient(model),
            requested_by=shown_name(options_of.as_text("requested_by", options.requested_by or options.caller.name)),
            owner_id=options.caller.id,
            created_at=moment,
            due_at=due,
            expires_at=expires,
            at_most=handler.at_most,
        )
        return entry, (text, secrets)

    def look(self, handler: Handler, model: BaseModel) -> None:
        """Let the handler look at the request while its sender is still there to mend it.

        Raises:
            InvalidRequest: it cannot be taken, in the handler's words.
        """
        self._ask(handler.check, handler.check_needs, model)

    def span(self, handler: Handler, model: BaseModel) -> tuple[date | None, date | None]:
        """Return the first and the last day of what can be asked for; None: no limit is known. Raises as `look`."""
        found: tuple[date | None, date | None] | None = self._ask(handler.span, handler.span_needs, model)
        return found or (None, None)

    def _ask(self, question: Callable[..., Any] | None, needs: Needs, model: BaseModel) -> Any:
        if question is None:
            return None
        offered: dict[str, Any] = {"source": self._source, "calendar": self.calendar}
        try:
            given = provided(needs, offered)
            if None in given.values():
                return None
            return question(model, **given)
        except Rejected as error:
            raise InvalidRequest(error.what, error.why, error.remedy) from error
        except SourceUnavailable:
            return None  # the task waits for the source; the look comes again when it runs


def _acted(connection: Connection, task_id: str, by: str, action: str) -> None:
    acceptance.note_action(connection, new_id(), task_id, now(), shown_name(by), action)
