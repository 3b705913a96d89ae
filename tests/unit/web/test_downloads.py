"""File names in Content-Disposition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.web.api.downloads import disposition


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("report.pdf", 'attachment; filename="report.pdf"'),
        (
            "Übersicht 3 €.pdf",
            "attachment; filename=\"Ubersicht 3 .pdf\"; filename*=UTF-8''%C3%9Cbersicht%203%20%E2%82%AC.pdf",
        ),
        ("../../etc/passwd", 'attachment; filename="....etcpasswd"'),
        ('a"b;c.pdf', 'attachment; filename="ab;c.pdf"'),
        ("℀.pdf", "attachment; filename=\"ac.pdf\"; filename*=UTF-8''%E2%84%80.pdf"),
        ("", 'attachment; filename="file"'),
        ("\r\n", 'attachment; filename="file"'),
        ("日本", "attachment; filename=\"file\"; filename*=UTF-8''%E6%97%A5%E6%9C%AC"),
    ],
)
def test_a_name_becomes_a_header(name: str, header: str) -> None:
    assert disposition(name) == header


@given(st.text(max_size=60))
def test_no_name_breaks_out_of_the_header(name: str) -> None:
    header = disposition(name)
    assert header.isascii()
    assert header.isprintable()
    plain = header.partition('filename="')[2].partition('"')[0]
    assert plain
    assert not set(plain) & set('"\\/%')
    assert header.count('"') == 2
