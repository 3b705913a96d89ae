"""Slots held by file locks."""

import subprocess
import sys

from steward.worker import slots


def test_a_slot_is_held_by_one_and_free_when_its_process_is_killed(tmp_path):
    script = (
        "import sys; from pathlib import Path; from steward.worker import slots\n"
        "s = slots.take(Path(sys.argv[1])); print(s.number, flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert child.stdout.readline().strip() == "0"
    mine = slots.take(tmp_path)
    assert mine.number == 1
    assert slots.take_number(tmp_path, 0) is None
    assert slots.free(tmp_path, but=1) == []
    child.kill()
    child.wait()
    found = slots.free(tmp_path, but=1)
    assert [s.number for s in found] == [0]
    found[0].release()
    mine.release()
    assert slots.take(tmp_path).number == 0
