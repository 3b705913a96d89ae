"""The commands about schedules: what is made again and again, pause it, resume it, run it now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from steward.cli import arguments, setup
from steward.cli.connection import user
from steward.cli.output import Json, at, say, say_json, say_table
from steward.model.caller import COMMAND_LINE

if TYPE_CHECKING:
    from steward.tasks.schedules.schedules import ScheduleStatus

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of a schedule, or the name of its task if it has only one.")]


def add_commands(app: typer.Typer) -> None:
    """Add `schedule list|add|pause|resume|run|delete`."""
    group = typer.Typer(
        help="See and change what is done again and again.", no_args_is_help=True, rich_markup_mode=None
    )
    group.command("list")(list_schedules)
    group.command("add", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(add)
    group.command("pause")(pause)
    group.command("resume")(resume)
    group.command("run")(run)
    group.command("delete")(delete)
    app.add_typer(group, name="schedule")


def list_schedules(context: typer.Context, as_json: Json = False) -> int:
    """List the schedules: when each is due, in words, its next time, and what became of the last one."""
    with setup.opened(context) as steward:
        found = steward.schedules.find()
    if as_json:
        say_json({"schedules": [each.as_json() for each in found]})
        return 0
    if not found:
        say("There are none. Those that plugins and settings declare are entered when a worker starts.")
        return 0
    head = ("TASK", "WHEN", "NEXT", "LAST", "ID")
    say_table(head, [(s.entry.name, s.words, _next(s), s.last.outcome if s.last else "", s.entry.id) for s in found])
    return 0


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the task.")],
    cron: Annotated[
        str, typer.Option("--cron", help="Five fields: '0 6 * * *' is every day at 06:00, '0 6 1 * *' every month.")
    ],
    zone: Annotated[
        str, typer.Option("--zone", help="Time zone, such as America/New_York. [default: STEWARD_TIME_ZONE]")
    ] = "",
    missed: Annotated[
        str, typer.Option("--missed", help="What of firings missed while nothing ran: skip, once or all.")
    ] = "once",
    period: Annotated[
        str,
        typer.Option(
            "--period",
            help="Which days each task is about: day, week, month, quarter, year, fiscal_year, to_date, since_last or "
            "as_given. [default: what --cron suggests]",
        ),
    ] = "",
    payload: Annotated[
        str | None, typer.Option("--payload", help="The fields as a JSON object; @FILE reads a file, - standard input.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Have a task made again and again: NAME --cron '0 6 1 * *' --field VALUE …"""
    with setup.opened(context) as steward:
        schema = steward.registry.get(name).payload.model_json_schema(by_alias=True)
        given = arguments.payload_of(context.args, payload, schema)
        made = steward.schedules.make(
            name, given, cron, zone, missed=missed, period=period, owner=user(), caller=COMMAND_LINE
        )
    _say(made, as_json=as_json)
    return 0


def pause(context: typer.Context, schedule: Id, as_json: Json = False) -> int:
    """Let a schedule rest until it is resumed; what falls into the rest is not missed."""
    with setup.opened(context) as steward:
        standing = steward.schedules.pause(steward.schedules.named(schedule).entry.id, user(), caller=COMMAND_LINE)
    _say(standing, as_json=as_json)
    return 0


def resume(context: typer.Context, schedule: Id, as_json: Json = False) -> int:
    """Let a schedule go on from now."""
    with setup.opened(context) as steward:
        standing = steward.schedules.resume(steward.schedules.named(schedule).entry.id, caller=COMMAND_LINE)
    _say(standing, as_json=as_json)
    return 0


def run(context: typer.Context, schedule: Id, as_json: Json = False) -> int:
    """Make a schedule's task now, beside its times."""
    with setup.opened(context) as steward:
        task_id = steward.schedules.run(steward.schedules.named(schedule).entry.id, user(), caller=COMMAND_LINE)
    if as_json:
        say_json({"id": task_id})
    else:
        say(f"{task_id}  (see it with: steward status {task_id})")
    return 0


def delete(context: typer.Context, schedule: Id) -> int:
    """Delete a schedule that a person has made; the tasks that it has made stay."""
    with setup.opened(context) as steward:
        standing = steward.schedules.named(schedule)
        steward.schedules.remove(standing.entry.id)
    say(f"deleted: {standing.entry.name}, {standing.words}")
    return 0


def _next(standing: ScheduleStatus) -> str:
    if standing.entry.paused_at is not None:
        return "paused"
    if standing.entry.ended is not None:
        return "ended"
    return at(standing.next[0]) if standing.next else "never again"


def _say(standing: ScheduleStatus, *, as_json: bool) -> None:
    if as_json:
        say_json(standing.as_json())
        return
    say(f"{standing.entry.name}  {standing.entry.id}")
    say(f"  {standing.words}")
    if standing.about:
        say(f"  about {standing.about}")
    if standing.entry.paused_at is not None:
        say("  paused")
    if standing.entry.ended is not None:
        say(f"  ended: {standing.entry.ended}")
    for each in standing.next:
        say(f"  next {each:%a %Y-%m-%d %H:%M} {standing.entry.zone}")
    if standing.days is not None:
        say(f"  the next is about {standing.days[0]} to {standing.days[1]}")
