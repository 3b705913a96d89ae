"""The commands of an operator: look whether all is well, keep copies, delete what is old, see it work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from steward.cli import setup
from steward.cli.error_messages import FAILED
from steward.cli.output import Json, say, say_json

if TYPE_CHECKING:
    from steward.installation.backup import Backup
    from steward.installation.container import Steward
    from steward.installation.erasure import Erasure
    from steward.installation.settings import Settings


def add_commands(app: typer.Typer) -> None:
    """Add `check`, `backup`, `purge` and `demo`."""
    app.command("check")(check)
    app.command("backup")(backup)
    app.command("purge")(purge)
    app.command("demo")(demo)


def check(context: typer.Context, as_json: Json = False) -> int:
    """Look whether all is right: ok, warn, or FAIL with the remedy.

    The exit code is 1 if anything failed. Nothing is changed or sent.
    """
    from steward.cli import checks

    found = []
    with setup.opened(context, quiet=True) as steward:
        setup.tell_unread(context, steward.registry)
        for each in checks.run(steward):
            found.append(each)
            if not as_json:
                say(f"{each.level:<6}{each.name}: {each.words}")
                if each.remedy:
                    say(f"      {each.remedy}")
                sys.stdout.flush()
    failed = any(each.level == "FAIL" for each in found)
    if as_json:
        listed = [{"name": c.name, "level": c.level, "words": c.words, "remedy": c.remedy} for c in found]
        say_json({"ok": not failed, "checks": listed})
    return FAILED if failed else 0


def backup(
    context: typer.Context,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for the copy. [default: backups in the data folder]")
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Copies to keep there. [default: 7, and with --to all]")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option("--verify", help="Make none, but prove that this copy can be restored.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Make a copy of everything, and prove that it can be restored.

    It holds the ledger, the kept files and the key, all of one moment, and may be made while the service runs.
    Files that a plugin's archive keeps elsewhere may stay there: then it says how many it does not hold.
    A key that STEWARD_SECRET_KEY holds is not copied; a copy without its key is proved with the one that is set.
    """
    if verify is not None:
        from steward.installation import backup as backups

        done = backups.verify(verify, _key_here(setup.settings_of(context)))
    else:
        from steward.installation.maintenance import Operations

        with setup.opened(context) as steward:
            done = Operations(steward).backup(to, keep or (None if to is None else sys.maxsize))
    _say_backup(done, as_json)
    return 0


def purge(
    context: typer.Context,
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, metavar="DAYS", help="Delete tasks that ended before that.")
    ] = None,
    person: Annotated[
        str | None, typer.Option("--person", metavar="ADDRESS", help="Remove this person from finished tasks.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    as_json: Json = False,
) -> int:
    """Delete old tasks, or what is kept of a person, for good."""
    from datetime import timedelta

    from steward.errors import InvalidOption
    from steward.installation import erasure
    from steward.installation.maintenance import Operations
    from steward.model.formats import counted

    if (older_than is None) == (person is None):
        raise InvalidOption("Say what to delete", remedy="Give either --older-than DAYS or --person ADDRESS")
    with setup.opened(context) as steward:
        if not yes:
            _confirm(_count(steward, older_than, person), person)
        if person is not None:
            return _say_erased(erasure.erase(steward, person), person, as_json)
        done = Operations(steward).purge(timedelta(days=older_than or 0))
    if as_json:
        say_json({"tasks": done})
    else:
        say(f"{counted(done, 'task was', 'tasks were')} deleted.")
    return 0


def demo(
    context: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="End when the four tasks have; the last line is JSON.")] = False,
) -> int:
    """See it work: sample data, four tasks, and the pages."""
    from steward.cli import demo as demonstration

    return demonstration.run(once=once)


def _count(steward: Steward, older_than: float | None, person: str | None) -> int:
    from datetime import timedelta

    from steward.storage.maintenance import retention
    from steward.system.clock import micros, present

    with steward.ledger.read() as connection:
        if person is not None:
            return len(retention.tasks_of(connection, person))
        before = micros(present() - timedelta(days=older_than or 0))
        return len(retention.finished_before(connection, before, most=sys.maxsize))


def _confirm(count: int, person: str | None) -> None:
    from steward.errors import InvalidOption
    from steward.model.formats import counted

    with_files = counted(count, "task with its files", "tasks with their files")
    what = f"Remove {person} from {counted(count, 'task')}" if person else f"Delete {with_files}"
    if not sys.stdin.isatty():
        raise InvalidOption(f"{what}: this needs a yes", "Nobody can be asked here", "Give --yes if you mean it")
    typer.confirm(f"{what}? It cannot be undone.", abort=True)


def _say_erased(done: Erasure, person: str, as_json: bool) -> int:
    from dataclasses import asdict

    from steward.model.formats import counted

    if as_json:
        say_json(asdict(done))
        return FAILED if done.left else 0
    say(f"{person} was removed from {counted(done.tasks, 'task')}.")
    cleared = [
        (done.letters, "letter in the outbox", "letters in the outbox"),
        (done.files, "file", "files"),
        (done.keys, "idempotency key", "idempotency keys"),
        (done.rows, "other row", "other rows"),
    ]
    said = [counted(count, one, several) for count, one, several in cleared if count]
    if said:
        say(f"Cleared too: {', '.join(said)}.")
    for path in done.left:
        say(f"{path} still holds the address.")
    if done.backups:
        say(f"{counted(done.backups, 'backup')} made before may hold it still; delete them, or let them run out.")
    return FAILED if done.left else 0


def _key_here(chosen: Settings) -> bytes | None:
    """Return the key of this installation, if it has one: none is made for a backup of another's."""
    from steward.installation import secret_key

    return chosen.key if chosen.secret_key or (chosen.data_dir / secret_key.FILE).is_file() else None


def _say_backup(done: Backup, as_json: bool) -> None:
    if as_json:
        said = {"folder": str(done.folder), "tasks": done.tasks, "files": done.files, "size": done.size}
        said |= {"key": done.key, "sealed": done.sealed, "lost": done.lost, "elsewhere": done.elsewhere}
        say_json(said | {"verified": True})
        return
    from steward.model.formats import counted

    size = f"{done.size / 1_000_000:,.1f} MB"
    say(f"{done.folder}: {counted(done.tasks, 'task')}, {counted(done.files, 'file')}, {size}; it can be restored")
    if done.key == "apart":
        say("Its key is not in it: keep what STEWARD_SECRET_KEY holds, in another place.")
    if done.elsewhere:
        are = counted(done.elsewhere, "file is", "files are")
        say(f"{are} not in it: the archive that STEWARD_ARCHIVE_URL names keeps copies of its own.")
    if done.lost:
        say(f"{counted(done.lost, 'sealed value was', 'sealed values were')} sealed with an earlier key.")
