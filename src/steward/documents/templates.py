"""Jinja environments: strict variables, HTML always escaped, an installation's own folder before the shipped one."""

from __future__ import annotations

import hashlib
import sysconfig
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel

from steward.documents.tables import cells, columns, measuring
from steward.errors import StewardError, TemplateError
from steward.model import formats
from steward.model.content import Context

_OURS = (str(Path(jinja2.__file__).parent), str(Path(formats.__file__).parent.parent))
_SHIPPED = str(Path(formats.__file__).parent.parent / "shipped")
_PYTHON = sysconfig.get_path("stdlib")

FRESH = 1.0
"""Seconds for which a template counts as unchanged: to look at its files for each letter takes longer than a part."""


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    **formats.FILTERS,
    "shown": cells.shown,
    "planned": columns.planned,
    "by_first_column": columns.by_first_column,
    "levels": measuring.levels,
    "running": measuring.shortened,
    "text_width": measuring.width,
    "wrapped": measuring.wrapped,
}
"""What a template may write behind a value."""


class Templates:
    """Renders `<folder>/<name>.j2`. The first of `directories` that has a template wins."""

    def __init__(self, directories: Sequence[Path], globals_: Mapping[str, Any] | None = None) -> None:
        self.directories = tuple(directories)
        self._there: dict[str, float] = {}
        # Jinja's own default list does not cover *.html.j2 (a measured finding), so the rule is ours: everything is
        # escaped but plain text.
        self._environment = _TemplateEnvironment(
            loader=_TemplateLoader([str(d) for d in directories]),
            undefined=jinja2.StrictUndefined,
            autoescape=lambda name: not (name or "").endswith((".txt", ".txt.j2")),
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
        )
        self._environment.filters.update(FILTERS)
        self._environment.globals.update(globals_ or {})

    def exists(self, name: str) -> bool:
        """Return whether any directory holds the template; what is there counts as there for `FRESH` seconds."""
        if time.monotonic() - self._there.get(name, -FRESH) < FRESH:
            return True
        found = any((directory / name).is_file() for directory in self.directories)
        if found:
            self._there[name] = time.monotonic()
        return found

    def render(self, name: str, context: Context = None, **extra: Any) -> str:
        """Return the finished text of the template `name` (with its `.j2`), given `context` and `extra` names.

        Raises:
            TemplateError: the template is missing or faulty, or names something that is not there.
        """
        try:
            return self._environment.get_template(name).render({**variables(context), **extra})
        except jinja2.TemplateNotFound as error:
            raise TemplateError(
                f"There is no template '{error.name}'",
                f"Looked in {', '.join(map(str, self.directories)) or 'no folder at all'}",
                "Add the file, or correct the name",
            ) from error
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(
                f"The template {error.name or name} cannot be read at line {error.lineno}", error.message or ""
            ) from error
        except jinja2.UndefinedError as error:
            raise TemplateError(
                f"The template {self._place(error) or name} uses a name that it is not given",
                error.message or "",
                "Add it to the context, or correct the template",
            ) from error
        except (StewardError, MemoryError):
            raise
        except Exception as error:
            place = self._place(error)
            if place is None:
                if isinstance(error, (UnicodeDecodeError, PermissionError)):
                    raise TemplateError(f"The template {name} cannot be read", str(error)) from error
                raise
            raise TemplateError(
                f"The template {place} failed",
                f"{type(error).__name__}: {error}",
                "Correct the template, or what it is given",
            ) from error

    def _place(self, error: Exception) -> str | None:
        """Return the template and line at which `error` arose: `letter/body.txt.j2 at line 3`.

        None if it arose in no template, or in code of a plugin that a template called: that has a place of its own.
        """
        place = None
        for frame in traceback.extract_tb(error.__traceback__):
            path = Path(frame.filename)
            folder = next((d for d in self.directories if path.is_relative_to(d)), None)
            if folder is not None:
                place = f"{path.relative_to(folder)} at line {frame.lineno}"
            elif not _is_machinery(frame.filename):
                place = None
        return place

    def version(self, folder: str) -> str:
        """Return eight characters that change when any template in `folder` or `layouts` does."""
        digest = hashlib.sha256()
        for directory in self.directories:
            for part in (folder, "layouts"):
                for path in sorted((directory / part).glob("*.j2")):
                    digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:8]

    @cached_property
    def assets(self) -> dict[str, Path]:
        """Files under `assets/` of every directory by their relative name: what a PDF may show, and nothing else."""
        found: dict[str, Path] = {}
        for directory in reversed(self.directories):
            root = directory / "assets"
            if root.is_dir():
                found |= {str(p.relative_to(root)): p for p in sorted(root.rglob("*")) if p.is_file()}
        return found


def _is_machinery(filename: str) -> bool:
    """Return whether a frame is of Jinja, of ours or of Python itself, none of which is to blame for a template."""
    if filename.startswith(_SHIPPED):  # plugins that an installed package brings
        return False
    return filename.startswith(("<", *_OURS)) or (filename.startswith(_PYTHON) and "-packages" not in filename)


class _TemplateEnvironment(ImmutableSandboxedEnvironment):
    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        # Jinja's chain of two mappings is walked anew for each letter: a third of the time of a short one.
        return {**self.globals, **(d or {})}


class _TemplateLoader(jinja2.FileSystemLoader):
    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, path, unchanged = super().get_source(environment, template)
        seen = time.monotonic()

        def fresh() -> bool:
            nonlocal seen
            if time.monotonic() - seen < FRESH:
                return True
            seen = time.monotonic()
            # A file in a folder that comes before counts as a change as well: an installation's own wins at once.
            first = next((p for folder in self.searchpath if (p := Path(folder, template)).is_file()), None)
            return first == Path(path) and unchanged()

        return source, path, fresh


def variables(context: Context) -> dict[str, Any]:
    """Return what a template sees of `context`: a model's fields as they are (not dumped, so secrets stay secrets)."""
    if context is None:
        return {}
    if isinstance(context, BaseModel):
        return {name: getattr(context, name) for name in type(context).model_fields}
    return dict(context)
