"""A private Mosquitto, in one folder, on the loopback interface."""

import signal
import socket
import subprocess
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

from usp.embedded.errors import EmbeddedFailed
from usp.embedded.parts import Parts
from usp.embedded.process import (
    LOOPBACK,
    FolderLock,
    as_service,
    end,
    end_orphan,
    ending_with_us,
    free_port,
    give,
    make_private,
    open_log,
    tail,
    wait_until,
)

LOCAL = """
# Only this machine can reach it.
listener {port} {host}
allow_anonymous true

persistence true
persistence_location {folder}/
# What has been queued since the last save is lost if the broker is killed; a clean end saves as well.
autosave_interval 30
log_dest stderr
"""

# SIGTERM makes Mosquitto save its queues, which takes a while if they are long.
STOP = ((signal.SIGTERM, 8.0),)

# MQTT 3.1.1: CONNECT with a clean session, no client id, 10 s keep-alive; CONNACK that accepts; DISCONNECT.
CONNECT = bytes.fromhex("100c 0004 4d515454 04 02 000a 0000")
CONNACK = bytes.fromhex("20020000")
DISCONNECT = bytes.fromhex("e000")


class Mosquitto:
    """A broker that runs from `start` to `stop`. Sessions and their queues survive a restart."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self._parts = parts
        self._folder = folder.absolute()
        self._config = self._folder / "mosquitto.conf"
        self._lock = FolderLock(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def log(self) -> Path:
        """Where the broker writes what it has to say."""
        return self._folder / "log"

    @property
    def url(self) -> str:
        """Where to connect."""
        return f"mqtt://{LOOPBACK}:{self.port}"

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        """The broker's process, while it is started."""
        return self._process

    def start(self) -> Self:
        """Start the broker and wait until it accepts a client."""
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
        """End the broker cleanly; it saves what is queued."""
        if self._process is not None:
            end(self._process, *STOP)
            self._process = None
        self._lock.release()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _end_orphan(self) -> None:
        with suppress(OSError, ValueError):
            end_orphan(int((self._folder / "pid").read_text()), str(self._config), *STOP)

    def _launch(self) -> None:
        # More than once: the port may be taken between looking and listening.
        for _ in range(3):
            self.port = free_port(self._folder / "port")
            common = files("usp.embedded").joinpath("mosquitto.conf").read_text()
            self._config.write_text(common + LOCAL.format(port=self.port, host=LOOPBACK, folder=self._folder))
            give(self._config)
            argv = [str(self._parts.mosquitto), "-c", str(self._config)]
            command = as_service(ending_with_us(argv, signal.SIGTERM), self._config)
            with open_log(self.log) as log:
                self._process = subprocess.Popen(  # noqa: S603
                    command, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            (self._folder / "pid").write_text(f"{self._process.pid}\n")
            if wait_until(self._process, self._is_ready, seconds=30):
                return
            end(self._process, *STOP)
            self._process = None
        raise EmbeddedFailed(f"Mosquitto, log {self.log}:\n{tail(self.log)}")

    def _is_ready(self) -> bool:
        with suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
            connection.sendall(CONNECT)
            answer = connection.recv(len(CONNACK))
            connection.sendall(DISCONNECT)
            return answer == CONNACK
        return False
