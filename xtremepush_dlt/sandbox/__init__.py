"""A local Xtremepush for trials and tests: both ways in and its tokens, with faults on demand.

It serves the External API (app token, or a Bearer token from its token endpoint) and the Segment
integration (API key). It is written from the public API reference and knows nothing of the client
in this package.
Needs the extra: ``pip install "xtremepush-dlt[sandbox]"``.

Example:
    ```python
    from xtremepush_dlt.sandbox import Faults, Sandbox, SandboxSettings

    with Sandbox(SandboxSettings(task_seconds=0.2), Faults(statuses={503: 0.1})) as sandbox:
        ...  # send to sandbox.url with sandbox.app_token, sandbox.client_id and .client_secret,
        ...  # or sandbox.segment_api_key
        assert sandbox.profiles["user-1"]["email"] == "sam@example.com"
    ```
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xtremepush_dlt.sandbox.faults import Faults
from xtremepush_dlt.sandbox.settings import OAuthClient, SandboxSettings

if TYPE_CHECKING:
    from xtremepush_dlt.sandbox.server import Sandbox

__all__ = ["Faults", "OAuthClient", "Sandbox", "SandboxSettings"]

_EXTRA = frozenset({"cryptography", "h11", "jwt", "orjson", "starlette", "uvicorn"})


def __getattr__(name: str) -> object:
    # Lazy, because pytest imports this package in every test run through the `pytest11` entry
    # point, also where the extra is not installed.
    if name != "Sandbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from xtremepush_dlt.sandbox.server import Sandbox
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise ImportError(
            f"The sandbox needs `{missing.name}`, which is not installed. "
            'Install the extra: pip install "xtremepush-dlt[sandbox]"'
        ) from missing
    return Sandbox
