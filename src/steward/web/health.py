"""Says whether the service lives, and whether it can take tasks and work them off."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from steward.errors import StewardError
from steward.storage.fleet import workers
from steward.system.clock import now
from steward.web.access.keys import Authenticator
from steward.worker.conditions import conditions

if TYPE_CHECKING:
    from steward.installation.container import Steward


def routes(steward: Steward, keeper: Authenticator) -> list[Route]:
    """Return `/livez` and `/readyz`; they need no key, and tell nothing personal.

    With an operator's key `/readyz` says more: the words of servers and of the system, and remedies.
    """

    async def livez(request: Request) -> Response:
        return Response(to_json({"status": "alive"}), media_type="application/json")

    async def readyz(request: Request) -> Response:
        detailed = False
        if "authorization" in request.headers:
            with contextlib.suppress(StewardError):  # whoever may not see more sees what everybody does
                await keeper.admit(request, "operate")
                detailed = True
        ready, report = await run_in_threadpool(readiness, steward, detailed=detailed)
        return Response(to_json(report), 200 if ready else 503, media_type="application/json")

    return [Route("/livez", livez), Route("/readyz", readyz)]


def readiness(steward: Steward, *, detailed: bool = False) -> tuple[bool, dict[str, Any]]:
    """Return whether tasks can be accepted and will be performed, and what stands in the way.

    `detailed` adds reasons in the words of servers and of the system, and remedies: for operators only.
    """
    engine = steward.settings.engine
    report: dict[str, Any] = {"status": "ready", "engine": engine, "workers": 0}
    found = conditions(steward)
    try:
        with steward.ledger.read() as connection:
            report["workers"] = sum(worker.engine == engine for worker in workers.living(connection, now()))
    except StewardError:
        pass  # it is among the conditions
    if engine == "celery":
        kinds = {each.kind for each in found}
        unknown = bool(kinds & {"relay", "store"})
        report["broker"] = "unknown" if unknown else "unreachable" if "broker" in kinds else "reachable"
    said = [(each.blocks, str(each) if detailed else f"{each.words}.") for each in found]
    reasons, warnings = [s for blocks, s in said if blocks], [s for blocks, s in said if not blocks]
    if reasons:
        report |= {"status": "not ready", "reasons": reasons}
    if warnings:
        report["warnings"] = warnings
    return not reasons, report
