"""A private Mosquitto, in one folder, on the loopback interface."""

import signal
import socket
import subprocess
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

from usp.embedded.errors import EmbeddedFailed
from usp.embedded.parts import Parts
from usp.embedded.process import (
    LOOPBACK,
    as_service,
    end_orphan,
    ending_with_us,
    free_port,
    give,
    open_log,
    tail,
    wait_until,
)
from usp.embedded.server import Server

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


class Mosquitto(Server):
    """A broker. Sessions and their queues survive a restart; a clean end saves what is queued."""

    ending = STOP

    def __init__(self, parts: Parts, folder: Path) -> None:
        super().__init__(folder)
        self._parts = parts
        self._config = self._folder / "mosquitto.conf"

    @property
    def url(self) -> str:
        """Where to connect."""
        return f"mqtt://{LOOPBACK}:{self.port}"

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
            self._end()
        raise EmbeddedFailed(f"Mosquitto, log {self.log}:\n{tail(self.log)}")

    def _is_ready(self) -> bool:
        with suppress(OSError), socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
            connection.sendall(CONNECT)
            answer = connection.recv(len(CONNACK))
            connection.sendall(DISCONNECT)
            return answer == CONNACK
        return False
