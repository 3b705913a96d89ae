"""What `import steward` offers: the list, the homes of the names, and the types agree; importing it costs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys

from tests.house.repository import ROOT, imports, modules, name, tree

import steward

# The plugins that look after the service itself, and tell of it, are given the service's own operations.
INSIDERS = {
    "plugins/maintenance.py": {"steward.installation.maintenance"},
    "plugins/alert_webhook.py": {"steward.installation.maintenance"},
}


def test_the_list_and_the_homes_agree() -> None:
    assert sorted(steward.__all__) == sorted(steward._HOME_OF)
    assert len(set(steward.__all__)) == len(steward.__all__)


def test_every_name_is_found_at_home_and_typed_from_there() -> None:
    for each, home in steward._HOME_OF.items():
        assert getattr(steward, each) is getattr(__import__(f"steward.{home}", fromlist=[each]), each)
    typed = {
        (alias.name, node.module)
        for node in ast.walk(tree(ROOT / "src/steward/__init__.py"))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("steward.")
        for alias in node.names
    }
    assert typed == {(each, f"steward.{home}") for each, home in steward._HOME_OF.items()}


def test_importing_steward_imports_nothing_else() -> None:
    program = "import sys, steward; print(*sorted(m for m in sys.modules if m.startswith('steward.')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_plugins_import_only_public_names() -> None:
    wrong = []
    for path in modules("plugins"):
        for module, imported in imports(path):
            if module.split(".")[0] != "steward" or module in INSIDERS.get(name(path), ()):
                continue
            if module != "steward" or imported not in steward.__all__:
                wrong.append(f"{name(path)}: {module} {imported}")
    assert not wrong
