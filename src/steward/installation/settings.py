"""What an operator can set: `STEWARD_*` environment variables or a file, checked at the start."""

from __future__ import annotations

import math
import re
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from steward.errors import ConfigurationError
from steward.installation import proxies, secret_key
from steward.model import cron as schedules
from steward.model.declaration.options import LONGEST
from steward.model.declaration.plugin_settings import OWN, pass_on
from steward.model.periods import Calendar
from steward.system import strict_json
from steward.tasks.schedules.planned import PlannedSchedule, as_value_error

PACKAGE = Path(__file__).parent.parent
CAPTURED: Final = "captured://"
"""The address of mail that is captured instead of sent."""
_HELLO: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
    r"|\[(IPv6:)?[0-9A-Fa-f.:]+\]"
)
"""RFC 5321, section 4.1.2: a domain, or an address literal."""


def shipped(folder: str) -> Path:
    """Return the shipped `plugins` or `templates`: inside the package when installed, beside `src` in a checkout."""
    inside = PACKAGE / "shipped" / folder
    return inside if inside.is_dir() else PACKAGE.parent.parent / folder


class Settings(BaseSettings):
    """Every setting, its default, and what it means. `docs/settings.md` is made from this class."""

    model_config = SettingsConfigDict(
        env_prefix=OWN, env_file=None, extra="ignore", validate_default=True, enable_decoding=False
    )

    env: Literal["development", "production"] = Field(
        "development", description="`production` closes every door that only development needs."
    )
    data_dir: Path = Field(Path("steward-data"), description="Folder of the ledger, the archive and the outbox.")
    database_url: str = Field("", description="SQLAlchemy URL of the ledger. Empty: SQLite in the data folder.")
    engine: str = Field(
        "durable", description="Who performs tasks: `durable`, `celery`, `background`, or the engine of a plugin."
    )
    broker_url: str = Field("", description="RabbitMQ or Redis for the engine `celery`.")
    mail_url: str = Field(
        "",
        description="`smtp://user:password@host:587` (STARTTLS required), `smtps://host:465` (TLS), "
        "`smtp+plain://127.0.0.1:25` (no TLS, loopback only), or the scheme of a plugin. Empty outside production: the "
        "outbox captures mail.",
    )
    smtp_url: str = Field("", description="Earlier name of `STEWARD_MAIL_URL`; it stays valid.")
    archive_url: str = Field(
        "",
        description="Where finished files are kept: `file:///srv/archive`, or the scheme of a plugin. Empty: the "
        "folder `archive` in the data folder.",
    )
    renderer: str = Field("weasyprint", description="What lays out PDFs: `weasyprint`, or the renderer of a plugin.")
    smtp_connections: int = Field(
        8, ge=1, le=64, description="Connections kept open to the mail server, by each worker."
    )
    smtp_in_flight: int = Field(
        16,
        ge=1,
        le=256,
        description="Mails on the wire at once, for each worker: the most that a crash can send twice.",
    )
    smtp_ca_file: Path | None = Field(None, description="Certificates to trust instead of the system's.")
    smtp_hello_name: str = Field(
        "",
        description="Name by which we greet the mail server (EHLO), `app.example.org`. Empty: the machine's full name, "
        "or where it has none its address.",
    )
    mail_from: str = Field("Steward <steward@localhost.localdomain>", description="Sender of every letter.")
    organization: str = Field("Local 214 Training Programme", description="Name on letters, reports and pages.")
    source_url: str = Field("", description="SQLAlchemy URL of the application's database; only ever read.")
    plugins_dir: Path | None = Field(None, description="Folder of your own plugins, one file each.")
    templates_dir: Path | None = Field(None, description="Folder of your own templates; wins over the shipped ones.")
    base_url: str = Field("", description="Address under which people reach the pages. Empty: host and port.")
    secret_key: str = Field(
        "", description="Key that encrypts secrets, 32 characters or more. Empty: made once, kept in the data folder."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8480, ge=0, le=65535, description="Port to listen on.")
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of the web servers in front, separated by commas: `10.0.0.2, 10.1.0.0/16`. "
        "Of them alone `X-Forwarded-For` and `X-Forwarded-Proto` are believed.",
    )
    workers: int = Field(1, ge=1, le=64, description="Worker processes under `steward up`.")
    handler_processes: int = Field(1, ge=1, le=32, description="Child processes that run handlers, per worker.")
    render_processes: int = Field(1, ge=1, le=32, description="Child processes that lay out PDFs, per worker.")
    render_seconds: int = Field(60, ge=5, le=3600, description="Longest time for one PDF.")
    render_memory_mb: int = Field(512, ge=200, le=16384, description="Most memory for one PDF.")
    allow_interruptible: bool = Field(
        False, description="Let the engine `background` take handlers marked as important."
    )
    schedules_per_owner: int = Field(50, ge=1, description="Most schedules of one key or person, paused ones too.")
    free_space_mb: int = Field(64, ge=0, description="Below this much free disk space nothing is accepted.")
    retry_delays: tuple[float, ...] | None = Field(
        None,
        description="Seconds before each further attempt, for every handler; the last one repeats, "
        "for a day or as long as the handler says.",
    )
    time_zone: str = Field(
        "UTC",
        description="Time zone of the pages and of the days in reports, and of schedules that name none, for example "
        "`America/New_York`.",
    )
    fiscal_year_month: int = Field(
        1, ge=1, le=12, description="Month in which a fiscal year begins, 1 to 12, for schedules about one."
    )
    schedules: tuple[PlannedSchedule, ...] = Field(
        (),
        description="Tasks to make again and again, as JSON: "
        '`[{"name": "purge", "cron": "0 4 * * 0", "zone": "UTC", "missed": "once", "payload": {}}]`.',
    )
    retention_days: int = Field(
        365, ge=0, le=36500, description="Finished tasks are deleted after so many days. 0: never."
    )
    backup_dir: Path | None = Field(None, description="Folder of backups. Empty: `backups` in the data folder.")
    backups_kept: int = Field(7, ge=1, le=366, description="How many backups are kept; older ones are deleted.")
    alert_to: str = Field("", description="Addresses of operators, separated by commas, who are told what failed.")
    alert_urls: str = Field(
        "", description="Apprise URLs that are told too, separated by spaces; needs the extra `alerts`."
    )
    alert_window: int = Field(
        3600, ge=10, le=86400, description="Seconds in which failures of one kind are told together."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is logged."
    )
    log: Literal["text", "json"] = Field(
        "text", description="Lines of the log for people, or one JSON object each, with task, name and attempt."
    )

    @model_validator(mode="after")
    def _one_mail_url(self) -> Settings:
        if self.mail_url and self.smtp_url and self.mail_url != self.smtp_url:
            raise ValueError(
                "STEWARD_MAIL_URL and STEWARD_SMTP_URL name two mail servers. They are the new and the earlier name of "
                "one setting: keep STEWARD_MAIL_URL alone"
            )
        return self

    @field_validator("schedules", "retry_delays", mode="before")
    @classmethod
    def _decoded(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        try:
            return strict_json.read(given)
        except ValueError as error:
            raise ValueError(f"it has to be JSON: {error}") from error

    @field_validator("retry_delays")
    @classmethod
    def _delays(cls, delays: tuple[float, ...] | None) -> tuple[float, ...] | None:
        for each in delays or ():
            if not (math.isfinite(each) and 0 <= each <= LONGEST):
                raise ValueError(f"{each:g} is no delay. Give seconds, each from 0 to a year, for example [30, 120]")
        return delays

    @field_validator("time_zone")
    @classmethod
    def _a_zone(cls, name: str) -> str:
        as_value_error(lambda: schedules.find_zone(name))
        return name

    @field_validator("smtp_hello_name")
    @classmethod
    def _a_host_name(cls, name: str) -> str:
        if name and not _HELLO.fullmatch(name):
            raise ValueError(
                f"'{name[:80]}' is no name to greet a mail server by. Give a full host name, for example"
                " app.example.org, or an address in brackets, [192.0.2.7]"
            )
        return name

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, text: str) -> str:
        proxies.networks(text)
        return text

    @field_validator("data_dir", "plugins_dir", "templates_dir", "smtp_ca_file", "backup_dir")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser().absolute()

    @property
    def calendar(self) -> Calendar:
        """The days of this installation."""
        return Calendar(self.time_zone, self.fiscal_year_month)

    @property
    def production(self) -> bool:
        """Whether this is the real thing."""
        return self.env == "production"

    @property
    def ledger_url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.database_url or f"sqlite:///{self.data_dir / 'ledger.sqlite3'}"

    @property
    def proxies(self) -> list[str]:
        """The networks of the trusted proxies."""
        return proxies.networks(self.trusted_proxies)

    @property
    def carrier_url(self) -> str:
        """Address of what carries mail, by the new name of the setting or the earlier one; empty if none is set."""
        return self.mail_url or self.smtp_url

    @property
    def carrier_setting(self) -> str:
        """The name under which `carrier_url` was set, or is best set."""
        return "STEWARD_SMTP_URL" if self.smtp_url and not self.mail_url else "STEWARD_MAIL_URL"

    @property
    def captures_mail(self) -> bool:
        """Whether letters go to the outbox instead of a mail server."""
        return not self.production and (self.carrier_url or CAPTURED).startswith(CAPTURED)

    def require_mail_server(self) -> None:
        """Return if letters have somewhere to go.

        Raises:
            ConfigurationError: production without a mail server.
        """
        if self.production and (self.carrier_url or CAPTURED).startswith(CAPTURED):
            raise ConfigurationError(
                "No mail server is set",
                "In production mail is sent, never captured",
                "Set STEWARD_MAIL_URL (or STEWARD_SMTP_URL, its earlier name), for example "
                "smtp://user:password@mail.example.org:587",
            )

    @property
    def public_url(self) -> str:
        """Address of the pages, without a final slash."""
        return (self.base_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def plugin_directories(self) -> list[Path]:
        """Folders of single-file plugins, the shipped one first."""
        return [shipped("plugins"), *([self.plugins_dir] if self.plugins_dir else [])]

    @property
    def template_directories(self) -> list[Path]:
        """Folders of templates; the first that has a template wins. A plugins folder may carry its own `templates/`."""
        own = [self.templates_dir] if self.templates_dir else []
        beside = [self.plugins_dir / "templates"] if self.plugins_dir else []
        return [*own, *beside, shipped("templates")]

    @cached_property
    def key(self) -> bytes:
        """The secret key as bytes; made and kept with mode 0600 when none is set."""
        return secret_key.chosen(self.secret_key) if self.secret_key else secret_key.kept(self.data_dir)


def load(env_file: Path | None = None, **overrides: Any) -> Settings:
    """Return the settings from the environment, `env_file` and `overrides` (strongest last).

    The lines of `env_file` that are not Steward's own join the environment of this process, where plugins read them.

    Raises:
        ConfigurationError: a value cannot be used, or an override is no setting; each is named with the reason.
    """
    if unknown := [name for name in overrides if name not in Settings.model_fields]:
        raise ConfigurationError(f"There is no setting '{unknown[0]}'", remedy="See docs/settings.md")
    try:
        pass_on(env_file)
        return Settings(_env_file=env_file, **overrides)  # type: ignore[call-arg]  # pydantic-settings reads this name; its stub does not
    except ValidationError as error:
        problems = "; ".join(
            f"STEWARD_{'_'.join(map(str, e['loc'])).upper()}: ".removeprefix("STEWARD_: ")
            + e["msg"].removeprefix("Value error, ")
            for e in error.errors()
        )
        raise ConfigurationError("A setting cannot be used", problems, "See docs/settings.md") from error


def hostname_of(url: str) -> str:
    """Return the host of `url`, or its scheme where it has none, for messages that must not show a password."""
    parts = urlsplit(url)
    return parts.hostname or parts.scheme or url
