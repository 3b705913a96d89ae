"""What every renderer keeps: whole files or none, same bytes for the same layout, nothing read or called, limits."""

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
from typing import ClassVar, Final

import pytest

from steward.documents.pdf.renderer import Layout, Renderer
from steward.errors import RenderFailed, RenderLimitExceeded

CREATED: Final = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
LOGO: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><rect width="40" height="40" fill="#123456"/></svg>'
)
REPORT: Final = """<!doctype html><html lang="en"><head><title>Ignored</title>
<link rel="stylesheet" href="asset:print.css"></head><body><h1>Figures</h1><p>Zoë &amp; Łukasz</p>
<img src="asset:logo.svg" alt="Logo"><img alt="dot" src="{dot}"><h2>Members</h2>
<table><thead><tr><th>No</th><th>Name</th></tr></thead><tbody>{rows}</tbody></table></body></html>"""
DOT: Final = "data:image/svg+xml;base64," + base64.b64encode(LOGO.encode()).decode()
CSS: Final = """@page { size: Letter; @bottom-right { content: "Page " counter(page) " of " counter(pages) } }
h1, h2 { bookmark-level: 1 } table { width: 100% } thead { display: table-header-group }"""
SECRET: Final = "the-secret-of-this-machine"  # noqa: S105  # made up
HOSTILE: Final = {
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
"""Ways in which a document may ask for what it must not have."""
ENDLESS: Final = {
    "too much": "<div style='columns: 9'>" + "<p>words and more of them " * 60_000,
    "many pages": "<p style='page-break-after: always'>x" * 20_000,
    "many selectors": "<style>" + "p:not(:has(a)) > p ~ p { color: red } " * 3000 + "</style>" + "<p>x" * 3000,
}


def report(rows: int) -> str:
    """Return a document with a table of so many rows."""
    return REPORT.format(dot=DOT, rows="".join(f"<tr><td>{n}</td><td>Member {n}</td></tr>" for n in range(rows)))


def layout(html: str) -> Layout:
    """Return what is to be laid out."""
    return Layout(html, "Grant report", CREATED, author="Local 214", lang="en")


class RendererContract:
    """Inherit it and define the fixture `make`, of the scope "class"; it asks for pypdf beside pytest."""

    endless: ClassVar[dict[str, str]] = ENDLESS
    """Documents whose layout takes longer than the limit that a test sets (1.5 seconds)."""

    @pytest.fixture(scope="class")
    @classmethod
    def make(cls, assets: dict[str, Path]) -> Callable[..., Renderer]:
        """Return what makes a renderer with `assets` and the options `seconds`, `memory_mb` and `processes`."""
        raise NotImplementedError("Define the fixture `make` in your class")

    @pytest.fixture(scope="class")
    @classmethod
    def assets(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
        """The assets that the documents of the contract show, by name."""
        folder = tmp_path_factory.mktemp("assets")
        (folder / "logo.svg").write_text(LOGO)
        (folder / "print.css").write_text(CSS)
        return {path.name: path for path in folder.iterdir()}

    @pytest.fixture(scope="class")
    @classmethod
    def renderer(cls, make: Callable[..., Renderer]) -> Iterator[Renderer]:
        """One renderer for all tests of the class."""
        renderer = make()
        renderer.warm()
        yield renderer
        renderer.close()

    def test_a_document_is_tagged_titled_and_complete(self, renderer: Renderer, tmp_path: Path) -> None:
        import pypdf

        target = tmp_path / "report.pdf"
        pages = renderer.render(layout(report(120)), target)
        document = pypdf.PdfReader(target)
        assert pages == len(document.pages) == 4
        assert document.metadata is not None
        assert (document.metadata.title, document.metadata.author) == ("Grant report", "Local 214")
        assert document.metadata.creation_date == CREATED
        catalog = document.trailer["/Root"]
        assert catalog["/Lang"] == "en"  # type: ignore[index]  # pypdf resolves it
        assert catalog["/MarkInfo"]["/Marked"]  # type: ignore[index]  # as above
        assert [item["/Title"] for item in document.outline] == ["Figures", "Members"]  # type: ignore[call-overload]  # flat here
        texts = [page.extract_text() for page in document.pages]
        assert "Zoë & Łukasz" in texts[0]
        assert all(f"Page {n} of 4" in text for n, text in enumerate(texts, 1))
        assert all("Name" in text for text in texts)  # the heading is repeated
        assert [int(n) for text in texts for n in re.findall(r"Member (\d+)", text)] == list(range(120))
        assert list(tmp_path.iterdir()) == [target]

    def test_the_same_layout_gives_the_same_bytes_in_any_process(
        self, make: Callable[..., Renderer], tmp_path: Path
    ) -> None:
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

    def test_several_threads_may_ask_at_once(self, renderer: Renderer, tmp_path: Path) -> None:
        with ThreadPoolExecutor(4) as threads:
            targets = [tmp_path / f"{n}.pdf" for n in range(4)]
            pages = list(threads.map(lambda target: renderer.render(layout(report(5)), target), targets))
        assert pages == [1] * 4
        assert len({target.read_bytes() for target in targets}) == 1

    @pytest.mark.parametrize("way", HOSTILE)
    def test_files_and_addresses_stay_out_of_reach(self, renderer: Renderer, tmp_path: Path, way: str) -> None:
        secret = tmp_path / "secret.svg"
        secret.write_text(LOGO.replace("<rect", f"<text y='9'>{SECRET}</text><rect"))
        target = tmp_path / "report.pdf"
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0)
            port = server.getsockname()[1]
            for url in (
                f"file://{secret}",
                "file:///etc/passwd",
                f"http://127.0.0.1:{port}/x",
                f"ftp://127.0.0.1:{port}/",
            ):
                with pytest.raises(RenderFailed) as failed:
                    renderer.render(layout(HOSTILE[way].format(url=url)), target)
                assert "assets" in str(failed.value)
            with pytest.raises(BlockingIOError):
                server.accept()
        assert not target.exists()

    @pytest.mark.parametrize(
        "name", ["asset:../secret", "asset:/etc/passwd", "asset://host/logo.svg", "asset:", "asset:logo"]
    )
    def test_assets_are_found_by_their_exact_name_only(self, renderer: Renderer, tmp_path: Path, name: str) -> None:
        with pytest.raises(RenderFailed, match="There is no asset"):
            renderer.render(layout(f'<img src="{name}">'), tmp_path / "report.pdf")

    @pytest.mark.parametrize("html", ['<img src="logo.svg">', '<img src="data:image/png;base64,AAAA">'])
    def test_nothing_is_left_out_in_silence(self, renderer: Renderer, tmp_path: Path, html: str) -> None:
        with pytest.raises(RenderFailed, match="would lack something"):
            renderer.render(layout(html), tmp_path / "report.pdf")

    def test_a_link_is_written_and_not_followed(self, renderer: Renderer, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0)
            html = f'<a href="http://127.0.0.1:{server.getsockname()[1]}/">there</a>'
            assert renderer.render(layout(html), tmp_path / "report.pdf") == 1
            with pytest.raises(BlockingIOError):
                server.accept()

    def test_endless_work_is_stopped(self, make: Callable[..., Renderer], tmp_path: Path) -> None:
        assert self.endless
        renderer = make(seconds=1.5)
        try:
            for html in self.endless.values():
                renderer.render(layout("<p>warm"), tmp_path / "warm.pdf")
                begin = time.monotonic()
                with pytest.raises(RenderLimitExceeded, match=r"1\.5 seconds"):
                    renderer.render(layout(html), tmp_path / "report.pdf")
                assert time.monotonic() - begin < 3
                assert renderer.render(layout("<p>next"), tmp_path / "next.pdf") == 1
        finally:
            renderer.close()
        assert sorted(path.name for path in tmp_path.iterdir()) == ["next.pdf", "warm.pdf"]

    def test_a_document_that_wants_too_much_memory_is_stopped(
        self, make: Callable[..., Renderer], tmp_path: Path
    ) -> None:
        renderer = make(memory_mb=128)
        try:
            with pytest.raises(RenderLimitExceeded, match="128 MB"):
                renderer.render(layout(report(3000)), tmp_path / "report.pdf")
            assert renderer.render(layout("<p>next"), tmp_path / "next.pdf") == 1
        finally:
            renderer.close()

    def test_cancelling_takes_half_a_second_at_most(self, renderer: Renderer, tmp_path: Path) -> None:
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

    def test_an_old_file_survives_a_failed_render(self, renderer: Renderer, tmp_path: Path) -> None:
        target = tmp_path / "report.pdf"
        target.write_bytes(b"old")
        with pytest.raises(RenderFailed):
            renderer.render(layout('<img src="asset:none.png">'), target)
        assert target.read_bytes() == b"old"

    def test_can_be_closed_twice(self, make: Callable[..., Renderer], tmp_path: Path) -> None:
        renderer = make()
        renderer.render(layout("<p>x"), tmp_path / "x.pdf")
        renderer.close()
        renderer.close()
