"""A grant report: laid out by a warm renderer, beside a fresh process that calls WeasyPrint once on the same HTML."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import harness
from benchmarks.harness import ONE_CORE, ROOT, Row, Table, cpu_of, peak_mb
from benchmarks.installation import installation
from steward.cli import sample
from steward.documents.pdf.renderer import Layout
from steward.documents.pdf.weasyprint import WeasyRenderer
from steward.installation.container import Steward
from steward.plugins.run_result import HandlerRequest, HandlerResult
from steward.system.clock import new_id, now

WEASYPRINT = ("weasyprint>=70.0",)


def page(steward: Steward) -> tuple[str, str]:
    """Return the HTML and the title of the demo's grant report."""
    payload = steward.registry.get("grant_report").payload(**sample.GRANT_REPORT | {"formats": ["pdf"]})
    outcome = steward.preparer().prepare(HandlerRequest(new_id(), "grant_report", payload.model_dump_json(), [], now()))
    if not isinstance(outcome, HandlerResult) or outcome.documents[0].html is None:
        raise RuntimeError(f"the report could not be prepared: {outcome}")
    document = outcome.documents[0]
    return document.html.read_text(encoding="utf-8"), document.title


def warm(renderer: WeasyRenderer, html: str, title: str, target: Path) -> tuple[float, float]:
    """Lay the report out in the warm child; return the seconds and the CPU seconds."""
    cpu, started = cpu_of(renderer.pids()[0]), time.perf_counter()
    renderer.render(Layout(html, title, datetime(2026, 10, 1, tzinfo=UTC)), target)
    return time.perf_counter() - started, cpu_of(renderer.pids()[0]) - cpu


def fresh(python: Path, html: Path, target: Path, assets: dict[str, str]) -> tuple[float, float, float]:
    """Lay it out in a new process; return the seconds, the CPU seconds and the most memory in MB."""
    script = ROOT / "benchmarks" / "peers" / "fresh_weasyprint.py"
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [*ONE_CORE, python, script, html, target]
    subprocess.run(command, env=os.environ | {"ASSETS": json.dumps(assets)}, check=True, stderr=subprocess.DEVNULL)
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss / 1000


def main() -> int:
    """Run both in turn, several times."""
    options = harness.arguments(__doc__ or "", "three rounds").parse_args()
    python = harness.peers(*WEASYPRINT)
    os.sched_setaffinity(0, {int(ONE_CORE[2])})
    rounds = 3 if options.quick else 9
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="steward-bench-") as name:
        folder = Path(name)
        sample.make(folder / "union.sqlite3")
        with installation(source_url=f"sqlite:///{folder / 'union.sqlite3'}") as house:
            steward = house.open()
            html, title = page(steward)
            (folder / "report.html").write_text(html, encoding="utf-8")
            assets = {key: str(path) for key, path in steward.templates.assets.items()}
            renderer = WeasyRenderer(steward.templates.assets)
            renderer.warm()
            warm(renderer, html, title, folder / "warm.pdf")
            for _ in range(rounds):
                ours.append(warm(renderer, html, title, folder / "warm.pdf"))
                theirs.append(fresh(python, folder / "report.html", folder / "fresh.pdf", assets))
            mb = peak_mb(renderer.pids()[0])
            renderer.close()
            steward.close()
    table = Table()
    mine = [harness.middle([f[i] for f in ours]) for i in (0, 1)]
    other = [harness.middle([f[i] for f in theirs]) for i in (0, 1)]
    table.rows.append(Row("steward, warm", 1 / mine[0], "reports/s", mine[1] * 1000, mb))
    table.rows.append(Row("a fresh process", 1 / other[0], "reports/s", other[1] * 1000, max(f[2] for f in theirs)))
    table.ratios = {"ours/fresh process": other[1] / mine[1], "ours/fresh process by the clock": other[0] / mine[0]}
    table.wanted = {"ours/fresh process": 3.0}
    return table.show(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
