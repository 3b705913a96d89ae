"""Every benchmark takes the same arguments and ends with the same object. Nothing is timed here."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.harness import Row, Table, arguments, family, middle, own_cpu

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PARTS = {"__init__", "celery_peer", "harness", "installation", "sender", "stages"}
"""What benchmarks are made of; every other module is one."""
BENCHMARKS = sorted({path.stem for path in (ROOT / "benchmarks").glob("*.py")} - PARTS)


def table(ratio: float) -> Table:
    result = Table(rows=[Row("ours", 10.0, "mails/s", 0.5, 100.0), Row("theirs", 5.0, "mails/s", 1.5, 90.0)])
    result.ratios, result.wanted, result.most = (
        {"ours/theirs": ratio, "seconds": 1.5},
        {"ours/theirs": 2.0},
        {"seconds": 2},
    )
    return result


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_says_what_it_measures_and_takes_the_common_arguments(name):
    module = importlib.import_module(f"benchmarks.{name}")
    assert callable(module.main)
    assert module.__doc__
    shown = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "--quick" in shown and "--json" in shown


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_is_described_and_run_by_make(name):
    assert f"benchmarks.{name}" in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert name in (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nbench:")[2].partition("\n\n")[0]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(("ratio", "met"), [(2.0, True), (1.99, False)])
def test_the_last_line_is_one_object(capsys, as_json, ratio, met):
    assert table(ratio).show(as_json=as_json) == (0 if met else 1)
    lines = capsys.readouterr().out.splitlines()
    assert json.loads(lines[-1]) == {
        "rows": [
            {"name": "ours", "rate": 10.0, "unit": "mails/s", "cpu_s": 0.5, "peak_mb": 100.0},
            {"name": "theirs", "rate": 5.0, "unit": "mails/s", "cpu_s": 1.5, "peak_mb": 90.0},
        ],
        "ratios": {"ours/theirs": ratio, "seconds": 1.5},
        "met": met,
    }
    assert (len(lines) == 1) == as_json


def test_a_ratio_that_was_not_measured_is_not_met():
    missing = table(3.0)
    del missing.ratios["seconds"]
    assert not missing.met


def test_the_arguments_are_off_unless_given():
    options = arguments("what", "less").parse_args([])
    assert (options.quick, options.json) == (False, False)


def test_a_process_is_counted_with_what_it_started():
    parent = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run(['cat'])"], stdin=subprocess.PIPE
    )
    try:
        while len(family(parent.pid)) < 2:
            assert parent.poll() is None
        assert family(parent.pid)[0] == parent.pid
        assert own_cpu(parent.pid) >= 0
    finally:
        parent.stdin.close()
        parent.wait()
    assert own_cpu(parent.pid) == 0
    assert middle([3, 1, 2]) == 2
