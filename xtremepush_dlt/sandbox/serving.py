"""Uvicorn with what a sandbox needs: connections that can be cut, a start and an end at once."""

from __future__ import annotations

import asyncio
import socket
import threading

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from xtremepush_dlt.sandbox.app import SandboxApp


class TransportProtocol(H11Protocol):
    """Uvicorn's protocol that shows its transport to the application, which may have to cut it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in H11Protocol
        """Keep the transport in the state that every request of the connection carries."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class PromptServer(uvicorn.Server):
    """A server that starts and ends at once, while uvicorn's own looks up every 0.1 seconds."""

    def __init__(self, config: uvicorn.Config, app: SandboxApp, started: threading.Event) -> None:
        super().__init__(config)
        self._app = app
        self._ready = started

    async def main_loop(self) -> None:
        """Serve until the sandbox closes."""
        self._ready.set()
        await self._app.closed()

    async def shutdown(
        self,
        sockets: list[socket.socket] | None = None,  # noqa: ARG002  # uvicorn's signature
    ) -> None:
        """Close the sockets and cut what is still open."""
        for server in self.servers:
            server.close()  # closes `sockets` too
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=1.0)
