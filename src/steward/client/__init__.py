"""Hands tasks over to a running Steward and asks how they fare, through HTTP; imports nothing of the server."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from steward.client.codec import as_json, error_of, json_of, task_of
from steward.errors import FieldProblem, InvalidPayload, NotFinished, StewardError, UnknownFile, Unreachable
from steward.model.results import TaskResult

TIMEOUT = 30.0
FIRST_LOOK, LONGEST_LOOK = 0.05, 1.0
"""Seconds between two looks at a task that is waited for; each is half as long again as the one before."""


class Client:
    """One Steward, reached under `url` with `key` (`steward key create` makes one). Usable by several threads.

    A request that gets no answer, or 503, is repeated for up to `patience` seconds if a repeat does nothing twice:
    what only asks, and a hand-over with an idempotency key. Errors are those of the service, `StewardError` and below.
    """

    def __init__(self, url: str, key: str, *, timeout: float = TIMEOUT, patience: float = 10.0) -> None:
        self.url, self._patience = url.rstrip("/"), patience
        headers = {"Authorization": f"Bearer {key}", "User-Agent": "steward-client"}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def enqueue(
        self,
        name: str,
        payload: Any = None,
        /,
        *,
        key: str | None = None,
        run_at: datetime | None = None,
        expires_at: datetime | None = None,
        priority: int | None = None,
        **fields: Any,
    ) -> str:
        """Hand over a task and return its id; when this returns, it is on the service's disk.

        The payload is one mapping or pydantic model, or its fields by keyword. Where it has a field that is named like
        an option, pass it as one object.

        Raises:
            InvalidPayload, InvalidOption, UnknownHandler: the request must be changed.
            KeyConflict: the key stands for another payload.
            NotPermitted: the key of this client is not known, or lacks the scope `send`.
            StorageUnavailable: nothing was accepted.
            Unreachable: there was no answer; repeat it with the same key.
        """
        if payload is not None and fields:
            given = [FieldProblem(field, "it stands beside a whole payload") for field in fields]
            raise InvalidPayload(f"{name} was given its payload twice", given)
        answer = self._ask(
            "POST",
            f"/v1/tasks/{name}",
            content=as_json(fields if payload is None else payload),
            params=_options(run_at, expires_at, priority),
            headers={"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key}),
            repeatable=key is not None,
        )
        return str(answer["id"])

    def enqueue_many(
        self,
        name: str,
        payloads: Iterable[Any],
        *,
        run_at: datetime | None = None,
        expires_at: datetime | None = None,
        priority: int | None = None,
        key: str | None = None,
    ) -> list[str]:
        """Hand over up to 10,000 payloads in one commit, all or none, and return their ids. Raises as `enqueue`.

        Under a `key` a repeat returns the same ids and makes nothing.
        """
        answer = self._ask(
            "POST",
            f"/v1/tasks/{name}/bulk",
            content=as_json(list(payloads)),
            params=_options(run_at, expires_at, priority),
            headers={"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key}),
            repeatable=key is not None,
        )
        return [str(each) for each in answer["ids"]]

    def get(self, task_id: str) -> TaskResult:
        """Return the task as it stands.

        Raises:
            UnknownTask: there is none of this id, or it is somebody else's.
        """
        return task_of(self._ask("GET", f"/v1/tasks/{task_id}", repeatable=True))

    def wait(self, task_id: str, timeout: float = 60.0) -> TaskResult:
        """Return the task once nothing more will happen to it by itself, however it ended.

        Raises:
            NotFinished: it has not after `timeout` seconds; it goes on.
            UnknownTask: there is none of this id.
        """
        until, pause, paused = time.monotonic() + timeout, FIRST_LOOK, threading.Event()
        while True:
            task = self.get(task_id)
            if task.finished:
                return task
            left = until - time.monotonic()
            if left <= 0:
                raise NotFinished(
                    f"The task is still {task.state} after {timeout:g} seconds",
                    task.error or "",
                    "It goes on; ask later",
                )
            paused.wait(min(pause, left))
            pause = min(pause * 1.5, LONGEST_LOOK)

    def find(self, *, limit: int | None = None, **filters: Any) -> Iterator[TaskResult]:
        """Yield the tasks that fit, newest first, page after page, at most `limit`. `filters` as `page`."""
        cursor, left = None, limit
        while left is None or left > 0:
            tasks, cursor = self.page(cursor=cursor, limit=500 if left is None else min(left, 500), **filters)
            yield from tasks
            left = None if left is None else left - len(tasks)
            if cursor is None:
                return

    def page(
        self,
        *,
        states: Sequence[str] = (),
        name: str | None = None,
        recipient: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        text: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> tuple[list[TaskResult], str | None]:
        """Return one page of tasks, newest first, and the cursor of the next one (None on the last).

        Raises:
            InvalidOption: a state that does not exist, a time without a zone, a cursor that is none.
        """
        given = {"name": name, "recipient": recipient, "text": text, "cursor": cursor, "limit": str(limit)}
        params: list[tuple[str, str]] = [("state", state) for state in states]
        params += [(key, value) for key, value in given.items() if value is not None]
        params += [(key, value.isoformat()) for key, value in (("since", since), ("until", until)) if value is not None]
        answer = self._ask("GET", "/v1/tasks", params=params, repeatable=True)
        return [task_of(each) for each in answer["tasks"]], answer["next_cursor"]

    def handlers(self) -> list[dict[str, Any]]:
        """Return the kinds of tasks there are: `name`, `summary`, and the `schema` and an `example` of the payload."""
        answer = self._ask("GET", "/v1/handlers", repeatable=True)
        return [dict(each) for each in answer["handlers"]]

    def cancel(self, task_id: str) -> TaskResult:
        """Stop a task that is not finished and return it; what was sent stays sent.

        Raises:
            StateConflict: it is finished.
        """
        return task_of(self._ask("POST", f"/v1/tasks/{task_id}/cancel"))

    def retry(self, task_id: str) -> TaskResult:
        """Try a task again now and return it; who got their mail does not get it again.

        Raises:
            StateConflict: its state does not allow it.
        """
        return task_of(self._ask("POST", f"/v1/tasks/{task_id}/retry"))

    def download(self, task_id: str, n: int, target: Path | str) -> Path:
        """Save file `n` of a task as `target`, or under its own name in the folder `target`; return the path.

        The file appears whole, with the checksum that the service has for it, or not at all.

        Raises:
            UnknownFile: the task has no such file.
            Unreachable: the connection broke, or the bytes are not those that were kept.
        """
        artifact = next((each for each in self.get(task_id).artifacts if each.n == n), None)
        if artifact is None:
            raise UnknownFile(f"The task '{task_id[:80]}' has no file number {n}")
        path = Path(target)
        if path.is_dir():
            path /= Path(artifact.name).name or f"file-{n}"
        draft, digest = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}"), hashlib.sha256()
        try:
            with self._http.stream("GET", f"/v1/tasks/{task_id}/artifacts/{n}") as answer, draft.open("wb") as file:
                if answer.status_code != 200:
                    answer.read()
                    raise error_of(answer.status_code, answer.content, answer.headers)
                for chunk in answer.iter_bytes():
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != artifact.sha256:
                raise Unreachable(
                    f"The file '{artifact.name}' did not arrive as it was kept", remedy="Download it again"
                )
            draft.replace(path)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        finally:
            draft.unlink(missing_ok=True)
        return path

    def _ask(self, method: str, path: str, *, repeatable: bool = False, **request: Any) -> Any:
        until, pause, paused = time.monotonic() + self._patience, 0.1, threading.Event()
        while True:
            try:
                answer = self._http.request(method, path, **request)
            except httpx.HTTPError as error:
                failure: StewardError = self._unreachable(error)
            else:
                if answer.is_success:
                    return json_of(answer.content)
                failure = error_of(answer.status_code, answer.content, answer.headers)
                if answer.status_code not in (502, 503, 504):
                    raise failure
            if not repeatable or time.monotonic() + pause > until:
                raise failure
            paused.wait(pause)
            pause = min(pause * 2, 2.0)

    def _unreachable(self, error: httpx.HTTPError) -> Unreachable:
        why = str(error) or type(error).__name__
        return Unreachable(f"There is no answer from {self.url}", why, "Check the address, and that Steward is running")


def _options(run_at: datetime | None, expires_at: datetime | None, priority: int | None) -> dict[str, str]:
    times = {name: at.isoformat() for name, at in (("run_at", run_at), ("expires_at", expires_at)) if at is not None}
    return times | ({} if priority is None else {"priority": str(priority)})
