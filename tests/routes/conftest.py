"""What the tests of the wire share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.routes.recorder import Recorder, running


@pytest.fixture(scope="session")
def recorder() -> Iterator[Recorder]:
    """One server for all tests: to start and stop one takes longer than most of them."""
    with running() as server:
        yield server


@pytest.fixture
def server(recorder: Recorder) -> Recorder:
    """The server, which has forgotten the last test."""
    recorder.forget()
    return recorder
