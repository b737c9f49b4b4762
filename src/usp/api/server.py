"""uvicorn, which by itself waits for ever for clients that take nothing."""

import asyncio
import os
import socket
import sys
from contextlib import suppress

import uvicorn
from fastapi import FastAPI

#: Whoever takes nothing for so long is let go.
PATIENCE_S = 60.0
#: How long running answers may take to end when the server does, and those whose clients take nothing.
_ENDING_S, _STALLED_S = 5, 1.0
#: RFC 5482. Linux counts it also while the other side says again and again that it has no room (tcp(7)).
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)


class Server(uvicorn.Server):
    """Lets connections go over which nothing is taken: after a minute, and soon when it ends."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen; what a listening socket has set, its connections have."""
        await super().startup(sockets)
        if _USER_TIMEOUT is None:
            return
        for found in [one for server in self.servers for one in server.sockets]:
            # The event loop's own objects for them do not take every option.
            with socket.socket(found.family, found.type, found.proto, os.dup(found.fileno())) as same:
                same.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, round(PATIENCE_S * 1000))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers end."""
        cutting = asyncio.create_task(self._cut_stalled(), name="cut-stalled")
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_stalled(self) -> None:
        """A connection closes when all has been taken, which here nobody waits for."""
        while True:
            left = {one: one.transport.get_write_buffer_size() for one in self.server_state.connections}
            for _ in range(5):
                await asyncio.sleep(_STALLED_S / 5)
                left = {one: n for one, n in left.items() if n and one.transport.get_write_buffer_size() == n}
            for one in left:
                one.transport.abort()


def config(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> uvicorn.Config:
    """How the API is served."""
    return uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, timeout_graceful_shutdown=_ENDING_S
    )


def serve(app: FastAPI, host: str, port: int) -> None:
    """Serve until a signal comes; exits where it cannot begin."""
    server = Server(config(app, host, port))
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(1)
