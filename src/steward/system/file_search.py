"""Looks for texts in files, from a process of its own: the files may be stores that this process has open.

Whoever closes a file drops every POSIX lock that the same process holds on it (fcntl(2)), SQLite's among them: another
process then takes the store for unused and cuts the shared memory that this one reads, which ends it by SIGBUS
(a measured finding). This file runs with the standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CHUNK: Final = 1 << 20


def holding(paths: Iterable[Path], texts: Iterable[str]) -> list[Path]:
    """Return those of `paths` in whose bytes one of `texts` stands in UTF-8, in whatever case.

    What cannot be read, or is gone meanwhile, is left out.
    """
    asked = json.dumps([[str(path) for path in paths], list(texts)])
    done = subprocess.run(  # noqa: S603  # our own program
        [sys.executable, "-I", __file__], input=asked, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True
    )
    return [Path(each) for each in json.loads(done.stdout)]


def _search(paths: Iterable[str], texts: Iterable[str]) -> list[str]:
    wanted = [text.encode("utf-8", "surrogatepass") for text in texts]
    pattern = re.compile(b"|".join(map(re.escape, wanted)), re.IGNORECASE)
    overlap = max(map(len, wanted))
    found = []
    for path in paths:
        with contextlib.suppress(OSError), Path(path).open("rb") as file:
            before = b""
            while chunk := file.read(_CHUNK):
                if pattern.search(before + chunk):
                    found.append(path)
                    break
                before = (before + chunk)[-overlap:]
    return found


if __name__ == "__main__":
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # it is a TextIOWrapper here
    json.dump(_search(*json.load(sys.stdin)), sys.stdout)
