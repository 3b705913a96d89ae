"""Names of files: harmless on any machine, and told apart where several go together."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.system.filenames import LONGEST, all_apart, apart, folded, harmless

names = st.text(max_size=300)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("statement.pdf", "statement.pdf"),
        ("Bericht für März 2026.xlsx", "Bericht für März 2026.xlsx"),
        ("v1.2 final.pdf", "v1.2 final.pdf"),
        ("../up.csv", "_up.csv"),
        ("a/b.pdf", "a_b.pdf"),
        ("..\\up.pdf", "_up.pdf"),
        ("/etc/passwd", "_etc_passwd"),
        ("C:\\boot.ini", "C__boot.ini"),
        ("CON.pdf", "_CON.pdf"),
        ("con", "_con"),
        ("com¹.csv", "_com¹.csv"),
        ("lpt9.tar.gz", "_lpt9.tar.gz"),
        ("console.pdf", "console.pdf"),
        (".pdf", "file.pdf"),
        ("", "file"),
        (" . ", "file"),
        (".hidden", "file.hidden"),
        ("bell\x07\x85\u202e\ufeff.pdf", "bell____.pdf"),
        ("u\u0308ber.pdf", "über.pdf"),
        ("\ud800.pdf", "_.pdf"),
        ("trailing. .", "trailing"),
        (f"{'x' * 300}.pdf", f"{'x' * (LONGEST - 4)}.pdf"),
        (f"{'é' * 300}.pdf", f"{'é' * 58}.pdf"),
    ],
)
def test_a_name_does_no_harm_and_stays_as_near_as_may_be(name: str, kept: str) -> None:
    assert harmless(name) == kept


@given(names)
def test_whatever_the_name_it_is_a_plain_file(name: str) -> None:
    kept = harmless(f"{name}.csv")
    assert kept.endswith(".csv")
    assert len(kept.encode()) <= LONGEST
    assert not set(kept) & set('/\\:*?"<>|')
    assert not kept.startswith(".")
    assert not any(unicodedata.category(c)[0] == "C" for c in kept)
    assert harmless(kept) == kept


@given(st.lists(names, max_size=12))
def test_no_two_names_are_one_to_any_file_system(given: list[str]) -> None:
    found = all_apart(harmless(f"{name}.pdf") for name in given)
    assert len(found) == len(given)
    assert len({folded(name) for name in found}) == len(given)
    assert all(harmless(name) == name for name in found)


@pytest.mark.parametrize(
    ("name", "other"),
    [("a.pdf", "a.pdf"), ("A.pdf", "a.PDF"), ("stra\u00dfe.pdf", "STRASSE.pdf"), ("\ufb01t.pdf", "fit.pdf")],
)
def test_names_that_some_file_system_takes_for_one_get_a_number(name: str, other: str) -> None:
    assert apart(name, [other]).endswith(" (2).pdf")
    assert apart(name, [other, apart(name, [other])]).endswith(" (3).pdf")
