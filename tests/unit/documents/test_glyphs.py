"""What no font can show is named by its script, with the package that brings a font, and never by itself."""

import pytest

from steward.documents.pdf import glyphs


@pytest.mark.parametrize(("name", "word"), glyphs.SAMPLES.items())
def test_each_sample_is_of_its_script(name, word):
    expected = {"Vietnamese": {"Latin"}}.get(name, {name})
    assert set(glyphs.scripts(word)) == expected


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        (["Thai", "Devanagari"], ("fonts-noto-core",)),
        (["Korean"], ("fonts-noto-cjk",)),
        (["Emoji", "Chinese", "Hebrew"], ("fonts-noto-core", "fonts-noto-cjk", "fonts-noto-color-emoji")),
    ],
)
def test_the_remedy_names_the_packages(named, wanted):
    assert glyphs.packages(named) == wanted
    assert glyphs.remedy(named).endswith(" ".join(wanted))


def test_the_note_names_scripts_and_no_character():
    said = glyphs.note(glyphs.scripts("王芳สม🎉"))
    assert said.startswith("Chinese, Emoji and Thai have characters that stand as boxes")
    assert not set("王芳สม🎉") & set(said)
    assert glyphs.note(glyphs.scripts("★")).startswith("Symbols has characters")
    assert glyphs.note(()) == ""


def test_what_is_never_drawn_needs_no_font():
    assert glyphs.scripts("\u200d\ufeff\u00ad ") == ()
