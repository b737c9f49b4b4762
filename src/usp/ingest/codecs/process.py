"""The child process: started, asked, and killed when it does not answer."""

import asyncio
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from usp.errors import CodecError
from usp.ingest.codecs.child import LENGTH
from usp.ingest.codecs.codec import Limits

CHILD = Path(__file__).with_name("child.py")
START_S = 20.0
#: An answer that is longer was not made by our side of the child.
MAX_ANSWER = 16 * 1024 * 1024


class NoAnswer(Exception):
    """The child did not answer in time; it has been killed."""


class ChildDied(Exception):
    """The child ended by itself, or something else ended it; the text says how."""


class Child:
    """One process that runs codecs, with what it has loaded. Whoever asks waits for the answer before the next."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process = process
        self._connection = connection
        #: The digests of its codecs, the one that was used last at the end.
        self.loaded: dict[str, None] = {}

    @classmethod
    async def start(cls, limits: Limits) -> "Child":
        """Start a child that inherits nothing: no environment, no file, no terminal. Raises CodecError."""
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [str(n) for n in (limits.frame, limits.memory, limits.stack, limits.output)]
            try:
                # From this thread, not another: the child dies with the thread that started it (prctl(2)).
                process = subprocess.Popen(  # noqa: ASYNC220, S603 - our own file; it takes a millisecond
                    [sys.executable, "-I", "-B", "-X", "utf8", str(CHILD), *arguments],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise CodecError(f"The process for codecs cannot be started: {error}.") from error
        ours.setblocking(False)  # noqa: FBT003
        child = cls(process, ours)
        try:
            wrong = (await child._answer(START_S)).decode("utf-8", "replace")
        except (NoAnswer, ChildDied) as error:
            raise CodecError(f"The process for codecs does not start: {error}.") from error
        if wrong:
            await child.end()
            raise CodecError(f"The JavaScript engine cannot be used: {wrong}. Is the package quickjs-ng installed?")
        return child

    @property
    def alive(self) -> bool:
        """Whether it can still be asked."""
        return self._connection.fileno() >= 0 and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    async def tell(self, head: str) -> None:
        """Send a message that has no answer."""
        await self._send(head.encode() + b"\n")

    async def ask(self, head: str, body: bytes, timeout: float) -> bytes:  # noqa: ASYNC109 - it ends the child, too
        """Send a message and wait for the answer. Raises NoAnswer or ChildDied, and then the child has ended."""
        await self._send(head.encode() + b"\n" + body, timeout)
        return await self._answer(timeout)

    async def end(self) -> None:
        """Let it end, or kill it."""
        if self._connection.fileno() >= 0:
            self._connection.close()
            self._process.kill()
            # Freeing its memory may take some milliseconds.
            await asyncio.to_thread(self._process.wait)

    async def _send(self, message: bytes, seconds: float = 5.0) -> None:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.get_running_loop().sock_sendall(self._connection, LENGTH.pack(len(message)) + message)
        except BaseException as error:
            await self._ended(error)
            raise

    async def _answer(self, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                (length,) = LENGTH.unpack(await self._receive(LENGTH.size))
                if length > MAX_ANSWER:
                    raise ChildDied(f"it announced an answer of {length:,} bytes")
                return await self._receive(length)
        except BaseException as error:
            await self._ended(error)
            raise

    async def _receive(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        whole = bytearray()
        while len(whole) < size:
            part = await loop.sock_recv(self._connection, min(size - len(whole), 256 * 1024))
            if not part:
                raise ConnectionResetError
            whole += part
        return bytes(whole)

    async def _ended(self, error: BaseException) -> None:
        """After anything that left a message or an answer in the middle, the child is of no use any more."""
        code = None
        if isinstance(error, OSError) and not isinstance(error, TimeoutError):
            with suppress(subprocess.TimeoutExpired):
                code = await asyncio.to_thread(self._process.wait, 1.0)
        await self.end()
        if isinstance(error, TimeoutError) or code == -signal.SIGPROF:
            raise NoAnswer("it did not answer in time") from None
        if isinstance(error, OSError):
            raise ChildDied(
                "it hung up" if code is None else f"signal {-code}" if code < 0 else f"status {code}"
            ) from None
