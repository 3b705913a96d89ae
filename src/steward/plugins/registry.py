"""Finds plugins and their handlers: a folder of single files, entry points, and the shipped ones by the same hook."""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from steward.documents.pdf.renderer import RendererFactory
from steward.errors import NotAHandler, PluginError, StewardError, UnknownHandler
from steward.mail.transport import TransportFactory
from steward.model.caller import Caller
from steward.model.declaration.handler import Handler
from steward.model.declaration.injection import settings_in
from steward.model.declaration.plugin_settings import PluginSettings
from steward.plugins import factories, hooks
from steward.plugins.factories import EngineFactory, PluginFactories
from steward.plugins.observers import Observer
from steward.storage.archive import ArchiveFactory

log = logging.getLogger(__name__)
ENTRY_POINTS = "steward"
SHIPPED = ("steward.plugins.shipped", "steward.worker.engines.shipped")
"""What ships without being listed, through the same hooks; by dotted name, since engines stand above this chapter."""
BROKEN = "It could not be loaded; operators see why: steward plugins"


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin as found: `error` says with file and line why it cannot be used, and is empty if it can."""

    name: str
    origin: str
    handlers: tuple[str, ...] = ()
    error: str = ""
    settings: tuple[type[PluginSettings], ...] = ()
    parts: tuple[str, ...] = ()
    """What else it offers, such as "mail transport ses"."""

    def shown_to(self, caller: Caller) -> Plugin:
        """Return it as `caller` may see it: where this machine keeps it, and what broke, are for operators."""
        if caller.operates:
            return self
        return replace(self, origin=Path(self.origin).name, error=BROKEN if self.error else "")


PluginParts = dict[factories.PluginPart, PluginFactories[Any]]


class Registry:
    """The handlers by name, and the plugins they came from. Built anew for each application, never global.

    `transports`, `archives`, `renderers` and `engines` are the factories of the parts that the settings choose;
    `observers` are told of what has become of tasks.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        plugins: Iterable[Plugin],
        parts: PluginParts | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.handlers = dict(handlers)
        self.plugins = tuple(plugins)
        self.observers = tuple(observers)
        found = parts if parts is not None else _Loader().parts
        self.transports: PluginFactories[TransportFactory] = found[factories.TRANSPORTS]
        self.archives: PluginFactories[ArchiveFactory] = found[factories.ARCHIVES]
        self.renderers: PluginFactories[RendererFactory] = found[factories.RENDERERS]
        self.engines: PluginFactories[EngineFactory] = found[factories.ENGINES]
        for each in found.values():
            each.broken = {p.name: p.error for p in self.plugins if p.error}
        self._by_function: dict[Callable[..., Any], Handler] = {h.function: h for h in self.handlers.values()}

    def get(self, name: str) -> Handler:
        """Return the handler of this name.

        Raises:
            UnknownHandler: there is none; the nearest names are offered, or the broken plugin that may hold it.
        """
        found = self.handlers.get(name)
        if found is not None:
            return found
        near = difflib.get_close_matches(name, self.handlers, n=1)
        broken = [p for p in self.plugins if p.error]
        raise UnknownHandler(
            f"There is no task named '{name[:80]}'",
            # Whoever asks is told no more: the reason names files of this machine.
            f"The plugin {broken[0].name} could not be loaded" if broken and not near else "",
            f"Did you mean '{near[0]}'?" if near else f"There are: {', '.join(sorted(self.handlers)) or 'none'}",
        )

    def resolve(self, func: Any) -> Handler:
        """Return the handler that `func` (a handler, its function, or its name) stands for.

        Raises:
            NotAHandler: it is a lambda, a closure, or a function that no plugin registered.
            UnknownHandler: no handler has this name.
        """
        if isinstance(func, str):
            return self.get(func)
        if isinstance(func, Handler):
            known = self.handlers.get(func.name)
            # The same declaration may have been imported twice (by the application and by the plugin folder).
            if known is not None and known.payload.__qualname__ == func.payload.__qualname__:
                return known
        elif callable(func) and func in self._by_function:
            return self._by_function[func]
        what = getattr(func, "__qualname__", None) or getattr(func, "name", None) or repr(func)
        if "<lambda>" in what:
            why = "A lambda cannot be found again by another process"
        elif "<locals>" in what:
            why = "A function defined inside another cannot be found again by another process"
        else:
            why = "No plugin registered it"
        raise NotAHandler(
            f"'{what}' is not a registered handler",
            why,
            "Declare it with @handler in a plugin, return it from register_handlers, and pass it or its name",
        )


def load(directories: Iterable[Path], *, entry_points: bool = True, extra: Iterable[object] = ()) -> Registry:
    """Return the registry of every plugin in `directories`, the installed entry points, and `extra` modules.

    A plugin that fails to import or declares nonsense is left out, named with file and line in `Registry.plugins`;
    everything else runs.
    """
    loader = _Loader()
    for directory in directories:
        for path in sorted(directory.iterdir()) if directory.is_dir() else ():
            if _is_plugin(path):
                loader.add(path.stem, str(path), lambda path=path: _import_file(path))  # type: ignore[misc]
    if entry_points:
        for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
            loader.add(point.name, point.value, point.load)
    for module in extra:
        loader.add(getattr(module, "__name__", repr(module)).rpartition(".")[2], "given", lambda module=module: module)  # type: ignore[misc]
    return Registry(loader.handlers, loader.plugins, loader.parts, loader.observers)


def _is_plugin(path: Path) -> bool:
    if path.name.startswith((".", "_")):
        return False
    return path.suffix == ".py" or (path / "__init__.py").is_file()


class _Loader:
    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(hooks.NAMESPACE)
        self.manager.add_hookspecs(hooks)
        self.handlers: dict[str, Handler] = {}
        self.plugins: list[Plugin] = []
        self.observers: list[Observer] = []
        self.parts: PluginParts = {kind: PluginFactories(kind) for kind in factories.KINDS}
        for name in SHIPPED:
            module = importlib.import_module(name)
            self.manager.register(module, name)
            self._add_parts(module, factories.SHIPPED)

    def add(self, name: str, origin: str, importer: Callable[[], object]) -> None:
        unique = name
        declared: list[type[PluginSettings]] = []
        try:
            module = importer()
            declared = _settings_of(module)
            unique = name if not self.manager.has_plugin(name) else f"{name} ({origin})"
            self.manager.register(module, unique)
            self.manager.check_pending()
            if not self.manager.get_hookcallers(module):
                raise PluginError(
                    f"{origin} offers nothing",
                    "It has no register_handlers with @hookimpl, nor another hook",
                    "Write one that returns its handlers; a file that is no plugin begins with an underscore",
                )
            added = self._handlers_of(module, unique)
            taken = [h.name for h in added if h.name in self.handlers]
            if taken:
                raise PluginError(
                    f"The name '{taken[0]}' is already taken by {self.handlers[taken[0]].origin}",
                    remedy="Rename one of the two",
                )
            asked = [kind for h in added for kind in settings_in((*h.needs, *h.check_needs, *h.span_needs))]
            declared = list(dict.fromkeys([*declared, *asked]))
            for kind in dict.fromkeys(asked):
                kind()  # what cannot be used is told now, not by the first task
            offered = self._add_parts(module, origin)
        # A plugin is a stranger's code: whatever it raises (SystemExit too) must not stop the rest.
        except (Exception, SystemExit) as error:
            if self.manager.has_plugin(unique):
                self.manager.unregister(name=unique)
            words = _words(error, origin)
            log.error("plugin %s cannot be used: %s", name, words)
            self.plugins.append(Plugin(name, origin, error=words, settings=tuple(declared)))
        else:
            self.handlers |= {h.name: h for h in added}
            handlers = tuple(h.name for h in added)
            for hook in self.manager.hook.task_changed.get_hookimpls():
                if hook.plugin is module:
                    self.observers.append(Observer(unique, hook.function, tuple(hook.argnames)))
                    offered.append("an observer of tasks")
            self.plugins.append(Plugin(name, origin, handlers, settings=tuple(declared), parts=tuple(offered)))

    def _only(self, hook: str, module: object) -> list[Any]:
        """Return what `hook` of `module` alone returns, in a list; empty if it has none."""
        if hook not in {caller.name for caller in self.manager.get_hookcallers(module) or ()}:
            return []
        others = [p for p in self.manager.get_plugins() if p is not module]
        return list(self.manager.subset_hook_caller(hook, others)()) or [None]  # pluggy leaves None out

    def _add_parts(self, module: object, origin: str) -> list[str]:
        """Take the factories that `module` offers and return them in words; all or none."""
        given = {kind: answer for kind in factories.KINDS for answer in self._only(kind.hook, module)}
        for kind, answer in given.items():
            self.parts[kind].check(answer, origin)
        names = {kind: self.parts[kind].add(answer, origin) for kind, answer in given.items()}
        return [f"{kind.called} {name}" for kind, added in names.items() for name in added]

    def _handlers_of(self, module: object, name: str) -> list[Handler]:
        answers = self._only("register_handlers", module)
        if not all(isinstance(answer, (list, tuple)) for answer in answers):
            raise PluginError(f"register_handlers of {name} returned no list", remedy="Return [handler, …]")
        found = [h for answer in answers for h in answer]
        if len({getattr(h, "name", h) for h in found}) < len(found):
            raise PluginError(f"register_handlers of {name} returned two handlers of one name", remedy="Rename one")
        for item in found:
            if not isinstance(item, Handler):
                raise PluginError(
                    f"register_handlers of {name} returned {item!r}, which is no handler",
                    remedy="Decorate the function with @handler",
                )
        return found


def _import_file(path: Path) -> ModuleType:
    target = path / "__init__.py" if path.is_dir() else path
    name = f"steward_plugins.{path.stem}"
    spec = importlib.util.spec_from_file_location(
        name, target, submodule_search_locations=[str(path)] if path.is_dir() else None
    )
    if spec is None or spec.loader is None:
        raise PluginError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    # Registered before execution, so that pydantic can resolve annotations and values can be pickled by reference.
    sys.modules.setdefault("steward_plugins", ModuleType("steward_plugins"))
    sys.modules[name] = module
    # Modules inside a plugin of this name that was loaded before, perhaps from another folder, are not this one's.
    for stale in [each for each in sys.modules if each.startswith(f"{name}.")]:
        del sys.modules[stale]
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _settings_of(module: object) -> list[type[PluginSettings]]:
    """Return the settings that a plugin declares, in itself or in a module inside it."""
    inside = f"{getattr(module, '__name__', '')}."
    parts = [module, *(each for name, each in list(sys.modules.items()) if name.startswith(inside))]
    found = [each for part in parts for each in vars(part).values() if isinstance(each, type)]
    return [each for each in dict.fromkeys(found) if issubclass(each, PluginSettings) and each is not PluginSettings]


def _words(error: BaseException, origin: str) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    if isinstance(error, StewardError):
        return str(error)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(origin.rpartition(".")[0])]
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else f"{origin}: "
    return f"{place}{type(error).__name__}: {error}"
