"""The commands about tasks: hand one over, see how they fare, try again, cancel."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Annotated

import typer

from steward.cli import arguments
from steward.cli.connection import ApiKeyOption, ServiceConnection, UrlOption, door, user
from steward.cli.error_messages import FAILED, tell
from steward.cli.output import Json, at, say, say_json, say_table, say_task
from steward.model.caller import COMMAND_LINE

if TYPE_CHECKING:
    from steward.model.results import TaskResult

Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended; exit code 1 if it did not succeed.")]
Within = Annotated[float, typer.Option("--within", min=0, metavar="SECONDS", help="Seconds to wait at most.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of tasks.")]


def add_commands(app: typer.Typer) -> None:
    """Add `send`, `status`, `tasks`, `retry` and `cancel`."""
    app.command("send", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(send)
    app.command("status")(status)
    app.command("tasks")(tasks)
    app.command("retry")(retry)
    app.command("cancel")(cancel)


def send(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the task, such as welcome_email; see `steward plugins`.")
    ],
    payload: Annotated[
        str | None, typer.Option("--payload", help="The fields as a JSON object; @FILE reads a file, - standard input.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Idempotency key: the same key twice makes one task.")
    ] = None,
    run_at: Annotated[
        str | None, typer.Option("--run-at", help="Not before then: a time, or a span from now (2h).")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option("--expires-at", help="Not after then: a time, or a span from now.")
    ] = None,
    priority: Annotated[int | None, typer.Option("--priority", help="-100 to 100, higher first.")] = None,
    wait: Wait = False,
    within: Within = 300.0,
    url: UrlOption = "",
    api_key: ApiKeyOption = "",
    as_json: Json = False,
) -> int:
    """Hand over a task: NAME --field VALUE …

    It is on disk when this returns. Give a list by repeating its field, and a field that is named like an
    option through --payload.

    Example: steward send welcome_email --name Ada --email ada@example.org
    """
    from steward.errors import InvalidOption
    from steward.model.service import Options

    span = arguments.spans(run_at, expires_at)
    if url and key is not None and span:
        raise InvalidOption(
            "A key and a span from now do not go together with --url",
            "A repeat would ask for another time, and so be another request",
            "Give the time itself, such as 2026-12-01T08:00",
        )
    with door(context, url, api_key) as way:
        task = way.send(
            name,
            arguments.payload_of(context.args, payload, way.schema(name)),
            Options(
                key=key,
                expires_at=arguments.moment("expires-at", expires_at),
                priority=priority,
                run_at=arguments.moment("run-at", run_at),
                requested_by=user(),
                caller=COMMAND_LINE,
                span=span,
            ),
        )
        if wait:
            return _watch(way, task, within, as_json=as_json)
        if as_json:
            say_json(task.as_json())
        else:
            say(f"{task.name} is {task.state}: {task.id}")
            _warn_unattended(way)
        return 0


def status(
    context: typer.Context,
    task_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the task.")],
    wait: Wait = False,
    within: Within = 300.0,
    url: UrlOption = "",
    api_key: ApiKeyOption = "",
    as_json: Json = False,
) -> int:
    """Show one task: its state, each recipient's copy, its files."""
    with door(context, url, api_key) as way:
        task = way.get(task_id)
        if wait:
            return _watch(way, task, within, as_json=as_json)
        say_json(task.as_json()) if as_json else say_task(task)
        return 0


def tasks(
    context: typer.Context,
    state: Annotated[list[str] | None, typer.Option("--state", help="In this state; may be repeated.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of this kind.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="For this address.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Accepted since: a time, or a span ago (2h, 7d).")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Accepted before: a time, or a span ago.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="With this in its address, id, error or name.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="Most to list.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Where the page before ended.")] = None,
    url: UrlOption = "",
    api_key: ApiKeyOption = "",
    as_json: Json = False,
) -> int:
    """List tasks, newest first."""
    from steward.model.service import Query

    query = Query(
        states=tuple(s for each in state or () for s in each.split(",")),
        name=name,
        recipient=to,
        since=arguments.moment("since", since, back=True),
        until=arguments.moment("until", until, back=True),
        text=text,
        cursor=cursor,
        limit=limit,
    )
    with door(context, url, api_key) as way:
        found, following = way.page(query)
    if as_json:
        say_json({"tasks": [task.as_json() for task in found], "next_cursor": following})
        return 0
    if not found:
        say("There are no such tasks.")
        return 0
    rows = [
        (task.id, at(task.created_at), task.name, task.state, task.error or ", ".join(d.to for d in task.deliveries))
        for task in found
    ]
    say_table(("ID", "ACCEPTED", "NAME", "STATE", "TO, OR WHY NOT"), rows)
    if following:
        say(f"There are more: --cursor {following}")
    return 0


def retry(
    context: typer.Context, task_ids: Ids, url: UrlOption = "", api_key: ApiKeyOption = "", as_json: Json = False
) -> int:
    """Try tasks again now. Who got their mail does not get it again."""
    with door(context, url, api_key) as way:
        for task_id in task_ids:
            _say_changed(way.retry(task_id), as_json)
        _warn_unattended(way)
    return 0


def cancel(
    context: typer.Context, task_ids: Ids, url: UrlOption = "", api_key: ApiKeyOption = "", as_json: Json = False
) -> int:
    """Stop tasks that have not ended. What was sent stays sent."""
    with door(context, url, api_key) as way:
        for task_id in task_ids:
            _say_changed(way.cancel(task_id), as_json)
    return 0


def _say_changed(task: TaskResult, as_json: bool) -> None:
    if as_json:
        say_json(task.as_json())
    else:
        say(f"{task.name} is {task.state}: {task.id}")


def _watch(way: ServiceConnection, task: TaskResult, within: float, *, as_json: bool) -> int:
    """Wait for the end of `task` and print it; return the exit code."""
    if not task.finished:
        _warn_unattended(way)
    until, paused, pause = time.monotonic() + within, threading.Event(), 0.05
    while not task.finished and time.monotonic() < until:
        paused.wait(pause)
        pause = min(pause * 1.5, 1.0)
        task = way.get(task.id)
    say_json(task.as_json()) if as_json else say_task(task)
    if not task.finished:
        tell(f"It has not ended within {within:g} seconds", "", "It goes on; ask with steward status")
    return 0 if task.state == "succeeded" else FAILED


def _warn_unattended(way: ServiceConnection) -> None:
    if way.unattended():
        tell(
            "No worker is running", "What is accepted waits until one is", "Start one with steward up, or steward work"
        )
