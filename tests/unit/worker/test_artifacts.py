"""Files of an attempt: known again by what they were made from, and never by their names."""

import random
from dataclasses import replace

import pytest
from tests.unit.storage.conftest import entry

from steward.errors import LateWriter, StorageUnavailable
from steward.plugins.run_result import CSV, ReportDocument
from steward.storage.archive import checksum
from steward.storage.archives.folder import FolderArchive
from steward.storage.database import Ledger
from steward.storage.database.group_commit import GroupCommit
from steward.storage.tasks import acceptance, artifacts, attempts, commands
from steward.system.clock import now
from steward.worker.attempt.artifacts import ArtifactKeeper, told_apart

pytestmark = pytest.mark.slow


class Press:
    """Lays out by writing down what it was given; `jobs` says how often. It has fonts for Latin letters alone."""

    def __init__(self):
        self.jobs = 0

    def render(self, layout, target, *, cancelled=lambda: False, lacking=lambda characters: None):
        self.jobs += 1
        if unknown := {c for c in layout.html if ord(c) > 0x24F}:
            lacking("".join(unknown))
        target.write_text(f"%PDF {layout.title} {layout.html}")
        return 1


@pytest.fixture
def house(tmp_path):
    """A task that runs, and what keeps files of it."""
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite3")
    ledger.open()
    writer = GroupCommit(ledger)
    made = entry(name="statements")
    ledger.apply(lambda c: acceptance.accept(c, [made]))
    (task,) = ledger.apply(lambda c: attempts.begin(c, [made.id], "w1", "claim", now()))
    yield ArtifactKeeper(task, "claim", writer, FolderArchive(tmp_path / "archive"), Press(), lambda: False)
    writer.close()
    ledger.close()


@pytest.fixture
def draw(tmp_path):
    """Writes documents as a handler's process leaves them: for each text a PDF to lay out and a table."""
    count = iter(range(1_000_000))

    def draw(*texts, name="statement", kept=True):
        found = []
        for text in texts:
            folder = tmp_path / "spool" / str(next(count))
            folder.mkdir(parents=True)
            html, table = folder / "report.html", folder / "0.csv"
            html.write_text(f"<p>{text}</p>")
            table.write_text(f"n\r\n{text}\r\n")
            found.append(ReportDocument(f"{name}.pdf", name, html, ((f"{name}.csv", CSV, table),), kept))
        return found

    return draw


def stored(house):
    with house.writer.ledger.read() as connection:
        return artifacts.stored(connection, house.task.id)


def again(house, **changes):
    """Return what keeps the files of the next attempt."""
    return replace(house, earlier=stored(house), **changes)


def contents(files):
    return [[each.path.read_text() for each in document] for document in files]


def expected(*texts, name="statement"):
    return [[f"%PDF {name} <p>{text}</p>", f"n\n{text}\n"] for text in texts]


def test_files_of_one_name_are_each_document_s_own(house, draw):
    files = house.produce(draw("Ada", "Bob", "Eve"))
    assert contents(files) == expected("Ada", "Bob", "Eve")
    assert {file.name for document in files for file in document} == {"statement.pdf", "statement.csv"}
    kept = stored(house)
    assert [a.name for a in kept] == [
        *("statement.pdf", "statement.csv", "statement (2).pdf"),
        *("statement (2).csv", "statement (3).pdf", "statement (3).csv"),
    ]
    assert [a.n for a in kept] == [1, 2, 3, 4, 5, 6]
    assert len({a.location for a in kept}) == 6
    assert all(checksum(house.archive, a.location) == a.sha256 for a in kept)


@pytest.mark.parametrize("first", [0, 1, 7, 20])
@pytest.mark.parametrize("sent", [False, True])
def test_a_later_attempt_finds_its_files_in_whatever_order_it_asks(house, draw, first, sent):
    names = [f"member {n}" for n in range(20)]
    random.Random(first).shuffle(names)
    house.produce(draw(*names[:first]))
    names.sort()
    later = again(house, sent=sent)
    assert contents(later.produce(draw(*names))) == expected(*names)
    assert house.renderer.jobs == 20, "nothing was laid out twice"
    assert len(stored(house)) == 40
    assert len({a.name.casefold() for a in stored(house)}) == 40


def test_other_figures_make_another_file_and_nobody_who_was_not_sent_the_old_one_gets_it(house, draw):
    house.produce(draw("Ada", "Bob"))
    files = again(house).produce(draw("Ada", "Bob, corrected"))
    assert contents(files) == expected("Ada", "Bob, corrected")
    assert [a.name for a in stored(house)].count("statement (2).pdf") == 1
    assert len(stored(house)) == 4, "what nobody was sent makes room"
    assert all(checksum(house.archive, a.location) == a.sha256 for a in stored(house))


def test_what_was_sent_stays_on_record_beside_what_is_made_anew(house, draw):
    house.produce(draw("Ada", "Bob"))
    before = stored(house)
    files = again(house, sent=True).produce(draw("Bob, corrected", "Ada"))
    assert contents(files) == expected("Bob, corrected", "Ada")
    assert [a for a in stored(house) if a in before] == before
    assert len(stored(house)) == 6
    assert all(checksum(house.archive, a.location) == a.sha256 for a in stored(house))


def test_what_was_altered_in_the_archive_is_never_mailed(house, draw):
    house.produce(draw("Ada"))
    document = next(each for each in stored(house) if each.name == "statement.pdf")
    house.archive.path(document.location).write_text("%PDF forged")
    with pytest.raises(StorageUnavailable, match="altered in the archive"):
        again(house).produce(draw("Ada"))


def test_what_is_not_asked_for_any_more_goes_unless_it_was_sent(house, draw):
    house.produce(draw("Ada", "Bob"))
    again(house, sent=True).produce(draw("Ada"))
    assert len(stored(house)) == 4
    again(house).produce(draw("Ada"))
    assert [a.name for a in stored(house)] == ["statement.pdf", "statement.csv"]


def test_the_same_document_twice_is_kept_twice(house, draw):
    twice = contents(house.produce(draw("Ada", "Ada")))
    assert twice == expected("Ada", "Ada")
    assert contents(again(house).produce(draw("Ada", "Ada"))) == twice
    assert len(stored(house)) == 4


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("first", [(), ("王芳",), ("Ada", "สม"), ("王芳", "สม", "Ada")])
def test_what_stands_as_boxes_is_said_by_whichever_attempt_ends_the_task(house, draw, first, sent, kept):
    house.produce(draw(*first, kept=kept))
    later = again(house, sent=sent, boxes=set())
    later.produce(draw("Ada", "王芳", "สม", kept=kept))
    assert later.renderer.jobs == (3 if kept else len(first) + 3)
    said = later.noted("The roll of 3 March.")
    assert said.startswith("The roll of 3 March. Chinese and Thai have characters that stand as boxes")


def test_what_stood_as_boxes_in_a_file_that_made_room_is_not_said(house, draw):
    house.produce(draw("王芳", "Ada"))
    for sent in (True, False):
        later = again(house, sent=sent, boxes=set())
        later.produce(draw("Ada"))
        assert bool(later.noted(None)) is sent, "what was sent stays on record, with its boxes"


def test_a_document_that_only_goes_with_a_letter_is_not_kept(house, draw):
    assert contents(house.produce(draw("Ada", kept=False))) == expected("Ada")
    assert stored(house) == []


@pytest.mark.parametrize("name", ["../up", "a/b", "CON", "", "x" * 120, "Ärger", "a\u0301"])
def test_hostile_names_stay_in_the_task_s_own_folder(house, draw, tmp_path, name):
    house.produce(draw("Ada", name=name))
    folder = house.archive.root / house.task.id[:2] / house.task.id
    assert sorted(p for p in (tmp_path / "archive").rglob("*") if p.is_file()) == sorted(folder.iterdir())
    assert len(stored(house)) == 2


def test_whoever_lost_the_task_keeps_nothing(house, draw):
    house.writer.ledger.apply(lambda c: commands.cancel(c, house.task.id, now()))
    with pytest.raises(LateWriter):
        house.produce(draw("Ada"))
    assert stored(house) == []


def test_the_files_of_one_letter_have_names_of_their_own(house, draw):
    files = house.produce(draw("Ada", "Bob"))
    told = told_apart([file for document in files for file in document])
    assert [file.name for file in told] == ["statement.pdf", "statement.csv", "statement (2).pdf", "statement (2).csv"]
    assert [file.path for file in told] == [file.path for document in files for file in document]
