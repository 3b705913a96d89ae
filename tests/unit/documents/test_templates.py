"""What a template's fault is said to be: the template and its line; a plugin's fault stays the plugin's."""

import os
from datetime import date

import pytest

from steward.documents.templates import FRESH, Templates
from steward.errors import Rejected, TemplateError


def render(folder, text, **given):
    (folder / "letter").mkdir(exist_ok=True)
    (folder / "letter" / "body.txt.j2").write_text(f"Dear member,\n\n{text}\n")
    return Templates([folder]).render("letter/body.txt.j2", given)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{{ day.strftime(1) }}", "TypeError"),  # raised by Python, called through the sandbox
        ("{{ 'x' | round }}", "TypeError"),  # by a filter of Jinja's
        ("{{ {'a': day.strftime} | tojson }}", "TypeError"),  # by Python's own library
        ("{{ missing }}", "'missing' is undefined"),
        ("{{ day.nothing.more }}", "no attribute 'nothing'"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% for each in 3 %}{% endfor %}", "TypeError"),
        ("{% include 'letter/other.txt.j2' %}", "There is no template 'letter/other.txt.j2'"),
        ("{{ 'a' ~ }}", "cannot be read at line 3"),
    ],
)
def test_a_templates_fault_names_the_template_and_its_line(tmp_path, text, said):

    with pytest.raises(TemplateError) as caught:
        render(tmp_path, text, day=date(2026, 3, 1))
    assert said in str(caught.value)
    assert "letter/" in str(caught.value)
    assert "sandbox" not in str(caught.value)
    if "There is no template" not in said:
        assert "line 3" in str(caught.value)


def test_a_fault_in_an_included_template_is_that_templates(tmp_path):
    (tmp_path / "layouts").mkdir()
    (tmp_path / "layouts" / "parts.txt.j2").write_text("\n{% macro sum(a) %}\n{{ a + 1 }}\n{% endmacro %}")
    with pytest.raises(TemplateError, match=r"layouts/parts\.txt\.j2 at line 3"):
        render(tmp_path, "{% from 'layouts/parts.txt.j2' import sum %}{{ sum('x') }}")


def test_a_plugins_fault_inside_a_template_stays_the_plugins(tmp_path):
    def broken():
        raise KeyError("dues")

    with pytest.raises(KeyError):
        render(tmp_path, "{{ broken() }}", broken=broken)


def test_words_that_are_meant_for_people_pass_as_they_are(tmp_path):
    def refuse():
        raise Rejected("There is no such member")

    with pytest.raises(Rejected, match="There is no such member"):
        render(tmp_path, "{{ refuse() }}", refuse=refuse)


def test_a_changed_template_and_one_that_now_comes_first_take_effect_without_a_restart(tmp_path, monkeypatch):
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    for folder in (shipped, own):
        (folder / "letter").mkdir(parents=True)
    clock = [1000.0]
    monkeypatch.setattr("steward.documents.templates.time.monotonic", lambda: clock[0])
    made = Templates([own, shipped])
    path = shipped / "letter" / "body.txt.j2"
    path.write_text("one")
    assert made.render("letter/body.txt.j2") == "one"
    path.write_text("two")
    os.utime(path, (1, 1))
    clock[0] += 2 * FRESH
    assert made.render("letter/body.txt.j2") == "two"
    (own / "letter" / "body.txt.j2").write_text("our own")
    clock[0] += 2 * FRESH
    assert made.render("letter/body.txt.j2") == "our own"
    (own / "letter" / "body.txt.j2").unlink()
    clock[0] += 2 * FRESH
    assert made.render("letter/body.txt.j2") == "two"
