"""A sandbox in a thread of this process, on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import uvicorn

from xtremepush_dlt.sandbox.app import SandboxApp
from xtremepush_dlt.sandbox.control import summary
from xtremepush_dlt.sandbox.deletions import Deletion
from xtremepush_dlt.sandbox.events import Event
from xtremepush_dlt.sandbox.faults import Faults
from xtremepush_dlt.sandbox.recorder import RequestRecord
from xtremepush_dlt.sandbox.serving import PromptServer, TransportProtocol
from xtremepush_dlt.sandbox.settings import SandboxSettings
from xtremepush_dlt.sandbox.tasks import Overlap, Task

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")
_PATIENCE = 10.0  # seconds for the thread to start, to answer and to end


class Sandbox:
    """A local Xtremepush. Use as a context manager, or with `start` and `stop`.

    What it has kept can be read while it runs and after it has stopped; each read is a consistent
    copy.

    Args:
        settings: How it behaves; the defaults follow the API reference.
        faults: What goes wrong; by default nothing.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
    """

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        faults: Faults | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.settings = settings or SandboxSettings()
        self._app = SandboxApp(self.settings, faults or Faults())
        self._host = host
        self._port = port
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; returns when requests are answered."""
        if self._thread is not None:
            raise RuntimeError("The sandbox was started before; make a new one.")
        # Bound here, so that a port that is taken is an error of the caller and not of a thread.
        listener = socket.create_server((self._host, self._port), backlog=2048)
        # without it each answer on a kept connection waits 40 ms for the client's acknowledgement
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._port = listener.getsockname()[1]
        started = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener, started), name="xtremepush-sandbox", daemon=True
        )
        self._thread.start()
        if not started.wait(_PATIENCE):
            raise RuntimeError("The sandbox did not start.")

    def stop(self) -> None:
        """Stop listening and drop the requests that are still open."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has closed by itself
            loop.call_soon_threadsafe(self._app.close)
        thread.join(_PATIENCE)
        self._loop = None

    @property
    def url(self) -> str:
        """The base URL, e.g. `http://127.0.0.1:8123`."""
        return f"http://{self._host}:{self._port}"

    @property
    def app_token(self) -> str:
        """The token that is accepted."""
        return self.settings.app_token

    @property
    def client_id(self) -> str:
        """The first of the OAuth clients."""
        return self.settings.oauth_clients[0].client_id

    @property
    def client_secret(self) -> str | None:
        """The secret of the first of the OAuth clients; None when it has only a public key."""
        return self.settings.oauth_clients[0].client_secret

    @property
    def segment_api_key(self) -> str:
        """The API key of the Segment integration."""
        return self.settings.segment_api_key

    @property
    def tokens_issued(self) -> int:
        """How many access tokens were issued."""
        return self._read(lambda: self._app.office.issued)

    def revoke_tokens(self) -> None:
        """Make all access tokens invalid; the clients can get new ones."""
        self._read(self._app.office.revoke_all)

    @property
    def profiles(self) -> dict[str, dict[str, object]]:
        """Attributes of each profile by user id (without the user id itself).

        A profile that has only an anonymous id (Segment route) stands under that.
        """
        return self._read(
            lambda: {user: dict(kept) for user, kept in self._app.api.profiles.attributes.items()}
        )

    @property
    def consents(self) -> dict[str, dict[str, object]]:
        """Consent preferences by user id; empty unless `consent_manager` is on."""
        return self._read(
            lambda: {user: dict(kept) for user, kept in self._app.api.profiles.consents.items()}
        )

    @property
    def events(self) -> list[Event]:
        """All events in the order of their arrival."""
        return self._read(lambda: list(self._app.api.log.events))

    @property
    def deletions(self) -> list[Deletion]:
        """All deletions in the order in which they were carried out."""
        return self._read(lambda: list(self._app.api.deletions.done))

    @property
    def ignored_traits(self) -> dict[str, int]:
        """How often the Segment route ignored a trait, by the name of the missing attribute."""
        return self._read(lambda: dict(self._app.api.segment.ignored_traits))

    @property
    def requests(self) -> list[RequestRecord]:
        """All requests to the API in the order of their arrival."""
        return self._read(lambda: [copy(record) for record in self._app.recorder.requests])

    @property
    def tasks(self) -> list[Task]:
        """All tasks, of imports and deletions, in the order of their making."""
        return self._read(lambda: [replace(task) for task in self._app.api.board.tasks.values()])

    @property
    def overlaps(self) -> list[Overlap]:
        """Imports and deletions that came while a task of some of the same users had not ended."""
        return self._read(lambda: list(self._app.api.board.overlaps))

    @property
    def faults(self) -> Faults:
        """The faults in force."""
        return self._read(lambda: self._app.faults.faults)

    @property
    def state(self) -> dict[str, object]:
        """Numbers: how much was kept, the statuses answered, the most requests in flight."""
        return self._read(lambda: summary(self._app))

    @property
    def max_in_flight(self) -> int:
        """The most requests that were open at the same time."""
        return self._read(lambda: self._app.recorder.max_in_flight)

    def set_faults(self, faults: Faults | None = None, **changes: Any) -> None:
        """Put faults in force from the next request on; their seed and limits start anew.

        Args:
            faults: The faults; without them nothing goes wrong but the `changes`.
            changes: Fields of `Faults`, e.g. `set_faults(outage_requests=3)`.
        """
        wanted = replace(faults or Faults(), **changes)
        self._read(lambda: self._app.faults.set(wanted))

    def reset(self) -> None:
        """Forget all profiles, events, tasks and requests. Settings, faults and tokens stay."""
        self._read(self._app.reset)

    def wait_for_tasks(self, timeout: float = 10.0) -> None:
        """Return when no task is running.

        Raises:
            TimeoutError: A task is still running after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while self._read(lambda: self._app.api.board.running):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Tasks are still running after {timeout:g} seconds.")
            time.sleep(0.005)

    def _read(self, call: Callable[[], _T]) -> _T:
        """Make a call between two steps of the server, so that it sees no half-done work."""
        if self._loop is None:
            return call()

        async def inside() -> _T:
            return call()

        return asyncio.run_coroutine_threadsafe(inside(), self._loop).result(_PATIENCE)

    def _run(self, listener: socket.socket, started: threading.Event) -> None:
        asyncio.run(self._serve(listener, started))

    async def _serve(self, listener: socket.socket, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        config = uvicorn.Config(
            self._app,
            http=TransportProtocol,
            ws="none",
            lifespan="off",
            log_config=None,  # the logging of this process is not the sandbox's to change
            access_log=False,
            date_header=False,
            timeout_keep_alive=75,
        )
        await PromptServer(config, self._app, started).serve(sockets=[listener])
