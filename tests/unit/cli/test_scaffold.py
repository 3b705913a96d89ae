"""A new plugin works as it is written, and overwrites nothing."""

from __future__ import annotations

import pytest

from steward.cli import scaffold
from steward.errors import ConfigurationError, InvalidOption
from steward.plugins.registry import load
from steward.worker.dry_run import example_of, trial


@pytest.mark.parametrize("kind", ["letter", "report"])
def test_it_loads_and_performs_its_example(tmp_path, steward_settings, kind):
    folder = tmp_path / "plugins"
    written = scaffold.write(folder, "town_crier", kind, "")
    assert all(path.is_file() for path in written)
    chosen = steward_settings.model_copy(update={"plugins_dir": folder})
    with trial(chosen) as tried:
        handler = tried.steward.registry.get("town_crier")
        assert tried.rehearse(handler) == ""
        if kind == "letter":
            task_id = tried.service.enqueue("town_crier", example_of(handler))
            assert tried.service.get_status(task_id).state == "succeeded"
            assert [letter.subject for letter in tried.messages()] == ["Town crier for Ada Lovelace"]


@pytest.mark.parametrize("name", ["Town", "2nd", "town-crier", "class", "", "a" * 64])
def test_a_name_that_python_cannot_read_is_refused(tmp_path, name):
    with pytest.raises(InvalidOption):
        scaffold.write(tmp_path, name, "letter", "")
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "town_crier.py").write_text("mine")
    with pytest.raises(ConfigurationError, match="is there already"):
        scaffold.write(tmp_path, "town_crier", "letter", "")
    assert [path.name for path in tmp_path.iterdir()] == ["town_crier.py"]
    assert (tmp_path / "town_crier.py").read_text() == "mine"


def test_a_plugin_folder_with_templates_and_tests_holds_one_plugin(tmp_path):
    scaffold.write(tmp_path, "town_crier", "letter", "")
    assert [plugin.name for plugin in load([tmp_path], entry_points=False).plugins] == ["town_crier"]
