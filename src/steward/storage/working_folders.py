"""Where an attempt lays down the files that it makes, and what is left there by attempts that are no more.

One folder for each attempt, named by its claim: what an earlier or a cancelled one left is nobody else's, and can be
told from what is being made just now.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from steward.system import private_files

_UNCLAIMED: Final = "unclaimed"


def of(spool: Path, task_id: str, claim: str) -> Path:
    """Return the folder of an attempt; it need not be there."""
    return spool / task_id / (claim or _UNCLAIMED)


def fresh(folder: Path) -> Path:
    """Return `folder`, empty, for this user alone."""
    shutil.rmtree(folder, ignore_errors=True)
    for each in (folder.parent.parent, folder.parent, folder):
        private_files.own_folder(each)
    return folder


def remove(spool: Path, task_id: str, claim: str) -> None:
    """Delete the folder of an attempt, if there is one."""
    folder = of(spool, task_id, claim)
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # another attempt's folder stands in it, or there was none
        folder.parent.rmdir()


def sweep(spool: Path, running: Callable[[Sequence[str]], Mapping[str, str]]) -> int:
    """Delete what no running attempt owns and return how many attempts had left something.

    `running` says which of some tasks run, and under which claim. It is asked after the folder was read: whatever
    begins meanwhile has a claim of its own, and a folder that was not seen.
    """
    private_files.narrow(spool)  # an earlier version may have left it open
    found = [folder for task in spool.glob("*") for folder in ([*task.glob("*")] if task.is_dir() else [task])]
    if not found:
        return 0
    now = running(sorted({folder.relative_to(spool).parts[0] for folder in found}))
    count = 0
    for folder in found:
        task_id = folder.relative_to(spool).parts[0]
        if now.get(task_id) == folder.name:
            continue
        count += 1
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            folder.unlink(missing_ok=True)
    for task in {spool / folder.relative_to(spool).parts[0] for folder in found}:
        with contextlib.suppress(OSError):  # what runs is still in it
            task.rmdir()
    return count
