"""What the delivery asks of a way into Xtremepush."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from xtremepush_dlt.mapping.payloads import Payload
from xtremepush_dlt.routes.calls import Call, CallSource
from xtremepush_dlt.routes.verdict import Verdict


class Route(Protocol):
    """A way into Xtremepush: encodes calls, sends them once, says what the answer means."""

    frame_bytes: int
    """Bytes of a request's body around its records."""

    imports: bool
    """Whether identify calls are rows of imports, which may become tasks and in which a user
    appears once; where not, each request carries one call of any kind."""

    def encode_profile(self, payload: Payload) -> bytes:
        """Encodes the row of an import, its values in the order of its columns."""

    def encode_calls(
        self, source: CallSource, payloads: Iterable[Payload], ids: Sequence[object]
    ) -> list[bytes]:
        """Encodes calls that are sent as they are."""

    def endpoint(self, call: Call) -> str:
        """Address that a kind of call is sent to."""

    def body(self, call: Call, columns: Sequence[str], records: Sequence[bytes]) -> bytes:
        """The body of a request, without the credential."""

    def send(self, call: Call, body: bytes) -> Verdict:
        """Sends a body once."""

    def look_up_task(self, task_id: str) -> Verdict:
        """Asks how a task is doing; `ACCEPTED` while it runs."""

    def other_imports_run(self, known: Collection[str]) -> Verdict:
        """Asks for running import tasks that are not known here; `ACCEPTED` while one runs."""


@dataclass(frozen=True, repr=False)
class Outgoing:
    """A request, as the sender needs to know it.

    Attributes:
        send: Sends it once.
        rows: Calls in it; 0 for a question about a task.
        endpoint: Address that it goes to.
        actions: Indices of the actions that made the calls.
        body: Its body without the credential.
        span: For events, the lane and range that are in doubt while it is under way.
        is_import: Whether a lost answer may have told of a task.
    """

    send: Callable[[], Verdict]
    rows: int = 0
    endpoint: str = ""
    actions: Collection[int] = ()
    body: bytes = b""
    span: Mapping[str, int] | None = None
    is_import: bool = False
