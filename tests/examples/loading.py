"""Loads an example as the plugin that it is, and says where it stands."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from tests.house.repository import ROOT

EXAMPLES = ROOT / "examples"


def load_example(name: str) -> ModuleType:
    """Return the module of `examples/<name>.py`."""
    spec = importlib.util.spec_from_file_location(f"steward_examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
