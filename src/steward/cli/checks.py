"""Looks at everything an installation needs, and says of each whether it is right, and if not, the remedy."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from steward.documents.pdf.glyphs import SAMPLES, remedy
from steward.documents.pdf.renderer import Layout, Renderer
from steward.errors import Rejected, RenderFailed, StewardError, StorageUnavailable
from steward.installation import former_engine
from steward.installation.container import Steward
from steward.installation.settings import hostname_of
from steward.model.email_address import address
from steward.model.formats import counted
from steward.model.results import Outcome
from steward.model.states import OPEN
from steward.storage.archive import Archive
from steward.storage.database import postgres
from steward.storage.fleet import workers
from steward.storage.maintenance import retention
from steward.storage.tasks import artifacts, search
from steward.system.clock import now, present
from steward.worker.conditions import conditions
from steward.worker.dry_run import apart, trial

_STOPPED = ("mail", "broker", "relay", "lane", "unserved")
_STANDING = (*_STOPPED, "blocked", "schedule", "missed")
"""Conditions told under "workers"; the others have a check of their own."""

Level = Literal["ok", "warn", "FAIL"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and the remedy where it is not right."""

    name: str
    level: Level
    words: str
    remedy: str = ""


def run(steward: Steward) -> Iterator[Check]:
    """Yield a `Check` for each thing as soon as it has been looked at. Nothing is changed, sent or kept."""
    for name, look in (
        ("settings", settings),
        ("data folder", data_folder),
        ("ledger", ledger),
        ("files", files),
        ("workers", working),
        ("plugins", plugins_load),
        ("templates", templates),
        ("layout", layout),
        ("mail", mail),
        ("source", source),
        ("broker", broker),
    ):
        try:
            yield from (Check(name, *found) for found in look(steward))
        except StewardError as error:
            yield Check(name, "FAIL", _joined(error.what, error.why), error.remedy)
        except Exception as error:  # a check that breaks is a finding too, and must not hide those after it
            yield Check(name, "FAIL", f"It could not be looked at: {type(error).__name__}: {error}")


Found = Iterator[tuple[Any, ...]]
"""Level, words, and where it is not right the remedy."""


def settings(steward: Steward) -> Found:
    """Whether the settings fit each other."""
    chosen = steward.settings
    letters, _ = steward.letters, chosen.key
    steward.require_parts()
    yield "ok", f"{chosen.env}, engine {chosen.engine}, people reach the pages at {chosen.public_url}"
    if chosen.production and not chosen.base_url:
        yield "warn", "Links in letters lead to host and port", "Set STEWARD_BASE_URL to the address people type"
    if chosen.production and chosen.base_url.startswith("http:") and chosen.host not in ("127.0.0.1", "::1"):
        yield "warn", "Passwords and keys travel unencrypted", "Put a web server with TLS in front, and use https://"
    if chosen.production and not _is_known_elsewhere(letters.envelope_sender):
        words = f"Mail servers elsewhere will not take letters from {letters.envelope_sender}"
        yield "warn", words, "Set STEWARD_MAIL_FROM to a sender of your own domain"


def _is_known_elsewhere(sender: str) -> bool:
    try:
        return not address(sender, public=True).endswith(".localdomain")
    except Rejected:
        return False


def data_folder(steward: Steward) -> Found:
    """Whether there is room, and whether others can read what lies there."""
    folder = steward.settings.data_dir
    steward.require_space()
    free = shutil.disk_usage(folder).free // 1024**2
    yield "ok", f"{folder} can be written, {free:,} MB are free"
    if folder.stat().st_mode & 0o077:
        yield "warn", f"Other users of this machine can look into {folder}", f"chmod 700 {folder}"
    if (folder / former_engine.FILE).exists():
        words = f"{former_engine.FILE} is the store of an earlier version's engine; nothing reads it any more"
        yield "warn", words, "A worker of this version deletes it at its start, or says in its log why it stays"


def ledger(steward: Steward) -> Found:
    """Whether the ledger keeps its own rules."""
    with steward.ledger.read() as connection:
        broken = retention.breaches(connection)
        counts = search.counts(connection)
        former = postgres.has_table(connection, former_engine.TABLE, former_engine.SCHEMA)
    for breach in broken:
        yield "FAIL", f"{breach.count} times broken: {breach.rule}", "Keep a copy (steward backup) and report it"
    if not broken:
        waiting = sum(count for state, count in counts.items() if state in OPEN)
        yield "ok", f"{sum(counts.values()):,} tasks, {waiting:,} of them open; every rule holds"
    if former:
        words = f"The schema '{former_engine.SCHEMA}' is that of an earlier version's engine; nothing reads it any more"
        yield "warn", words, f"If no other program uses it: DROP SCHEMA {former_engine.SCHEMA} CASCADE"


def files(steward: Steward) -> Found:
    """Whether every kept file is there; that each is unaltered is the task `integrity_check`'s to prove."""
    with steward.ledger.read() as connection:
        kept = artifacts.every(connection)
    missing = [file for file in kept if not _is_there(steward.archive, file.location)]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        of_all = f"{len(missing):,} of {counted(len(kept), 'file')} {are} missing"
        words = f"{of_all}; the first belongs to task {missing[0].task_id}"
        yield "FAIL", words, "Restore them from a backup: see docs/operations"
    else:
        yield "ok", f"{counted(len(kept), 'file')}, all there"


def _is_there(archive: Archive, location: str) -> bool:
    try:
        with archive.open(location):
            return True
    except StorageUnavailable:
        return False


def working(steward: Steward) -> Found:
    """Whether anybody performs tasks, and whether mail moves."""
    with steward.ledger.read() as connection:
        alive = workers.living(connection, now())
    if alive:
        yield "ok", f"{len(alive)} running, {counted(sum(w.holding for w in alive), 'task')} in hand"
    for each in conditions(steward):
        if each.kind == "workers":  # a check may well be made before anything is started
            yield "warn", each.words, each.remedy
        elif each.kind in _STANDING:
            yield ("FAIL" if each.kind in _STOPPED else "warn"), _joined(each.words, each.detail), each.remedy


def plugins_load(steward: Steward) -> Found:
    """Whether every plugin can be used."""
    found = steward.registry.plugins
    for plugin in (each for each in found if each.error):
        yield "FAIL", f"{plugin.name}: {plugin.error}", "Mend it; until then its tasks wait as blocked"
    good = sum(not each.error for each in found)
    yield "ok", f"{counted(good, 'plugin')} with {counted(len(steward.registry.handlers), 'task')}"


def templates(steward: Steward) -> Found:
    """Whether every letter and report can be written from its example."""
    rendered = 0
    # In a trial of its own: an example must not reach anything real.
    with (
        tempfile.TemporaryDirectory(prefix="steward-check-") as folder,
        trial(apart(steward.settings, Path(folder)), registry=steward.registry, hosted=True) as tried,
    ):
        for handler in tried.steward.registry.handlers.values():
            if handler.lane == "jobs":
                continue  # it writes nothing, and may act on other systems
            if "source" in dict(handler.needs).values() and steward.source is None:
                yield "warn", f"{handler.name} is not tried: it reads from the source", "Set STEWARD_SOURCE_URL"
                continue
            error = tried.rehearse(handler)
            rendered += not error
            if error:
                yield "FAIL", f"{handler.name}: {error}", f"See steward plugin test {handler.name}"
    yield "ok", counted(rendered, "task writes its example", "tasks write their example")


def layout(steward: Steward) -> Found:
    """Whether PDFs can be laid out: WeasyPrint needs the system's Pango."""
    renderer = steward.renderer(1)
    try:
        with tempfile.TemporaryDirectory(prefix="steward-check-") as folder:
            page = Layout("<p>Is Pango there?</p>", "Check", present())
            renderer.render(page, Path(folder) / "check.pdf")
            lacking = [name for name, word in SAMPLES.items() if _is_lacking(renderer, word, Path(folder))]
    except RenderFailed as error:
        yield (
            "FAIL",
            str(error),
            "On Debian or Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0",
        )
    else:
        yield "ok", "PDFs can be laid out"
        if lacking:
            yield "warn", f"Names in {', '.join(lacking)} stand as boxes: there is no font for them", remedy(lacking)
    finally:
        renderer.close()


def _is_lacking(renderer: Renderer, word: str, folder: Path) -> bool:
    found: list[str] = []
    renderer.render(Layout(f"<p>{word}</p>", "Check", present()), folder / "check.pdf", lacking=found.append)
    return bool(found)


def mail(steward: Steward) -> Found:
    """Whether the mail server takes us."""
    chosen = steward.settings
    transport = steward.transport()
    try:
        reply = transport.check()
    finally:
        transport.close()
    where = "the outbox" if chosen.captures_mail else hostname_of(chosen.carrier_url)
    if reply.outcome is Outcome.ACCEPTED:
        captured = f"Nothing is sent: {steward.outbox_folder} captures it"
        yield "ok", captured if chosen.captures_mail else f"{where} takes our mail"
    else:
        reason = " ".join(str(part) for part in (reply.code, reply.text) if part)
        named = where in reply.text
        words = reason if named else f"{where} does not take our mail: {reason}"
        yield "FAIL", words, f"Check {chosen.carrier_setting}"


def source(steward: Steward) -> Found:
    """Whether the application's database answers."""
    if steward.source is None:
        if any("source" in dict(h.needs).values() for h in steward.registry.handlers.values()):
            yield "warn", "None is set, and some tasks read from it", "Set STEWARD_SOURCE_URL"
        return
    steward.source.check()
    yield "ok", "The application's database answers"


def broker(steward: Steward) -> Found:
    """Whether Celery's broker answers, where it is used."""
    if steward.settings.engine != "celery":
        return
    from steward.worker.engines.celery.broker import CeleryBroker

    asked = CeleryBroker(steward.settings)
    try:
        waiting = asked.waiting("mail")
    finally:
        asked.close()
    wait = counted(waiting, "message waits", "messages wait")
    yield "ok", f"{hostname_of(steward.settings.broker_url)} answers; {wait} for mail"


def _joined(*parts: str) -> str:
    return ". ".join(part.rstrip(".") for part in parts if part)
