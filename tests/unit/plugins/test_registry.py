"""Finding plugins, and keeping broken ones apart."""

import textwrap

import pytest

from steward.errors import NotAHandler, UnknownHandler
from steward.plugins import registry as plugins

GOOD = '''
from pydantic import BaseModel
from steward import Email, Handler, handler, hookimpl

class {model}(BaseModel):
    email: str

@handler(example={model}(email="ada@example.org"))
def {name}(request: {model}) -> Email:
    """Say hello."""
    return Email(to=request.email, template="{name}")

@hookimpl
def register_handlers() -> list[Handler]:
    return [{name}]
'''


def write(folder, name, text):
    (folder / f"{name}.py").write_text(textwrap.dedent(text))


def load(folder):
    return plugins.load([folder], entry_points=False)


def test_a_single_file_is_a_plugin(tmp_path):
    write(tmp_path, "hello", GOOD.format(name="hello", model="Hello"))
    registry = load(tmp_path)
    assert registry.get("hello").summary == "Say hello."
    assert [p.name for p in registry.plugins] == ["hello"]
    assert registry.resolve(registry.get("hello")) is registry.get("hello")
    assert registry.resolve(registry.get("hello").function) is registry.get("hello")


def test_a_folder_is_a_plugin_with_modules_of_its_own(tmp_path):
    package = tmp_path / "hello"
    package.mkdir()
    (package / "__init__.py").write_text("from .inner import register_handlers\n")
    (package / "inner.py").write_text(GOOD.format(name="hello", model="Hello"))
    assert load(tmp_path).get("hello").name == "hello"


def test_the_modules_of_a_plugin_are_those_of_its_own_folder(tmp_path):
    for name in ("one", "other"):
        package = tmp_path / name / "hello"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("from .inner import register_handlers\n")
        (package / "inner.py").write_text(GOOD.format(name=f"hello_{name}", model="Hello"))
    assert list(load(tmp_path / "one").handlers) == ["hello_one"]
    assert list(load(tmp_path / "other").handlers) == ["hello_other"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("import nothing_of_this_name\n", 1, "nothing_of_this_name"),
        ("x = 1\ndef broken(:\n", 2, "invalid syntax"),
        ("\n\nraise SystemExit(3)\n", 3, "SystemExit"),
        ("from steward import hookimpl\n\n@hookimpl\ndef register_handlers():\n    return [1]\n", None, "no handler"),
        (
            "from steward import hookimpl\n\n@hookimpl\ndef register_handlers():\n    return 1/0\n",
            5,
            "ZeroDivisionError",
        ),
        (
            "from steward import hookimpl\n\n@hookimpl\ndef register_handlerz():\n    return []\n",
            None,
            "register_handlerz",
        ),
    ],
)
def test_a_broken_plugin_is_named_with_file_and_line_and_the_rest_runs(tmp_path, text, line, words):
    write(tmp_path, "broken", text)
    write(tmp_path, "hello", GOOD.format(name="hello", model="Hello"))
    registry = load(tmp_path)
    assert set(registry.handlers) == {"hello"}
    broken = next(p for p in registry.plugins if p.name == "broken")
    assert words in broken.error
    if line:
        assert f"broken.py:{line}" in broken.error


def test_two_plugins_cannot_have_one_name(tmp_path):
    write(tmp_path, "a", GOOD.format(name="hello", model="Hello"))
    write(tmp_path, "b", GOOD.format(name="hello", model="Hello"))
    registry = load(tmp_path)
    assert registry.get("hello").origin.startswith(str(tmp_path / "a.py"))
    assert "already taken" in next(p for p in registry.plugins if p.name == "b").error


def test_an_unknown_name_gets_the_nearest(tmp_path):
    write(tmp_path, "hello", GOOD.format(name="hello", model="Hello"))
    with pytest.raises(UnknownHandler, match="Did you mean 'hello'"):
        load(tmp_path).get("helo")


def test_what_is_not_registered_is_refused_with_the_reason(tmp_path):
    registry = load(tmp_path)

    def inner(): ...

    with pytest.raises(NotAHandler, match="lambda"):
        registry.resolve(lambda: None)
    with pytest.raises(NotAHandler, match="inside another"):
        registry.resolve(inner)
    with pytest.raises(NotAHandler, match="No plugin registered it"):
        registry.resolve(print)
    with pytest.raises(NotAHandler):
        registry.resolve(42)
