"""The commands for outgrowing one machine: which engine is at work, a relay of its own, and moving the ledger."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from steward.cli import setup
from steward.cli.output import Json, say, say_json, say_table

if TYPE_CHECKING:
    from steward.installation.container import Steward


def add_commands(app: typer.Typer) -> None:
    """Add `engine status`, `engine relay` and `ledger copy`."""
    engine = typer.Typer(help="The engine that performs tasks.", no_args_is_help=True)
    engine.command("status")(status)
    engine.command("relay")(relay)
    app.add_typer(engine, name="engine")
    ledger = typer.Typer(help="The ledger, where every task is recorded.", no_args_is_help=True)
    ledger.command("copy")(copy)
    app.add_typer(ledger, name="ledger")


def status(context: typer.Context, as_json: Json = False) -> int:
    """Say which engine the settings choose, who is at work, what each has in hand, and what stands still.

    After a change of STEWARD_ENGINE it shows what still lies with the engine before.
    """
    with setup.opened(context) as steward:
        found = _status(steward)
    if as_json:
        say_json(found)
        return 0
    say(f"engine  {found['engine']}")
    say(f"ledger  {found['ledger']}")
    if found["broker"]:
        say(f"broker  {found['broker']}, {found['broker_state']}; relayed by {found['relay'] or 'nobody'}")
    say(f"open    {found['open']} tasks, {found['at_broker']} of them with the broker")
    rows = [[w["id"], w["engine"], str(w["holding"])] for w in found["workers"]]
    if rows:
        say_table(["worker", "engine", "in hand"], rows)
    else:
        say("No worker is running.")
    for other in found["left"]:
        say(f"{other['tasks']} tasks are in the hand of {other['worker']}, which has ended; they are freed in seconds.")
    for lane, reason in found["stopped"].items():
        say(f"{lane} stands still: {reason}")
    return 0


def relay(
    context: typer.Context,
    parent: Annotated[int, typer.Option("--parent", hidden=True, help="End when this process does.")] = 0,
) -> int:
    """Relay due tasks to the broker, or stand ready to; for hosts where only stock Celery workers run.

    Every `steward work` with the engine celery does this too. One is at work at a time.
    """
    from steward.errors import InvalidOption

    chosen = setup.long_running(context)
    if chosen.engine != "celery":
        raise InvalidOption(
            f"The engine '{chosen.engine}' has no broker", "Its workers take due tasks themselves", "Run steward work"
        )
    from steward.worker.engines.celery import worker

    return worker.relay(chosen, parent)


def copy(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="SQLAlchemy URL of the store to copy into.")],
    as_json: Json = False,
) -> int:
    """Copy the whole ledger into another store, and prove that the copy is the same.

    Stop the service first. A copy that was interrupted goes on where it stopped when the command is given again.
    Example: steward ledger copy --to postgresql://steward@db.example.org/steward
    """
    from steward.storage.database import Ledger
    from steward.storage.maintenance import copying

    with setup.opened(context) as steward:
        target = Ledger(to)
        show = sys.stderr.isatty()

        def told(table: str, rows: int) -> None:
            if show:
                typer.echo(f"{table}: {rows}", err=True)

        try:
            copied = copying.copy(steward.ledger, target, told)
        finally:
            target.close()
        where = target.url.render_as_string()
    if as_json:
        say_json({"to": where, "copied": copied, "verified": True})
        return 0
    say_table(["table", "rows copied"], [[name, str(rows)] for name, rows in copied.items()])
    say(f"Every row is in {where}, and was compared. Set STEWARD_DATABASE_URL to it, and start the service.")
    return 0


def _status(steward: Steward) -> dict[str, Any]:
    from steward.installation.settings import hostname_of
    from steward.model.states import OPEN
    from steward.storage.fleet import leases, pauses, workers
    from steward.storage.tasks import claim, search
    from steward.system.clock import now
    from steward.worker.engines.celery import publisher

    moment = now()
    with steward.ledger.read() as connection:
        alive = workers.living(connection, moment)
        dead = claim.left_behind(connection, moment)
        stopped = {lane: why for lane, (_, why) in pauses.stopped(connection).items()}
        counts = search.counts(connection)
        at_broker = sum(n for n, _ in claim.at_broker(connection).values())
        holder = leases.holder_of(connection, publisher.DUTY, moment)
    celery = steward.settings.engine == "celery"
    return {
        "engine": steward.settings.engine,
        "ledger": steward.ledger.url.render_as_string(),
        "broker": hostname_of(steward.settings.broker_url) if celery else None,
        "broker_state": ("unreachable" if publisher.BROKER in stopped else "reachable") if celery else None,
        "relay": holder,
        "open": sum(n for state, n in counts.items() if state in OPEN),
        "at_broker": at_broker,
        "workers": [{"id": w.id, "engine": w.engine, "host": w.host, "holding": w.holding} for w in alive],
        "left": [{"worker": name, "tasks": n} for name, n in dead.items()],
        "stopped": stopped,
    }
