"""What the private servers have in common: a folder that is theirs alone, and a process from `start` to `stop`."""

import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from usp.embedded.process import FolderLock, end, make_private


class Server:
    """A server that runs from `start` to `stop`. However the last run ended, `start` finds its data again."""

    #: Signals that end it, and how many seconds each gets.
    ending: ClassVar[tuple[tuple[signal.Signals, float], ...]]

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._lock = FolderLock(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def log(self) -> Path:
        """Where the server writes what it has to say."""
        return self._folder / "log"

    @property
    def url(self) -> str:
        """Where to connect."""
        raise NotImplementedError

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The server's process, while it is started."""
        return self._process

    def start(self) -> Self:
        """Start the server and wait until it answers."""
        make_private(self._folder)
        self._lock.acquire()
        try:
            self._end_orphan()
            self._launch()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server cleanly."""
        self._end()
        self._lock.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end(self) -> None:
        if self._process is not None:
            end(self._process, *self.ending)
            self._process = None

    def _end_orphan(self) -> None:
        """End a server that outlived the process that started it."""
        raise NotImplementedError

    def _launch(self) -> None:
        """Start the process, and return when it is ready."""
        raise NotImplementedError
