"""Reports of any data: no word leaves its page or stands over another, and what belongs together stays together."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pypdf
import pytest
from tests.unit.pages import Pages, read

from steward.documents.pdf.renderer import Layout
from steward.documents.pdf.weasyprint import WeasyRenderer
from steward.documents.tables.cells import clean
from steward.documents.templates import Templates
from steward.installation.settings import shipped
from steward.model.content import Column, Table

pytestmark = pytest.mark.slow

CREATED = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
TEMPLATES = Templates([shipped("templates")])
REPORT = """
{% extends "layouts/report.html.j2" %}
{% import "layouts/charts.html.j2" as chart %}
{% from "layouts/tables.html.j2" import grouped, table %}
{% from "layouts/report_parts.html.j2" import facts, heading, keys %}
{% macro cents(amount) %}{{ amount|money }}{% endmacro %}
{% block cover_facts %}{% if cover is defined %}{{ facts(cover) }}{% endif %}{% endblock %}
{% block cover_note %}{{ note|default("") }}{% endblock %}
{% block content %}<section>{{ heading("one", sections) }}BODY</section>{% endblock %}
"""


@pytest.fixture(scope="module")
def renderer() -> Iterator[WeasyRenderer]:
    renderer = WeasyRenderer(TEMPLATES.assets)
    yield renderer
    renderer.close()


@pytest.fixture
def laid(renderer: WeasyRenderer, tmp_path: Path) -> Any:
    def lay(body: str, title: str = "Report", heading: str = "One", house: str = "Local 214", **given: Any) -> Pages:
        names = {"title": title, "organization": house, "sections": {"one": heading}, "created_at": CREATED}
        source = REPORT.replace("BODY", body)
        drawn = clean(TEMPLATES._environment.from_string(source).render({**names, **given}))
        target = tmp_path / "report.pdf"
        renderer.render(Layout(drawn, title[:80], CREATED), target)
        return read(target)

    return lay


def columns(kinds: str, width: float | None = None) -> list[Column]:
    names = {"t": "text", "m": "money", "i": "integer", "d": "date", "p": "percent", "n": "decimal"}
    return [Column(f"c{n}", f"Column {n}", names[kind], width) for n, kind in enumerate(kinds)]  # type: ignore[arg-type]


LONG = "Apprenticeship instruction and professional development for counselors"
HUGE = Decimal("-123456789012.34")
WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
DAY = date(2026, 3, 3)


def row(kinds: str, n: int) -> tuple[Any, ...]:
    """Return a row of middling length."""
    made = {"t": f"Item {n} of {LONG[:30]}", "m": Decimal(n * 1000) + 1, "i": n, "d": DAY, "p": Decimal(n) / 97, "n": n}
    return tuple(made[kind] for kind in kinds)


HOSTILE_TABLES = {
    "figures far wider than their share": Table(
        "t", columns("tmmmm", 1), [("A", HUGE, HUGE, 1, HUGE)] * 3, total=("Total", HUGE * 100, HUGE, HUGE, HUGE)
    ),
    "a total wider than every row": Table(
        "t", columns("tmmm", 1), [("A", 1, 2, 3)] * 30, total=("Total", HUGE, HUGE, HUGE)
    ),
    "columns without widths": Table("t", columns("tttmm"), [(LONG, LONG, LONG, HUGE, HUGE)] * 4),
    "one column without a width": Table(
        "t", [*columns("tt", 1), Column("x", "Extra", "money")], [(LONG, LONG, HUGE)] * 4
    ),
    "words longer than any column": Table("t", columns("tttt", 1), [(WORD, WORD * 3, "a", WORD)] * 4),
    "headings longer than what they head": Table(
        "t", [Column(f"c{n}", f"Participantsrepresentatives {LONG}", "integer", 1) for n in range(6)], [range(6)] * 3
    ),
    "words among figures": Table("t", columns("tmip"), [("A", "not shown, see the note below the table", 1, 0.5)] * 3),
    "a figure wider than the page": Table("t", columns("tm"), [("A", Decimal(10) ** 200)] * 2),
    "line breaks": Table("t", columns("tt"), [("first\nsecond\n\nfourth", "a\nb")] * 3),
    **{
        f"{n} columns": Table("t", columns("t" + "m" * (n - 1)), [row("t" + "m" * (n - 1), k) for k in range(5)])
        for n in (12, 15, 16, 22, 40)
    },
    "twenty columns of text": Table("t", columns("t" * 20, 1), [row("t" * 20, n) for n in range(4)]),
    "no rows": Table("t", columns("tm"), [], "Nothing", ("Total", 0)),
}


@pytest.mark.parametrize("way", HOSTILE_TABLES)
@pytest.mark.parametrize("call", ["table(given)", "table(given, long=true, caption=false)"])
def test_a_table_stays_on_its_page_and_each_word_in_its_place(laid: Any, way: str, call: str) -> None:
    table = HOSTILE_TABLES[way]
    pages = laid(f"<p>Before.</p>{{{{ {call} }}}}<p>Behind.</p>", given=table)
    assert not pages.faults()
    # Nothing has been lost, though a word may have been broken.
    seen = re.sub(r"[\s-]", "", " ".join(word.text for word in pages.words))
    given = {"given": table, "title": "", "organization": "", "sections": {"one": ""}, "created_at": CREATED}
    drawn = TEMPLATES._environment.from_string(REPORT.replace("BODY", f"{{{{ {call} }}}}")).render(given)
    cells = [html.unescape(cell) for cell in re.findall(r">([^<>]*)</t[dh]>", drawn)]
    assert len(cells) >= len(table.columns)
    assert [w for cell in cells for w in cell.split() if w.replace("-", "") not in seen] == []


def test_demographics_stand_side_by_side_where_they_fit(laid: Any) -> None:
    narrow = [("Age", f"Group {n}", n, 0.25) for n in range(4)] + [("Town", "Portland", 4, 0.5)]
    wide = [(LONG, WORD, 10**12, 0.5), (WORD, LONG, 1, None)]
    four = [
        Column("a", "Trait"),
        Column("b", "Group"),
        Column("c", "People", "integer"),
        Column("d", "Share", "percent"),
    ]
    pages = laid(
        "{{ grouped(given) }}{{ grouped(other) }}", given=Table("t", four, narrow), other=Table("u", four, wide)
    )
    assert not pages.faults()
    ages, towns = (next(w for w in pages.words if w.text == text) for text in ("Age", "Town"))
    assert ages.top == pytest.approx(towns.top) and ages.right < towns.left


@pytest.mark.parametrize("rows", [*range(25, 64), 200])
def test_a_total_stands_with_rows_of_its_own(laid: Any, rows: int) -> None:
    table = Table("t", columns("tm"), [(f"Row-{n}", n) for n in range(rows)], total=("Total", 1))
    pages = laid("{{ table(given, long=true) }}", given=table)
    last = max(word.page for word in pages.words)
    assert "Total" in pages.text(last)
    assert {f"Row-{rows - 1}", f"Row-{rows - 2}"} <= set(pages.text(last).split())
    for page in range(2, last + 1):
        assert "Row-" in pages.text(page)  # never a heading alone


def test_tall_rows_leave_heading_and_caption_with_them(laid: Any) -> None:
    text = " ".join([LONG] * 12)
    table = Table("t", columns("tt"), [(f"Row-{n}", text) for n in range(10)], "The caption")
    pages = laid("{{ table(given) }}", heading="The heading", given=table)
    assert not pages.faults()
    first = next(word.page for word in pages.words if word.text == "Row-0")
    assert {"heading", "caption"} <= set(pages.text(first).split())
    assert [page for page in range(len(pages.sizes)) if len(pages.text(page)) < 200] == [0, 1]  # cover and contents


def test_line_breaks_in_a_cell_are_kept(laid: Any) -> None:
    pages = laid("{{ table(given) }}", given=Table("t", columns("tt"), [("alpha\nbeta", "gamma")]))
    alpha, beta, gamma = (next(w for w in pages.words if w.text == text) for text in ("alpha", "beta", "gamma"))
    assert alpha.left == pytest.approx(beta.left) and beta.top > alpha.top + 5
    assert gamma.top == pytest.approx(alpha.top)


@pytest.mark.parametrize("figure", ["7", "$491,383.61", "$123,456,789,012.34", "−$123,456,789,012,345.67", "n" * 60])
@pytest.mark.parametrize("count", [1, 3, 4, 7])
def test_key_figures_of_any_length_keep_apart(laid: Any, figure: str, count: int) -> None:
    pages = laid("{{ keys(given) }}", given=[(figure, f"what it is {n} {LONG}") for n in range(count)])
    assert not pages.faults()
    shown = "".join(word.text for word in pages.words)
    assert shown.count(figure) == count


def test_key_figures_are_not_tagged_as_a_table(laid: Any) -> None:
    def tags(node: Any) -> Iterator[str]:
        node = node.get_object()
        if isinstance(node, list):
            for each in node:
                yield from tags(each)
        elif isinstance(node, dict):
            yield from [str(node["/S"])] if "/S" in node else []
            yield from tags(node["/K"]) if "/K" in node else []

    root = pypdf.PdfReader(laid("{{ keys(given) }}", given=[("7", "days")] * 4).path).trailer["/Root"]
    found = set(tags(root["/StructTreeRoot"]))
    assert "/H2" in found
    assert not found & {"/Table", "/TR", "/TD"}


@pytest.mark.parametrize("length", [1, 20, 150, 600, 2000])
def test_long_titles_and_names_do_not_overlap(laid: Any, length: int) -> None:
    text = " ".join([LONG] * (length // len(LONG) + 1))[:length]
    pages = laid(
        "<p>Words.</p>{{ facts(given) }}",
        title=text,
        heading=text,
        house=text[:300],
        given=[(text, text), (WORD, WORD * 4)],
    )
    assert not pages.faults()
    letters = len("".join(word.text for word in pages.words))
    assert letters >= 5 * len(text.replace(" ", ""))  # whole in title, contents, heading and facts
    pages = laid("<p>Words.</p>", title=text, cover=[("Funder", text), (text, "x")] * 2, note=text[:600])
    assert not pages.faults()
    pages = laid("<p>Words.</p>", title=WORD * (length // 40 + 1), heading=WORD * (length // 80 + 1), house=WORD * 3)
    assert not pages.faults()


LABELS = {
    "short": ["Tools", "Safety", "Travel"],
    "long": [LONG, "Supplies", f"{LONG} and all that goes with it, in every one of the counties served"],
    "one word": [WORD, "Supplies", WORD[:40]],
    "many": [f"Category {n} of {LONG[:28]}" for n in range(70)],
}


@pytest.mark.parametrize("way", LABELS)
@pytest.mark.parametrize("amount", [Decimal(7), HUGE.copy_abs(), Decimal(0), Decimal(-5)])
def test_labels_and_figures_of_a_chart_are_whole_and_apart(laid: Any, way: str, amount: Decimal) -> None:
    labels = LABELS[way]
    given = {
        "pairs": [(label, amount * n, amount) for n, label in enumerate(labels)],
        "bars": [(label, amount * n, f"{amount * n:,} (12.5 %)") for n, label in enumerate(labels)],
        "parts": [(label, n + 1, f"{amount:,}") for n, label in enumerate(labels[:12])],
    }
    body = (
        '{{ chart.pairs("A", "a", pairs, ("What was planned", "Spent"), cents) }}{{ chart.bars("B", "b", bars) }}'
        '{{ chart.shares("C", "c", parts) }}'
    )
    pages = laid(body, **given)
    assert not pages.faults()
    seen = re.sub(r"[\s-]", "", " ".join(word.text for word in pages.words))
    for label in labels:
        assert seen.count(re.sub(r"[\s-]", "", label)) >= 2 + (label in labels[:12]), label


@pytest.mark.parametrize(
    "rows",
    [
        [(f"{n}", 0, Decimal(n), "") for n in range(2017, 2027)],
        [(f"{n}", 0, HUGE.copy_abs() * n, "") for n in range(1940, 2027)],
        [("September 2026", HUGE.copy_abs(), Decimal(5), "the fiscal year 2026")] * 20,
        [(f"{n % 12}", 1, Decimal(2), str(2000 + n // 2)) for n in range(24)],
        [("Jan", Decimal(-5), Decimal(3), "2026"), ("Feb", Decimal(0), Decimal(-7), "2026")],
        [("Jan", 0, Decimal(10) ** 16, "2026")],
    ],
    ids=["years", "many years", "long names", "many groups", "negative", "huge"],
)
def test_columns_over_time_keep_their_words_apart(laid: Any, rows: list[tuple[Any, ...]]) -> None:
    pages = laid('{{ chart.columns("A", "a", rows, cents, cents, ("Before the period", "In it")) }}', rows=rows)
    assert not pages.faults()
    assert sum(word.text == rows[0][0].split()[0] for word in pages.words) >= 1


CHARTS = {
    "pairs": '{{ chart.pairs("A", "a", rows, ("Planned", "Spent"), cents) }}',
    "bars": '{{ chart.bars("A", "a", rows) }}',
    "columns": '{{ chart.columns("A", "a", rows, cents, cents, ("Before", "In it")) }}',
    "shares": '{{ chart.shares("A", "a", rows) }}',
}


def rows_of(chart: str, amounts: list[Decimal]) -> list[tuple[Any, ...]]:
    return [
        (f"Row{n}", amount, f"{amount}") if chart in ("bars", "shares") else (f"Row{n}", amount, amount, "2026")
        for n, amount in enumerate(amounts)
    ]


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("amounts", [[], [0], [0, 0, 0], [7], [-5, 5], [5, 0]], ids=str)
@pytest.mark.parametrize("lazy", [False, True])
def test_a_chart_with_nothing_in_it_says_so(laid: Any, chart: str, amounts: list[int], lazy: bool) -> None:
    rows = rows_of(chart, [Decimal(amount) for amount in amounts])
    if chart == "pairs":
        rows = [row[:3] for row in rows]
    pages = laid(CHARTS[chart], rows=iter(rows) if lazy else rows)
    assert not pages.faults()
    seen = " ".join(word.text for word in pages.words)
    is_empty = not rows or (not any(amounts) and chart in ("columns", "shares"))
    assert ("Nothing in this period" in seen) == is_empty
    assert ("Row0" in seen) != is_empty
