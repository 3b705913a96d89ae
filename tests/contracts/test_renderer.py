"""What every renderer keeps: same bytes for the same layout, nothing read or called, limits that hold."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pypdf
import pytest
from tests.house.repository import ROOT

from steward.documents.pdf.renderer import Layout, Renderer
from steward.documents.pdf.weasyprint import WeasyRenderer
from steward.errors import ConfigurationError, RenderFailed, RenderLimitExceeded

CREATED = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="40" height="40" fill="#123456"/></svg>'
)
REPORT = """<!doctype html><html lang="en"><head><title>Ignored</title><link rel="stylesheet" href="asset:print.css">
</head><body><h1>Figures</h1><p>Zoë &amp; Łukasz</p><img src="asset:logo.svg" alt="Logo"><img alt="dot" src="{dot}">
<h2>Members</h2><table><thead><tr><th>No</th><th>Name</th></tr></thead><tbody>{rows}</tbody></table></body></html>"""
DOT = "data:image/svg+xml;base64," + base64.b64encode(LOGO.encode()).decode()
CSS = """@page { size: Letter; @bottom-right { content: "Page " counter(page) " of " counter(pages) } }
h1, h2 { bookmark-level: 1 } table { width: 100% } thead { display: table-header-group }"""


def report(rows: int) -> str:
    return REPORT.format(dot=DOT, rows="".join(f"<tr><td>{n}</td><td>Member {n}</td></tr>" for n in range(rows)))


def layout(html: str) -> Layout:
    return Layout(html, "Grant report", CREATED, author="Local 214", lang="en")


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("assets")
    (folder / "logo.svg").write_text(LOGO)
    (folder / "print.css").write_text(CSS)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module", params=[WeasyRenderer], ids=["weasy"])
def make(request: pytest.FixtureRequest, assets: dict[str, Path]) -> Callable[..., Renderer]:
    return lambda **options: request.param(assets, **options)


@pytest.fixture(scope="module")
def renderer(make: Callable[..., Renderer]) -> Iterator[Renderer]:
    renderer = make()
    yield renderer
    renderer.close()


def test_a_document_is_tagged_titled_and_complete(renderer: Renderer, tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    pages = renderer.render(layout(report(120)), target)
    document = pypdf.PdfReader(target)
    assert pages == len(document.pages) == 4
    assert document.metadata is not None
    assert (document.metadata.title, document.metadata.author) == ("Grant report", "Local 214")
    assert document.metadata.creation_date == CREATED
    catalog = document.trailer["/Root"]
    assert catalog["/Lang"] == "en"
    assert catalog["/MarkInfo"]["/Marked"]
    assert [item["/Title"] for item in document.outline] == ["Figures", "Members"]
    texts = [page.extract_text() for page in document.pages]
    assert "Zoë & Łukasz" in texts[0]
    assert all(f"Page {n} of 4" in text for n, text in enumerate(texts, 1))
    assert all("Name" in text for text in texts)  # the heading is repeated
    assert [int(n) for text in texts for n in re.findall(r"Member (\d+)", text)] == list(range(120))
    assert list(tmp_path.iterdir()) == [target]


def test_the_same_layout_gives_the_same_bytes_in_any_process(make: Callable[..., Renderer], tmp_path: Path) -> None:
    attached = '<link rel="attachment" href="data:text/plain,figures">'
    prints = set()
    for n in range(2):
        renderer = make()
        try:
            for repeat in range(2):
                target = tmp_path / f"{n}{repeat}.pdf"
                renderer.render(layout(report(30).replace("</head>", f"{attached}</head>")), target)
                prints.add(hashlib.sha256(target.read_bytes()).hexdigest())
        finally:
            renderer.close()
    assert len(prints) == 1


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


SECRET = "the-secret-of-this-machine"
HOSTILE = {
    "image": '<img src="{url}">',
    "style sheet": '<link rel="stylesheet" href="{url}">',
    "import": "<style>@import url({url});</style>",
    "background": '<p style="background: url({url})">x',
    "content": "<style>p::before {{ content: url({url}) }}</style><p>x",
    "font": "<style>@font-face {{ font-family: f; src: url({url}) }} p {{ font-family: f }}</style><p>x",
    "object": '<object data="{url}"></object>',
    "embed": '<embed src="{url}">',
    "attachment": '<link rel="attachment" href="{url}">',
    "attached link": '<a rel="attachment" href="{url}">x</a>',
    "drawing": '<svg width="9" height="9"><image href="{url}" width="9" height="9"/></svg>',
    "drawing inside data": '<img src="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 width=%229%22 '
    'height=%229%22%3E%3Cimage href=%22{url}%22 width=%229%22 height=%229%22/%3E%3C/svg%3E">',
    "base": '<base href="{url}"><img src="?x">',
    "list marker": '<ul style="list-style-image: url({url})"><li>x</ul>',
    "colour profile": "<style>@color-profile --c {{ src: url({url}) }} p {{ color: color(--c 1 1 1) }}</style><p>x",
}


@pytest.mark.parametrize("way", HOSTILE)
def test_files_and_addresses_stay_out_of_reach(renderer: Renderer, tmp_path: Path, way: str) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text(LOGO.replace("<rect", f"<text y='9'>{SECRET}</text><rect"))
    target = tmp_path / "report.pdf"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        for url in (f"file://{secret}", "file:///etc/passwd", f"http://127.0.0.1:{port}/x", f"ftp://127.0.0.1:{port}/"):
            with pytest.raises(RenderFailed) as failed:
                renderer.render(layout(HOSTILE[way].format(url=url)), target)
            assert "assets" in str(failed.value)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert not target.exists()


@pytest.mark.parametrize(
    "name", ["asset:../secret", "asset:/etc/passwd", "asset://host/logo.svg", "asset:", "asset:logo"]
)
def test_assets_are_found_by_their_exact_name_only(renderer: Renderer, tmp_path: Path, name: str) -> None:
    with pytest.raises(RenderFailed, match="There is no asset"):
        renderer.render(layout(f'<img src="{name}">'), tmp_path / "report.pdf")


@pytest.mark.parametrize("html", ['<img src="logo.svg">', '<img src="data:image/png;base64,AAAA">'])
def test_nothing_is_left_out_in_silence(renderer: Renderer, tmp_path: Path, html: str) -> None:
    with pytest.raises(RenderFailed, match="would lack something"):
        renderer.render(layout(html), tmp_path / "report.pdf")


def test_a_document_too_deep_to_walk_fails_in_words(renderer: Renderer, tmp_path: Path) -> None:
    with pytest.raises(RenderFailed, match="RecursionError"):
        renderer.render(layout("<table><tr><td>" * 300), tmp_path / "report.pdf")


def test_a_link_is_written_and_not_followed(renderer: Renderer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        html = f'<a href="http://127.0.0.1:{server.getsockname()[1]}/">there</a>'
        assert renderer.render(layout(html), tmp_path / "report.pdf") == 1
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td>" + "<div style='display: inline-flex'><p>x " * 40,
        "<p>" + "x" * 1_000_000,
        "<div style='columns: 9'>" + "<p>words and more of them " * 60_000,
        "<style>@page { size: 1mm; margin: 0 }</style><p>" + "words " * 20_000,
        "<p style='page-break-after: always'>x" * 20_000,
        "<svg width='9' height='9'>" + ("<path d='M0 0" + " C 1 2 3 4 5 6" * 90 + "'/>") * 9_000 + "</svg>",
        "<style>" + "p:not(:has(a)) > p ~ p { color: red } " * 3000 + "</style>" + "<p>x" * 3000,
    ],
    ids=["nested boxes", "one word", "too much", "tiny pages", "many pages", "a huge drawing", "many selectors"],
)
def test_endless_work_is_stopped(make: Callable[..., Renderer], tmp_path: Path, html: str) -> None:
    renderer = make(seconds=1.5)
    try:
        renderer.render(layout("<p>warm"), tmp_path / "warm.pdf")
        begin = time.monotonic()
        with pytest.raises(RenderLimitExceeded, match=r"1\.5 seconds"):
            renderer.render(layout(html), tmp_path / "report.pdf")
        assert time.monotonic() - begin < 3
        assert renderer.render(layout("<p>next"), tmp_path / "next.pdf") == 1
    finally:
        renderer.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["next.pdf", "warm.pdf"]


def test_a_document_that_wants_too_much_memory_is_stopped(make: Callable[..., Renderer], tmp_path: Path) -> None:
    renderer = make(memory_mb=128)
    try:
        with pytest.raises(RenderLimitExceeded, match="128 MB"):
            renderer.render(layout(report(3000)), tmp_path / "report.pdf")
        assert renderer.render(layout("<p>next"), tmp_path / "next.pdf") == 1
    finally:
        renderer.close()


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


def test_cancelling_takes_half_a_second_at_most(renderer: Renderer, tmp_path: Path) -> None:
    renderer.render(layout("<p>warm"), tmp_path / "warm.pdf")
    asked = threading.Event()
    wish = threading.Event()

    def cancelled() -> bool:
        asked.set()
        return wish.is_set()

    with ThreadPoolExecutor(1) as threads:
        html = layout(report(3000))
        working = threads.submit(renderer.render, html, tmp_path / "report.pdf", cancelled=cancelled)
        assert asked.wait(5)
        begin = time.monotonic()
        wish.set()
        with pytest.raises(RenderFailed, match="no longer wanted"):
            working.result(5)
        assert time.monotonic() - begin < 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["warm.pdf"]


def test_an_old_file_survives_a_failed_render(renderer: Renderer, tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    target.write_bytes(b"old")
    with pytest.raises(RenderFailed):
        renderer.render(layout('<img src="asset:none.png">'), target)
    assert target.read_bytes() == b"old"


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
