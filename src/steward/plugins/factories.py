"""The parts that are chosen by name: what plugins offer for mail, PDF, files, engines, and what is wanted."""

from __future__ import annotations

import difflib
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar

from steward.errors import ConfigurationError, PluginError, StewardError
from steward.model.service import TaskService
from steward.system.masking import masked

T = TypeVar("T")

SHIPPED: Final = "Steward"
"""Where a part comes from that needs no plugin; no plugin can take its name."""
_NAME: Final = re.compile(r"[a-z][a-z0-9+._-]{0,39}")
"""A name; also what a URL's scheme may be (RFC 3986, section 3.1), in small letters."""


class EngineFactory(Protocol):
    """The two ends of an engine, each built in the process that needs it: one accepts tasks, the other performs them.

    `installation` is the composition root: its settings, ledger, registry and the other parts. A library that only
    this engine needs is imported in these methods, so that whoever has chosen another engine need not install it.
    """

    in_web: bool
    """Whether tasks are performed in the web process that took them: then there are no workers to start."""

    def service(self, installation: Any) -> TaskService:
        """Return what accepts tasks, and declares what this engine cannot do. Called once in each process.

        Raises:
            ConfigurationError: the settings do not fit (a broker's URL is missing), or a library is.
        """

    def work(self, installation: Any) -> int:
        """Perform tasks in this process until SIGTERM or SIGINT, and return its exit code; for `steward work`.

        What is in hand is finished within 30 seconds or left for others: the ledger gives it to them. Raises as
        `service`. Never called where `in_web`.
        """


@dataclass(frozen=True, slots=True)
class PluginPart:
    """A kind of part: the hook that offers it, its name for people, and the methods that each must have."""

    hook: str
    called: str
    methods: tuple[str, ...]


TRANSPORTS: Final = PluginPart(
    "register_transports", "mail transport", ("send", "check", "silent", "reconnect", "close")
)
ARCHIVES: Final = PluginPart("register_archives", "archive", ("store", "open", "remove", "sweep", "close"))
RENDERERS: Final = PluginPart("register_renderers", "renderer", ("warm", "render", "close"))
ENGINES: Final = PluginPart("register_engines", "engine", ())
KINDS: Final = (TRANSPORTS, ARCHIVES, RENDERERS, ENGINES)


@dataclass(frozen=True, slots=True)
class _Offer(Generic[T]):
    origin: str
    factory: T


@dataclass(slots=True)
class PluginFactories(Generic[T]):
    """The factories of one kind by name. Nothing is made, and no library loaded, before one is wanted."""

    kind: PluginPart
    _offers: dict[str, _Offer[T]] = field(default_factory=dict)
    _disputed: dict[str, tuple[str, str]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    """The plugins that could not be loaded, and why: the part that is missing may be one of theirs."""

    @property
    def names(self) -> list[str]:
        """The names that there are."""
        return sorted(self._offers)

    def add(self, given: Mapping[str, T], origin: str) -> list[str]:
        """Take what a hook has returned, and `check` has passed; return its names."""
        self._offers |= {name: _Offer(origin, factory) for name, factory in given.items()}
        return list(given)

    def check(self, given: Any, origin: str) -> None:
        """Return if what a hook of the plugin at `origin` has returned can be taken.

        Raises:
            PluginError: it is no mapping of names to factories, or a name is taken.
        """
        hook, called = self.kind.hook, self.kind.called
        if not isinstance(given, Mapping):
            raise PluginError(f"{hook} returned no mapping", remedy=f'Return {{"name": what makes the {called}}}')
        for name, factory in given.items():
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise PluginError(
                    f"{hook} returned {str(name)[:60]!r}, which is no name",
                    remedy="Begin with a small letter, and go on with small letters, digits, + . _ or -",
                )
            if not (callable(factory) or callable(getattr(factory, "service", None))):
                raise PluginError(f"{hook} returned {factory!r} for '{name}', which makes nothing")
            there = self._offers.get(name)
            if there is not None:
                if there.origin != SHIPPED:
                    self._disputed[name] = there.origin, origin
                raise PluginError(
                    f"The {called} '{name}' is already there, from {there.origin}", remedy="Rename one of the two"
                )

    def factory(self, name: str, setting: str) -> T:
        """Return the factory of this name, which `setting` asks for.

        Raises:
            ConfigurationError: there is none, or two plugins offer it.
        """
        if name in self._disputed:
            first, second = self._disputed[name]
            raise ConfigurationError(
                f"Two plugins offer the {self.kind.called} '{name}', which {setting} asks for",
                f"They are {first} and {second}",
                "Remove one of them, or let one take another name",
            )
        offer = self._offers.get(name)
        if offer is not None:
            return offer.factory
        near = difflib.get_close_matches(name, self._offers, n=1)
        why = [f"There are: {', '.join(self.names)}"]
        why += [f"the plugin {each} could not be loaded ({reason})" for each, reason in self.broken.items()]
        install = f"install the plugin that offers '{name}' in this environment, or put it into STEWARD_PLUGINS_DIR"
        raise ConfigurationError(
            f"{setting} asks for the {self.kind.called} '{name}', and there is none of this name",
            "; ".join(why),
            f"Did you mean '{near[0]}'? Else {install}" if near else f"{install[0].upper()}{install[1:]}",
        )

    def make(self, name: str, setting: str, options: Any) -> Any:
        """Return what the factory of this name makes of `options`.

        Raises:
            ConfigurationError: there is no such factory, it failed, or what it made lacks a method of its promise.
        """
        factory: Any = self.factory(name, setting)
        return self._made(name, setting, lambda: factory(options), self.kind.methods)

    def service(self, name: str, installation: Any) -> Any:
        """Return what accepts tasks for the engine of this name, in `installation`. Raises as `make`."""
        engine: Any = self.factory(name, "STEWARD_ENGINE")
        return self._made(name, "STEWARD_ENGINE", lambda: engine.service(installation), ("enqueue", "get_status"))

    def _made(self, name: str, setting: str, make: Callable[[], Any], methods: Sequence[str]) -> Any:
        what = f"The {self.kind.called} '{name}', which {setting} asks for, cannot be used"
        remedy = f"Mend it, or correct {setting}; it comes from {self._offers[name].origin}"
        try:
            made = make()
        except StewardError:
            raise
        # A plugin is a stranger's code: whatever it raises (SystemExit too) is told in words.
        except (Exception, SystemExit) as error:
            raise ConfigurationError(what, masked(_where(error)), remedy) from error
        lacking = [method for method in methods if not callable(getattr(made, method, None))]
        if lacking:
            why = f"{type(made).__name__} has no {', no '.join(lacking)}, which docs/plugins.md asks for"
            raise ConfigurationError(what, why, remedy)
        return made


def scheme_of(url: str, what: str, example: str) -> str:
    """Return the scheme of `url` in small letters, by which a part is chosen.

    Raises:
        ConfigurationError: it has none; `what` says so, and `example` shows one that does.
    """
    scheme, there, _ = url.partition("://")
    if not there or not _NAME.fullmatch(scheme.lower()):
        raise ConfigurationError(what, "It names no scheme", f"For example {example}")
    return scheme.lower()


def _where(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}: {type(error).__name__}: {error}"
