"""The glossary: each class and each table has its word in it, each word is in use, and no two classes share a name."""

from __future__ import annotations

import ast
import builtins
import re
from collections import defaultdict
from pathlib import Path

from tests.house.repository import ROOT, modules, name, tree

GLOSSARY = ROOT / "docs" / "glossary.md"
MOST_LINES = 65
"""One screen."""
_ROW = re.compile(r"^\| (?P<terms>\*\*.+?) \| (?P<sentence>.+?) \| (?P<where>.+?) \|$", re.MULTILINE)
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def rows() -> list[tuple[list[str], str, str]]:
    """Return each row: its terms, its sentence, and where it says that they are."""
    found = _ROW.findall(GLOSSARY.read_text(encoding="utf-8"))
    return [(re.findall(r"\*\*(.+?)\*\*", terms.lower()), said, where) for terms, said, where in found]


def words_of(class_name: str) -> list[str]:
    """Return the words of a class's name, small and in the singular: `CaptureTransports` is capture, transport."""
    return [_singular(word.lower()) for word in _CAMEL.findall(class_name)]


def covered(class_name: str, terms: set[str]) -> bool:
    """Return whether one of `terms` stands in the name, whole and in one piece: never a part of a word."""
    said = f" {' '.join(words_of(class_name))} "
    return any(f" {' '.join(map(_singular, term.split()))} " in said for term in terms)


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def classes() -> list[tuple[Path, ast.ClassDef]]:
    """Return every class of the package, inner and private ones too."""
    return [(path, node) for path in modules("src") for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)]


def public_classes() -> list[tuple[Path, ast.ClassDef]]:
    """Return the classes that others can import: what stands in a function or a class is its own affair."""
    return [
        (path, node)
        for path in modules("src")
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


def errors() -> set[str]:
    """Return the names of the classes that are exceptions, by their bases."""
    bases = {node.name: [ast.unparse(base).rpartition(".")[2] for base in node.bases] for _, node in classes()}

    def is_error(class_name: str, below: frozenset[str] = frozenset()) -> bool:
        builtin = getattr(builtins, class_name, None)
        if isinstance(builtin, type) and issubclass(builtin, BaseException):
            return True
        return any(is_error(base, below | {class_name}) for base in bases.get(class_name, ()) if base not in below)

    return {each for each in bases if is_error(each)}


def tables() -> set[str]:
    """Return the names of the ledger's tables."""
    from steward.storage.database.schema.tables import metadata

    return set(metadata.tables)


def test_every_public_class_has_its_word() -> None:
    terms, told = {term for each, _, _ in rows() for term in each}, errors()
    wordless = [
        f"{name(path)}:{node.lineno} {node.name}"
        for path, node in public_classes()
        if node.name not in told and not covered(node.name, terms)
    ]
    assert not wordless, "give them a name with a word of docs/glossary.md, or the glossary a word for them"


def test_a_word_covers_only_names_in_which_it_stands_whole() -> None:
    assert covered("CaptureTransport", {"transport"})
    assert covered("Schedules", {"schedule"})
    assert covered("RetryPolicy", {"retry"})
    assert covered("MailCircuitBreaker", {"circuit breaker"})
    assert not covered("Transporter", {"transport"})
    assert not covered("BreakerCircuit", {"circuit breaker"})
    assert not covered("Frobnicator", {term for each, _, _ in rows() for term in each})


def test_every_table_is_named_where_its_word_is() -> None:
    told = [said for _, _, where in rows() for said in re.findall(r"tables? ((?:`\w+`(?:, )?)+)", where)]
    named = {each for said in told for each in re.findall(r"\w+", said)}
    assert named == tables()


def test_every_place_exists() -> None:
    gone = [
        place
        for _, _, where in rows()
        for place in re.findall(r"`([\w./-]+(?:\.py|\.md|/))`", where)
        if not any((base / place).exists() for base in (ROOT / "src" / "steward", ROOT))
    ]
    assert not gone


def test_every_row_says_where() -> None:
    assert all(re.search(r"`[\w./-]+`", where) for _, _, where in rows())
    assert len(rows()) > 40
    assert len(GLOSSARY.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_no_term_is_explained_twice() -> None:
    every = [term for each, _, _ in rows() for term in each]
    assert sorted(every) == sorted(set(every))


def test_every_term_is_in_use() -> None:
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path != GLOSSARY]
    texts = [path.read_text(encoding="utf-8") for path in [*modules("src"), *pages, ROOT / "README.md"]]
    used = " ".join(re.sub(r"[\s_-]+", " ", text) for text in texts).lower()
    camel = " ".join(" ".join(words_of(node.name)) for _, node in classes())
    terms = [term for each, _, _ in rows() for term in each]
    unused = [term for term in terms if not re.search(rf"\b{re.escape(term)}", f"{used} {camel}")]
    assert not unused, "nothing in the code or the documentation says these"


def test_no_two_classes_share_a_name() -> None:
    homes = defaultdict(list)
    for path, node in classes():
        homes[node.name].append(f"{name(path)}:{node.lineno}")
    for path in modules("src"):
        for node in tree(path).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Subscript, ast.BinOp)):
                for target in node.targets:
                    if isinstance(target, ast.Name) and re.match(r"[A-Z]\w*[a-z]", target.id):
                        homes[target.id].append(f"{name(path)}:{node.lineno}")
    assert not {each: places for each, places in homes.items() if len(places) > 1}
