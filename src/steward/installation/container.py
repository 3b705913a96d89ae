"""The composition root: builds each part from the settings, once, when it is first asked for."""

from __future__ import annotations

import shutil
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from steward.documents.pdf.renderer import Renderer, RendererOptions
from steward.documents.templates import Templates
from steward.errors import StorageFull
from steward.installation.settings import Settings
from steward.mail.message import message
from steward.mail.message.letter import MessageComposer
from steward.mail.transport import Transport, TransportOptions
from steward.plugins import registry as plugins
from steward.plugins.factories import EngineFactory, scheme_of
from steward.plugins.observers import Observers
from steward.plugins.registry import Registry
from steward.plugins.run import HandlerRunner
from steward.plugins.source import Source
from steward.plugins.sync_cursor import LedgerCursor
from steward.storage.archive import Archive, ArchiveOptions
from steward.storage.database import Ledger
from steward.storage.database.ledger import store_path
from steward.storage.encryption import Seal
from steward.system import masking, private_files
from steward.tasks.acceptance import LedgerTaskService
from steward.tasks.alerts import Alerts
from steward.tasks.schedules.scheduler import Scheduler
from steward.tasks.schedules.schedules import Schedules


class Steward:
    """One installation: its ledger, plugins, templates, archive, and the service in front of them."""

    def __init__(self, settings: Settings, *, extra_plugins: tuple[object, ...] = ()) -> None:
        self.settings = settings
        masking.hide_passwords_of(settings.broker_url, settings.database_url, settings.source_url)
        masking.hide_passwords_of(*settings.alert_urls.split())
        masking.hide_secrets_of(settings.carrier_url, settings.archive_url)
        masking.hide(settings.secret_key)
        self._extra = extra_plugins
        self._space_seen = (0.0, 0)
        self._observers: Observers | None = None

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger, opened and migrated."""
        ledger = Ledger(self.settings.ledger_url)
        ledger.open()
        return ledger

    @property
    def slots_folder(self) -> Path:
        """Where each process that writes to the ledger says that it lives."""
        return self.settings.data_dir / "slots"

    @property
    def stores(self) -> list[Path]:
        """The databases of SQLite that this installation writes to: each has one lock for all who write."""
        path = store_path(self.settings.ledger_url)
        return [] if path is None else [path]

    def end_frozen(self) -> int:
        """End the sessions in the database that others of this service hold frozen; return how many. See `Ledger`."""
        return self.ledger.end_frozen() if "ledger" in vars(self) else 0  # whoever needs it opens it

    @cached_property
    def registry(self) -> Registry:
        """Every handler that the plugins register."""
        return plugins.load(self.settings.plugin_directories, extra=self._extra)

    @cached_property
    def seal(self) -> Seal:
        """What encrypts secrets at rest."""
        return Seal(self.settings.key)

    @cached_property
    def templates(self) -> Templates:
        """The templates, an installation's own before the shipped."""
        return Templates(self.settings.template_directories)

    @cached_property
    def letters(self) -> MessageComposer:
        """What writes letters from templates."""
        _, sender = message.sender_of(self.settings.mail_from)
        return MessageComposer(
            self.templates,
            sender=self.settings.mail_from,
            organization=self.settings.organization,
            public_url=self.settings.public_url,
            domain=sender.rpartition("@")[2],
        )

    @cached_property
    def source(self) -> Source | None:
        """The application's database, if one is set."""
        return Source(self.settings.source_url) if self.settings.source_url else None

    @cached_property
    def archive(self) -> Archive:
        """Where finished files are kept.

        Raises:
            ConfigurationError: STEWARD_ARCHIVE_URL cannot be used.
        """
        url, setting = self.settings.archive_url, "STEWARD_ARCHIVE_URL"
        if not url:
            url = (self.settings.data_dir / "archive").as_uri()
        scheme = scheme_of(url, f"{setting} is not the address of an archive", "file:///srv/archive")
        made: Archive = self.registry.archives.make(scheme, setting, ArchiveOptions(url))
        return made

    @property
    def outbox_folder(self) -> Path:
        """Where captured mail lies outside production."""
        return self.settings.data_dir / "outbox"

    @property
    def spool_folder(self) -> Path:
        """Where reports in the making lie."""
        return self.settings.data_dir / "spool"

    @property
    def engine(self) -> EngineFactory:
        """The engine that the settings choose: its two ends, built when they are needed.

        Raises:
            ConfigurationError: no plugin offers an engine of this name.
        """
        return self.registry.engines.factory(self.settings.engine, "STEWARD_ENGINE")

    @property
    def accepting(self) -> dict[str, Any]:
        """What every engine's service is given to accept tasks with, beside ledger, registry and seal."""
        return {"source": self.source, "calendar": self.settings.calendar, "guard": self.require_space}

    @cached_property
    def service(self) -> LedgerTaskService:
        """The service that the settings choose, for accepting tasks. Performing them is the worker's."""
        made: LedgerTaskService = self.registry.engines.service(self.settings.engine, self)
        self.observe()
        return made

    def observe(self) -> None:
        """Tell the plugins that watch tasks of what this process changes from now on; nothing is begun if none does."""
        if self._observers is None and self.registry.observers:
            self._observers = Observers(self.ledger, self.registry.observers)
            self.ledger.watchers.append(self._observers)

    def end_observing(self) -> None:
        """Wait a moment for observers that have not been told of everything, and tell them no more."""
        observers, self._observers = self._observers, None
        if observers is not None:
            self.ledger.watchers.remove(observers)
            observers.close()

    @cached_property
    def schedules(self) -> Schedules:
        """The schedules, for those who look at them and change them."""
        chosen = self.settings
        return Schedules(self.ledger, self.registry, self.service, chosen.time_zone, chosen.schedules_per_owner)

    @cached_property
    def scheduler(self) -> Scheduler:
        """What makes the tasks of schedules that are due; turned by every process that performs."""
        settings = self.settings
        return Scheduler(self.ledger, self.registry, self.service, settings.time_zone, settings.schedules)

    @cached_property
    def alerts(self) -> Alerts:
        """What tells operators; turned by every process that performs."""
        return Alerts(
            self.ledger,
            self.service,
            to=self.settings.alert_to,
            urls=self.settings.alert_urls,
            window=self.settings.alert_window,
            organization=self.settings.organization,
            public_url=self.settings.public_url,
        )

    def preparer(self, given: dict[str, Any] | None = None) -> HandlerRunner:
        """Return what runs handlers in this process."""
        return HandlerRunner(
            self.registry,
            self.templates,
            self.letters,
            self.source,
            self.spool_folder,
            self.settings.calendar,
            given or {},
            lambda request: LedgerCursor(self.ledger, self.seal, request),
        )

    def transport(self) -> Transport:
        """Return a new transport: what the settings send by, or outside production what captures mail.

        Raises:
            ConfigurationError: production without a mail server, or an address that cannot be used.
        """
        _ = self.letters  # a sender that cannot be used is refused before anything is sent
        chosen = self.settings
        options = TransportOptions(
            chosen.carrier_url,
            folder=self.outbox_folder,
            connections=chosen.smtp_connections,
            in_flight=chosen.smtp_in_flight,
            ca_file=chosen.smtp_ca_file,
            hello=chosen.smtp_hello_name,
        )
        made: Transport = self.registry.transports.make(self._carrier(), chosen.carrier_setting, options)
        return made

    def renderer(self, processes: int | None = None) -> Renderer:
        """Return a new renderer, of `processes` documents at a time or as many as is set.

        Raises:
            ConfigurationError: no plugin offers it, or it cannot be made.
        """
        chosen = self.settings
        options = RendererOptions(
            self.templates.assets, processes or chosen.render_processes, chosen.render_seconds, chosen.render_memory_mb
        )
        made: Renderer = self.registry.renderers.make(chosen.renderer, "STEWARD_RENDERER", options)
        return made

    def require_parts(self) -> None:
        """Return if every part that the settings choose is there, and can be made of its address.

        Raises:
            ConfigurationError: one is not, or cannot.
        """
        _ = self.engine, self.archive
        self.registry.renderers.factory(self.settings.renderer, "STEWARD_RENDERER")
        self.registry.transports.factory(self._carrier(), self.settings.carrier_setting)

    def _carrier(self) -> str:
        """Return the name of the transport that the settings choose."""
        chosen = self.settings
        if chosen.captures_mail:
            return "captured"
        chosen.require_mail_server()
        what = f"{chosen.carrier_setting} is not the address of a mail server"
        return scheme_of(chosen.carrier_url, what, "smtp://user:password@mail.example.org:587")

    def require_space(self) -> None:
        """Return if there is room to keep what is accepted; looked at most once a second.

        Raises:
            StorageFull: less than `STEWARD_FREE_SPACE_MB` is free.
        """
        seen, free = self._space_seen
        if time.monotonic() - seen > 1:
            private_files.make_folder(self.settings.data_dir)  # a ledger elsewhere has not made it
            free = shutil.disk_usage(self.settings.data_dir).free
            self._space_seen = (time.monotonic(), free)
        if free < self.settings.free_space_mb * 1024 * 1024:
            raise StorageFull(
                "There is no room left on the disk",
                f"{free // 1024 // 1024} MB are free, and {self.settings.free_space_mb} MB are kept in reserve",
                "Free some space; it works again by itself",
            )

    def close(self) -> None:
        """Free what was opened."""
        self.end_observing()
        if "archive" in self.__dict__:
            self.archive.close()
        if "source" in self.__dict__ and self.source is not None:
            self.source.close()
        if "ledger" in self.__dict__:
            self.ledger.close()
