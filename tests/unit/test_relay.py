"""Packing due tasks into batches."""

from steward.ledger.due import Due
from steward.relay import lanes, packed


def test_a_suspect_runs_alone_and_the_rest_together():
    tasks = [Due("a"), Due("b", lost=1), Due("c"), Due("d")]
    assert packed(tasks, 2) == [["b"], ["a", "c"], ["d"]]
    assert packed([], 10) == []
    assert packed([Due("a")], 100) == [["a"]]


def test_resets_come_before_everything_and_bulk_comes_last():
    names = [lane.name for lane in lanes(2)]
    assert names[0] == "urgent"
    assert names[-1] == "bulk"
