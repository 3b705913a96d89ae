"""The commands for whoever writes plugins: list them, begin one, try one, look at what comes out."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from steward.cli import arguments, setup
from steward.cli.error_messages import FAILED, tell
from steward.cli.output import Json, say, say_json, say_table
from steward.model.figures import in_words
from steward.system import private_files

if TYPE_CHECKING:
    from steward.model.declaration.handler import Handler
    from steward.model.results import TaskResult
    from steward.worker.dry_run import DryRun


def add_commands(app: typer.Typer) -> None:
    """Add `preview`, `plugins` and `plugin new|test`."""
    app.command("preview", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(preview)
    app.command("plugins")(plugins)
    group = typer.Typer(help="Begin a plugin, and try plugins.", no_args_is_help=True, rich_markup_mode=None)
    group.command("new")(new)
    group.command("test")(test)
    app.add_typer(group, name="plugin")


def plugins(context: typer.Context, as_json: Json = False) -> int:
    """List the plugins and what they offer: tasks, and ways to send, keep, lay out and perform.

    A broken one is shown with file and line.
    """
    with setup.opened(context, quiet=True) as steward:
        setup.tell_unread(context, steward.registry)
        found = steward.registry.plugins
        handlers = steward.registry.handlers
    if as_json:
        listed = [
            {"name": p.name, "origin": p.origin, "handlers": list(p.handlers), "error": p.error or None}
            | ({"parts": list(p.parts)} if p.parts else {})
            for p in found
        ]
        say_json({"plugins": listed})
        return 0
    rows = [(name, p.name, handlers[name].summary) for p in found for name in p.handlers]
    say_table(("TASK", "PLUGIN", "WHAT IT DOES"), rows)
    for plugin in (p for p in found if p.parts):
        say(f"{plugin.name} offers: {', '.join(plugin.parts)}")
    for plugin in (p for p in found if p.error):
        tell(f"The plugin {plugin.name} cannot be used", plugin.error, "Its tasks wait until it is mended")
    return 0


def preview(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the task.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the files. [default: preview/NAME]", file_okay=False)
    ] = None,
    payload: Annotated[
        str | None, typer.Option("--payload", help="The fields as a JSON object instead of the example; @FILE or -.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Write what a task would send and keep; send nothing.

    Letters come as text, HTML and whole message, reports in each of their formats. They are made from the
    handler's example; --FIELD VALUE changes single fields of it.
    """
    target = Path("preview") / name if out is None else out
    with setup.tried(context) as trial:
        handler = trial.steward.registry.get(name)
        given = arguments.payload_of(context.args, payload, handler.payload.model_json_schema())
        task = _perform(trial, handler, given if payload is not None else {**_example(handler), **given})
        setup.prove_writable(target, "folder", "--out")
        written = _write(trial, task, target)
    if as_json:
        say_json({"task": task.as_json(), "files": [str(path) for path in written]})
    else:
        for path in written:
            say(str(path))
        if task.note:
            say(task.note)
        for figure, value in in_words(task.figures):
            say(f"  {figure}: {value}")
    return _outcome(task)


def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters, digits and underscores.")],
    kind: Annotated[Literal["letter", "report"], typer.Option("--kind", help="What it makes.")] = "letter",
) -> int:
    """Write a plugin that works at once: a file, templates, a test.

    They stand in STEWARD_PLUGINS_DIR, or in ./plugins.
    """
    from steward.cli import scaffold

    chosen = setup.settings_of(context)
    folder = chosen.plugins_dir or Path("plugins").absolute()
    with setup.opened(context, quiet=True) as steward:
        taken = steward.registry.handlers.get(name)
    for path in scaffold.write(folder, name, kind, taken.origin if taken else ""):
        say(f"wrote {path}")
    say("")
    if chosen.plugins_dir is None:
        say(f"Tell Steward where it is:  export STEWARD_PLUGINS_DIR={folder}")
    say(f"See what comes out:        steward preview {name}")
    say(f"Perform its example:       steward plugin test {name}")
    say(f"Run its test:              pytest {folder / 'tests' / f'test_{name}.py'}")
    if find_spec("pytest") is None:  # nothing but a test needs it
        say("which needs pytest:        pip install pytest")
    say("A service that is running finds it when it is started again.")
    return 0


def test(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of a plugin or a task. [default: all]")] = None,
    as_json: Json = False,
) -> int:
    """Perform the example of each task, and say what came out.

    All of it happens apart from everything real; the exit code is 1 if one failed. Jobs, which may act on other
    systems, are tried only when they are named; so is what reads the application's database while none is set.
    """
    unread: list[Handler] = []
    with setup.tried(context) as trial:
        registry = trial.steward.registry
        broken = [p for p in registry.plugins if p.error and name in (None, p.name)]
        of_plugin = next((p.handlers for p in registry.plugins if p.name == name), None)
        if name is None:
            chosen = [h for h in registry.handlers.values() if h.lane != "jobs"]
            if trial.steward.source is None:
                unread = [h for h in chosen if "source" in dict(h.needs).values()]
                chosen = [h for h in chosen if h not in unread]
        elif of_plugin is not None:
            chosen = [registry.handlers[each] for each in of_plugin]
        else:
            chosen = [registry.get(name)]
        results = [(handler, *_try(trial, handler)) for handler in chosen]
    failed = [handler for handler, task, _ in results if task is None or task.state != "succeeded"]
    if as_json:
        said = [{"name": h.name, "task": t.as_json() if t else None, "error": e or None} for h, t, e in results]
        say_json(
            {
                "results": said,
                "not_tried": [h.name for h in unread],
                "broken": [{"name": p.name, "error": p.error} for p in broken],
            }
        )
    else:
        for handler, task, words in results:
            _say_result(handler, task, words)
        for handler in unread:
            say(f"-       {handler.name}: not tried, it reads the application's database; set STEWARD_SOURCE_URL")
        for plugin in broken:
            say(f"FAILED  {plugin.name}: {plugin.error}")
    return FAILED if failed or broken else 0


def _example(handler: Handler) -> dict[str, Any]:
    from steward.worker.dry_run import example_of

    return example_of(handler)


def _perform(trial: DryRun, handler: Handler, payload: dict[str, Any]) -> TaskResult:
    from steward.model.service import Options

    task_id = trial.service.submit(handler.name, payload, Options(requested_by="preview")).id
    return trial.service.get_status(task_id)


def _try(trial: DryRun, handler: Handler) -> tuple[TaskResult | None, str]:
    from steward.errors import StewardError

    try:
        task = _perform(trial, handler, _example(handler))
    except StewardError as error:
        return None, str(error)
    return task, task.error or ""


def _say_result(handler: Handler, task: TaskResult | None, words: str) -> None:
    if task is None or task.state != "succeeded":
        say(f"FAILED  {handler.name}: {words}  ({handler.origin})")
        return
    letters = [f"a letter to {copy.to}: {copy.subject}" for copy in task.deliveries]
    files = [f"{file.name} ({file.size:,} bytes)" for file in task.artifacts]
    say(f"ok      {handler.name}: {'; '.join([*letters, *files, task.note or '']).strip('; ') or 'nothing'}")


def _write(trial: DryRun, task: TaskResult, folder: Path) -> list[Path]:
    written: list[Path] = []

    def keep(name: str, content: bytes) -> None:
        path = folder / name
        with private_files.as_usual():
            path.write_bytes(content)
        written.append(path)

    for n, message in enumerate(trial.messages(), 1):
        stem = "letter" if n == 1 else f"letter-{n}"
        keep(f"{stem}.eml", message.path.read_bytes())
        keep(f"{stem}.txt", f"Subject: {message.subject}\nTo: {message.to}\n\n{message.text}".encode())
        if message.html is not None:
            keep(f"{stem}.html", message.html.encode())
        for attachment in message.attachments:
            keep(f"{stem}-{Path(attachment.name).name}", attachment.content)
    for name, path in trial.files(task).items():
        keep(name, path.read_bytes())
    return written


def _outcome(task: TaskResult) -> int:
    if task.state == "succeeded":
        return 0
    tell(f"{task.name} would not succeed", task.error or f"It is {task.state}")
    return FAILED
