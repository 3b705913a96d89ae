"""The commands that stay: the web server, a worker, and both under supervision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from steward.cli import setup

if TYPE_CHECKING:
    import socket

    from steward.installation.settings import Settings
    from steward.plugins.factories import EngineFactory

Parent = Annotated[int, typer.Option("--parent", hidden=True, help="End when this process does.")]


def add_commands(app: typer.Typer) -> None:
    """Add `up`, `serve` and `work`."""
    app.command("up")(up)
    app.command("serve")(serve)
    app.command("work")(work)


def up(
    context: typer.Context,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, max=64, help="Worker processes. [default: STEWARD_WORKERS]")
    ] = None,
    parent: Parent = 0,
) -> int:
    """Run the web server and workers, and keep them running.

    What dies is started again. Listens on STEWARD_HOST and STEWARD_PORT (0: a free port, which is printed).
    SIGTERM or Ctrl-C stops everything within half a minute; what was in hand goes on after the next start.
    """
    from steward.cli import supervisor
    from steward.model.declaration.plugin_settings import take_back

    _die_with(parent)
    chosen = setup.long_running(context)
    engine = _require_parts(chosen)
    listener = _listen(chosen)
    chosen = _at(chosen, listener)
    _ = chosen.key  # made once here, before two processes could
    count = chosen.workers if workers is None else workers
    env_file = context.find_root().obj
    options = ["--env-file", str(env_file)] if env_file else []
    programs = [
        supervisor.SupervisedProcess("web", (*options, "serve", "--fd", str(listener.fileno())), listener.fileno())
    ]
    if not engine.in_web:  # else its tasks run inside the web process
        programs += [
            supervisor.SupervisedProcess("worker" if count == 1 else f"worker {n}", (*options, "work"))
            for n in range(1, count + 1)
        ]
    take_back()  # each process reads the file itself, as it is then
    typer.echo(f"Steward is at {chosen.public_url} (stop it with Ctrl-C)")
    with listener:
        return supervisor.run(programs, {"STEWARD_PORT": str(chosen.port)})


def serve(
    context: typer.Context,
    fd: Annotated[int | None, typer.Option("--fd", hidden=True, help="A socket that listens already.")] = None,
    parent: Parent = 0,
) -> int:
    """Run the web server: the HTTP interface and the pages. Tasks are performed by workers, see `work`."""
    import logging
    import signal
    import socket

    _die_with(parent)
    chosen = setup.long_running(context)
    listener = _listen(chosen) if fd is None else socket.socket(fileno=fd)
    chosen = _at(chosen, listener)

    from steward.installation.container import Steward
    from steward.web.app import create
    from steward.web.server import WebServer

    steward = Steward(chosen)
    setup.tell_unread(context, steward.registry)
    steward.require_parts()

    def say() -> None:
        if fd is None:  # not before: what cannot work as it is set up has been refused by now
            typer.echo(f"Steward's web server is at {chosen.public_url} (stop it with Ctrl-C)")

    server = WebServer(create(steward), chosen, say)
    # Uvicorn raises again the signal that ended it; by then it has done what it asked for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    try:
        server.run(sockets=[listener])
    finally:
        steward.close()
    logging.getLogger(__name__).info("the web server has left")
    return 0 if server.started else 1


def work(
    context: typer.Context,
    engine: Annotated[str | None, typer.Option("--engine", help="Its name. [default: STEWARD_ENGINE]")] = None,
    parent: Parent = 0,
) -> int:
    """Run one worker, which performs tasks until SIGTERM or Ctrl-C. Start as many as you like."""
    from steward.errors import InvalidOption
    from steward.installation.container import Steward

    _die_with(parent)
    chosen = setup.long_running(context)
    if engine is not None:
        chosen = setup.settings_of(context, engine=engine)
    steward = Steward(chosen)
    if steward.engine.in_web:
        raise InvalidOption(
            f"The engine '{chosen.engine}' has no workers",
            "Its tasks are performed by the web server that took them",
            "Run steward serve, or set STEWARD_ENGINE=durable",
        )
    if not parent:  # else the web server beside it tells
        setup.tell_unread(context, steward.registry)
    steward.require_parts()
    return steward.engine.work(steward)


def _die_with(parent: int) -> None:
    if parent:
        from steward.sandbox.confinement import die_with

        die_with(parent)


def _require_parts(chosen: Settings) -> EngineFactory:
    """Refuse now what every worker would refuse at its start, when the address has been told already.

    Plugins are loaded here only if one is asked for by name: this process watches others, and is to stay small.
    """
    from steward.errors import ConfigurationError
    from steward.installation.container import Steward
    from steward.mail.transports.smtp import url
    from steward.plugins import registry

    chosen.require_mail_server()
    steward = Steward(chosen)
    steward.registry = registry.load([], entry_points=False)
    try:
        steward.require_parts()
    except ConfigurationError:
        del steward.registry
        steward.require_parts()
        if not chosen.captures_mail:
            steward.transport().close()
    else:
        if not chosen.captures_mail:
            url.parse(chosen.carrier_url)
    return steward.engine


def _at(chosen: Settings, listener: socket.socket) -> Settings:
    """Return the settings with the port that is really listened on."""
    return chosen.model_copy(update={"port": int(listener.getsockname()[1])})


def _listen(chosen: Settings) -> socket.socket:
    import errno
    import socket

    from steward.errors import ConfigurationError

    try:
        family, kind, number, _, address = socket.getaddrinfo(
            chosen.host, chosen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, number)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {chosen.port} on {chosen.host} is in use by another program",
                "Perhaps Steward is already running",
                "Stop the other program, or set STEWARD_PORT to another port; 0 takes any free one",
            ) from error
        raise ConfigurationError(
            f"Steward cannot listen on {chosen.host}, port {chosen.port}",
            error.strerror or str(error),
            "Set STEWARD_HOST to an address of this machine and STEWARD_PORT to a port above 1023",
        ) from error
    return listener
