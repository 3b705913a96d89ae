"""WeasyPrint keeps what every renderer promises, and what else is known of it: fonts, notes, endless work."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pypdf
import pytest
from tests.house.repository import ROOT

from steward.contracts.renderer import CSS, ENDLESS, LOGO, SECRET, RendererContract, layout, report
from steward.documents.pdf.renderer import Renderer
from steward.documents.pdf.weasyprint import WeasyRenderer
from steward.errors import ConfigurationError, RenderFailed


class TestWeasyPrint(RendererContract):
    endless = ENDLESS | {
        "nested boxes": "<table><tr><td>" + "<div style='display: inline-flex'><p>x " * 40,
        "one word": "<p>" + "x" * 1_000_000,
        "tiny pages": "<style>@page { size: 1mm; margin: 0 }</style><p>" + "words " * 20_000,
        "a huge drawing": "<svg width='9' height='9'>"
        + ("<path d='M0 0" + " C 1 2 3 4 5 6" * 90 + "'/>") * 9_000
        + "</svg>",
    }

    @pytest.fixture(scope="class")
    @classmethod
    def make(cls, assets: dict[str, Path]) -> Callable[..., Renderer]:
        return lambda **options: WeasyRenderer(assets, **options)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("assets")
    (folder / "logo.svg").write_text(LOGO)
    (folder / "print.css").write_text(CSS)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def make(assets: dict[str, Path]) -> Callable[..., Renderer]:
    return lambda **options: WeasyRenderer(assets, **options)


@pytest.fixture(scope="module")
def renderer(make: Callable[..., Renderer]) -> Iterator[Renderer]:
    renderer = make()
    yield renderer
    renderer.close()


def fonts_of(folder: Path, *folders: str) -> str:
    """Return a configuration of fontconfig with the fonts of `folders` and no others."""
    listed = "".join(f"<dir>{each}</dir>" for each in folders)
    path = folder / "fonts.conf"
    path.write_text(f"<fontconfig>{listed}<cachedir>{folder}/cache</cachedir></fontconfig>")
    return str(path)


DEJAVU = "/usr/share/fonts/truetype/dejavu"
"""Debian's fontconfig-config, which Pango needs, depends on these."""
PUBLIC_SANS = ROOT / "templates" / "assets" / "fonts" / "PublicSans-Regular.ttf"
OWN = "<style>@font-face { font-family: own; src: url(asset:own.ttf) } p { font-family: own }</style>"


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("Zoë Łukasz Müller-O’Brien – 50 % (100 €)", ""),
        ("王芳 Wang Fang", "王芳"),
        ("김민준", "김민준"),
        ("田中さん", "田中さん"),
        ("सदस्य", "सदसय्"),
        ("สมาชิก", "สมาชก"),
        ("Ελένη Пётр חבר", ""),
        ("Well done 🎉", "🎉"),
    ],
)
def test_characters_that_no_font_can_show_are_told(
    renderer_with_few_fonts: Renderer, tmp_path: Path, text: str, lacks: str
) -> None:
    told: list[str] = []
    html = f"<html lang=en><title>x</title>{OWN}<p>{text}"
    renderer_with_few_fonts.render(layout(html), tmp_path / "x.pdf", lacking=told.append)
    assert set(lacks) <= set("".join(told)) <= set(text), told
    assert bool(told) == bool(lacks)


@pytest.fixture(scope="module")
def renderer_with_few_fonts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Renderer]:
    folder = tmp_path_factory.mktemp("fonts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FONTCONFIG_FILE", fonts_of(folder, DEJAVU))
        renderer = WeasyRenderer({"own.ttf": PUBLIC_SANS})
    yield renderer
    renderer.close()


def test_what_the_documents_fonts_lack_comes_from_the_machines_with_the_same_bytes_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FONTCONFIG_FILE", fonts_of(tmp_path, DEJAVU))
    own = {"own.ttf": PUBLIC_SANS}
    text = "Ada Ελένη Пётр חבר Đặng"
    prints, told = set(), []
    for n in range(2):
        renderer = WeasyRenderer(own)
        try:
            target = tmp_path / f"{n}.pdf"
            html = f"<html lang=en><title>x</title>{OWN}<p>{text}"
            renderer.render(layout(html), target, lacking=told.append)
            prints.add(target.read_bytes())
        finally:
            renderer.close()
    assert told == []
    assert len(prints) == 1
    shown = pypdf.PdfReader(target).pages[0].extract_text()
    assert all(word in shown for word in ("Ada", "Ελένη", "Пётр", "Đặng")), shown


def test_a_document_too_deep_to_walk_fails_in_words(renderer: Renderer, tmp_path: Path) -> None:
    with pytest.raises(RenderFailed, match="RecursionError"):
        renderer.render(layout("<table><tr><td>" * 300), tmp_path / "report.pdf")


def test_notes_and_markers_are_drawn(renderer: Renderer, tmp_path: Path) -> None:
    lists = "<ul style='list-style-type: square'><li>first</ul><details open><summary>more</summary>rest</details>"
    note = "<style>.n { float: footnote }</style><p>word<span class='n'>said below</span>"
    with_note, without = tmp_path / "note.pdf", tmp_path / "plain.pdf"
    renderer.render(layout(lists + note), with_note)
    renderer.render(layout(lists), without)
    texts = [re.sub(r"\s+", " ", pypdf.PdfReader(path).pages[0].extract_text()) for path in (with_note, without)]
    assert re.search(r"word ?1.*1\. ?said below", texts[0])
    assert all("▪" in text and "first more" in text for text in texts), texts


@pytest.mark.long
def test_a_roster_of_four_thousand_fits_into_the_ordinary_limits(renderer: Renderer, tmp_path: Path) -> None:
    assert renderer.render(layout(report(4000)), tmp_path / "report.pdf") > 90


def test_a_missing_library_is_told_with_its_command(
    assets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The dynamic linker finds this file first, and can no more load it than one that is not there.
    (tmp_path / "libpango-1.0.so.0").write_text("not a library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    renderer = WeasyRenderer(assets)
    try:
        with pytest.raises(ConfigurationError, match=r"apt-get install .*libpango-1\.0-0 libpangoft2-1\.0-0"):
            renderer.render(layout("<p>x"), tmp_path / "report.pdf")
    finally:
        renderer.close()


def test_settings_do_not_reach_the_children(
    assets: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEWARD_SECRET_KEY", SECRET)
    renderer = WeasyRenderer(assets)
    try:
        renderer.render(layout("<p>x"), tmp_path / "report.pdf")
        (pid,) = renderer.pids()
        assert SECRET.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    finally:
        renderer.close()
