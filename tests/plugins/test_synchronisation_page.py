"""The plugin on the page about synchronisation works as it stands there, also after a break in the middle of a page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import sqlalchemy as sa

from steward.cli.sample import make
from steward.installation.settings import load
from steward.storage.database.schema.tables import cursors
from steward.worker.dry_run import apart, trial

PAGE = Path(__file__).parents[2] / "docs" / "synchronisation.md"


def test_the_plugin_on_the_page_lists_every_member_once(tmp_path: Path) -> None:
    name, text = re.search(r"`plugins/(\w+\.py)`\n\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL).groups()
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / name).write_text(text)
    make(tmp_path / "members.sqlite3")
    listed = tmp_path / "library.txt"
    chosen = load(plugins_dir=tmp_path / "plugins", source_url=f"sqlite:///{tmp_path / 'members.sqlite3'}")
    with trial(apart(chosen, tmp_path / "data")) as place:
        steward = place.steward
        count = steward.source.value("SELECT count(*) FROM members WHERE deleted_at IS NULL")

        def run() -> str:
            return place.service.get_status(place.service.enqueue("library_list", file=str(listed))).note

        assert run().startswith("The list is complete up to member")
        whole = listed.read_text()
        assert len(set(whole.splitlines())) == len(whole.splitlines()) == count
        assert run()
        assert listed.read_text() == whole
        # As if the worker had been killed between sending half of the first page and committing it.
        lines = whole.splitlines()
        listed.write_text("".join(f"{line}\n" for line in lines[:50]))
        page = {"lines": lines[:100], "last": int(lines[99].split()[0])}
        values = {"position": sa.null(), "pending": json.dumps(page)}
        steward.ledger.apply(lambda c: c.execute(cursors.update().values(**values)))
        run()
        assert listed.read_text() == whole
