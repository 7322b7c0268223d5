"""Pytest fixtures that start a local Xtremepush; loaded through the `pytest11` entry point."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from xtremepush_dlt.sandbox import Faults, Sandbox, SandboxSettings


class MakeSandbox(Protocol):
    """The type of the fixture `make_xtremepush_sandbox`."""

    def __call__(
        self, settings: SandboxSettings | None = None, faults: Faults | None = None
    ) -> Sandbox:
        """Start a sandbox that stops at the end of the test."""


@pytest.fixture
def make_xtremepush_sandbox() -> Iterator[MakeSandbox]:
    """Start sandboxes with settings and faults of the test's choice; all stop at its end."""
    try:
        # Here and not above, because pytest loads this module in projects without the extra too.
        from xtremepush_dlt.sandbox import Sandbox
    except ImportError as missing:
        pytest.fail(str(missing), pytrace=False)

    with ExitStack() as running:

        def make(settings: SandboxSettings | None = None, faults: Faults | None = None) -> Sandbox:
            return running.enter_context(Sandbox(settings, faults))

        yield make


@pytest.fixture
def xtremepush_sandbox(make_xtremepush_sandbox: MakeSandbox) -> Sandbox:
    """A running local Xtremepush with the default settings and no faults."""
    return make_xtremepush_sandbox()
