"""The two ways from the command line to the tasks: the ledger of this machine's installation, or a running service."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from steward.cli import setup
from steward.errors import InvalidOption
from steward.model.caller import COMMAND_LINE

if TYPE_CHECKING:
    from steward.client import Client
    from steward.installation.container import Steward
    from steward.model.results import TaskResult
    from steward.model.service import Options, Query

UrlOption = Annotated[
    str, typer.Option("--url", envvar="STEWARD_URL", help="Ask the service under this address, not the data folder.")
]
ApiKeyOption = Annotated[
    str, typer.Option("--api-key", envvar="STEWARD_API_KEY", help="Key for --url; better set as variable than typed.")
]


class ServiceConnection(Protocol):
    """What the commands ask of either way. Errors are the service's own."""

    def schema(self, name: str) -> Mapping[str, Any]:
        """Return the JSON schema of a handler's payload; raises UnknownHandler."""

    def send(self, name: str, payload: Any, options: Options) -> TaskResult:
        """Hand a task over and return it."""

    def get(self, task_id: str) -> TaskResult:
        """Return the task as it stands."""

    def page(self, query: Query) -> tuple[list[TaskResult], str | None]:
        """Return a page of tasks and the cursor of the next."""

    def retry(self, task_id: str) -> TaskResult:
        """Try a task again now."""

    def cancel(self, task_id: str) -> TaskResult:
        """Stop a task."""

    def unattended(self) -> bool:
        """Whether it is known that no worker is running."""


@dataclass(frozen=True, slots=True)
class LocalConnection:
    """The ledger in the data folder, or the database that the settings name."""

    steward: Steward

    def schema(self, name: str) -> Mapping[str, Any]:
        """Return the schema; see `ServiceConnection`."""
        return self.steward.registry.get(name).payload.model_json_schema()

    def send(self, name: str, payload: Any, options: Options) -> TaskResult:
        """Hand a task over; see `ServiceConnection`."""
        accepted = self.steward.service.submit(name, payload, options)
        return accepted.result or self.steward.service.get_status(accepted.id)

    def get(self, task_id: str) -> TaskResult:
        """Return the task."""
        return self.steward.service.get_status(task_id)

    def page(self, query: Query) -> tuple[list[TaskResult], str | None]:
        """Return a page; see `ServiceConnection`."""
        page = self.steward.service.find(query)
        return list(page.tasks), page.next_cursor

    def retry(self, task_id: str) -> TaskResult:
        """Try a task again."""
        return self.steward.service.retry(task_id, by=user(), caller=COMMAND_LINE)

    def cancel(self, task_id: str) -> TaskResult:
        """Stop a task."""
        return self.steward.service.cancel(task_id, by=user(), caller=COMMAND_LINE)

    def unattended(self) -> bool:
        """Whether no worker has a lease."""
        from steward.storage.fleet import workers
        from steward.system.clock import now

        with self.steward.ledger.read() as connection:
            return not workers.living(connection, now())


@dataclass(frozen=True, slots=True)
class RemoteConnection:
    """A running service, through its HTTP interface."""

    client: Client

    def schema(self, name: str) -> Mapping[str, Any]:
        """Return the schema, or an empty one if there is no such handler: the service says so better."""
        found = (each for each in self.client.handlers() if each["name"] == name)
        return next((each["schema"] for each in found), {})

    def send(self, name: str, payload: Any, options: Options) -> TaskResult:
        """Hand a task over; see `ServiceConnection`."""
        task_id = self.client.enqueue(
            name,
            payload,
            key=options.key,
            run_at=options.run_at,
            expires_at=options.expires_at,
            priority=options.priority,
        )
        return self.client.get(task_id)

    def get(self, task_id: str) -> TaskResult:
        """Return the task."""
        return self.client.get(task_id)

    def page(self, query: Query) -> tuple[list[TaskResult], str | None]:
        """Return a page; see `ServiceConnection`."""
        return self.client.page(
            states=query.states,
            name=query.name,
            recipient=query.recipient,
            since=query.since,
            until=query.until,
            text=query.text,
            cursor=query.cursor,
            limit=query.limit,
        )

    def retry(self, task_id: str) -> TaskResult:
        """Try a task again."""
        return self.client.retry(task_id)

    def cancel(self, task_id: str) -> TaskResult:
        """Stop a task."""
        return self.client.cancel(task_id)

    def unattended(self) -> bool:
        """Not known from here."""
        return False


@contextmanager
def door(context: typer.Context, url: str, api_key: str) -> Iterator[ServiceConnection]:
    """Give the way that the options choose.

    Raises:
        InvalidOption: an address without a key.
    """
    if not url:
        with setup.opened(context) as steward:
            yield LocalConnection(steward)
        return
    if not api_key:
        raise InvalidOption(
            "--url needs a key", remedy="Set STEWARD_API_KEY to a key that `steward key create` has made there"
        )
    from steward.client import Client

    with Client(url, api_key) as client:
        yield RemoteConnection(client)


def user() -> str:
    """Return the name of whoever sits at the command line."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return "command line"
