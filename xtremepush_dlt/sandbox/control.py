"""Control and inspection over HTTP, under `/_sandbox/`; untouched by faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xtremepush_dlt.sandbox.envelope import failure
from xtremepush_dlt.sandbox.faults import Faults

if TYPE_CHECKING:
    from xtremepush_dlt.sandbox.app import SandboxApp
    from xtremepush_dlt.sandbox.events import Event

CONTROL_PREFIX = "/_sandbox"


def control_app(sandbox: SandboxApp) -> Starlette:
    """The routes of one sandbox. Lists take `?limit=` and `?offset=`, and `?user_id=`."""

    def reads(name: str, look: Callable[[Request], object]) -> Route:
        async def endpoint(request: Request) -> Response:
            return _json(look(request))

        return Route(f"{CONTROL_PREFIX}/{name}", endpoint, methods=["GET"])

    async def set_faults(request: Request) -> Response:
        wanted = orjson.loads(await request.body())
        if not isinstance(wanted, dict):
            raise ValueError("Faults are a JSON object.")  # noqa: TRY004  # answered with 400
        sandbox.faults.set(Faults.from_mapping(wanted))
        return _json(sandbox.faults.faults)

    async def reset(_request: Request) -> Response:
        sandbox.reset()
        return _json({"ok": True})

    async def revoke(_request: Request) -> Response:
        sandbox.office.revoke_all()
        return _json({"ok": True})

    return Starlette(
        routes=[
            reads("health", lambda _: {"ok": True}),
            reads("state", lambda _: summary(sandbox)),
            reads("profiles", lambda request: _profiles(sandbox, request)),
            reads("events", lambda request: _events(sandbox, request)),
            reads("requests", lambda request: _page(request, sandbox.recorder.requests)),
            reads("tasks", lambda request: _page(request, sandbox.api.board.tasks.values())),
            reads("deletions", lambda request: _page(request, sandbox.api.deletions.done)),
            reads("overlaps", lambda request: _page(request, sandbox.api.board.overlaps)),
            reads("faults", lambda _: sandbox.faults.faults),
            Route(f"{CONTROL_PREFIX}/faults", set_faults, methods=["PUT", "POST"]),
            Route(f"{CONTROL_PREFIX}/reset", reset, methods=["POST"]),
            Route(f"{CONTROL_PREFIX}/revoke-tokens", revoke, methods=["POST"]),
        ],
        exception_handlers={ValueError: _not_valid},
    )


def summary(sandbox: SandboxApp) -> dict[str, object]:
    """The state in numbers."""
    api, recorder = sandbox.api, sandbox.recorder
    statuses: dict[str, int] = {}
    for record in recorder.requests:
        key = "none" if record.status is None else str(record.status)
        statuses[key] = statuses.get(key, 0) + 1
    return {
        "profiles": len(api.profiles.attributes),
        "profiles_imported": len(api.profiles.imported),
        "events": len(api.log.events),
        "deletions": len(api.deletions.done),
        "tasks": len(api.board.tasks),
        "tasks_running": api.board.running,
        "overlaps": len(api.board.overlaps),
        "tokens_issued": sandbox.office.issued,
        "requests": len(recorder.requests),
        "statuses": statuses,
        "in_flight": recorder.in_flight,
        "max_in_flight": recorder.max_in_flight,
        "faults_injected": dict(sandbox.faults.injected),
        "event_warnings": dict(api.log.warnings),
        "segment_warnings": dict(api.segment.warnings),
        "ignored_traits": dict(api.segment.ignored_traits),
    }


def _profiles(sandbox: SandboxApp, request: Request) -> dict[str, dict[str, object]]:
    kept, user_id = sandbox.api.profiles.attributes, request.query_params.get("user_id")
    if user_id is not None:
        return {user_id: kept[user_id]} if user_id in kept else {}
    return dict(_page(request, kept.items()))


def _events(sandbox: SandboxApp, request: Request) -> list[Event]:
    kept, user_id = sandbox.api.log.events, request.query_params.get("user_id")
    return _page(request, (one for one in kept if user_id is None or one.user_id == user_id))


def _page(request: Request, items: Iterable[Any]) -> list[Any]:
    params = request.query_params
    offset = int(params.get("offset", "0"))
    limit = params.get("limit")
    return list(islice(items, offset, None if limit is None else offset + int(limit)))


async def _not_valid(_request: Request, wrong: Exception) -> Response:
    return _json(failure(400, str(wrong)).envelope, 400)


def _json(value: object, status: int = 200) -> Response:
    content = orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS)
    return Response(content, status, media_type="application/json")


def _plain(value: object) -> object:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
