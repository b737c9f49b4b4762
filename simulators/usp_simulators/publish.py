"""Publishing to the broker: many messages in flight, sent again until each is acknowledged. All of paho is here."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from usp.errors import BrokerUnavailable
from usp_simulators.message import Sendable

#: How many messages may be under way: enough that the line is never idle, far below MQTT's 65,535.
WINDOW = 2000
#: How often the broker's answers are read while sending as fast as possible.
ANSWERS_EVERY = 50
KEEPALIVE = 30
RETRY_SECONDS = 1.0


class Publisher:
    """One connection, driven by the thread that calls `send` and `serve`.

    `acknowledged` is called for each message the broker has taken over. A lost connection is made again for as long as
    `halted` does not say otherwise, and what was not acknowledged goes out again, in its order.
    """

    def __init__(
        self,
        url: str,
        *,
        acknowledged: Callable[[Sendable], None],
        halted: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._acknowledged = acknowledged
        self._halted = halted
        self._say = say
        self._pending: dict[int, Sendable] = {}
        self._connected = False
        self._refused = ""
        self._next_try = 0.0
        self._since_answers = 0
        self._client, self._address = self._prepare(url)

    def _prepare(self, url: str) -> tuple[mqtt.Client, tuple[str, int]]:
        parts = urlsplit(url)
        name = f"usp-simulator-{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name)
        if parts.username is not None:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        secure = parts.scheme == "mqtts"
        if secure:
            client.tls_set()
        # `send` keeps the window; paho keeps every message until it is acknowledged.
        client.max_inflight_messages_set(0)
        client.max_queued_messages_set(0)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client, (parts.hostname or "localhost", parts.port or (8883 if secure else 1883))

    @property
    def oldest(self) -> int | None:
        """When the oldest message under way was measured, if there is one."""
        return min((message.at for message in self._pending.values()), default=None)

    def connect(self, patience: float = 10.0) -> None:
        """Connect for the first time, or say why it cannot be."""
        host, port = self._address
        deadline = time.monotonic() + patience
        error = "no answer"
        while not self._connected:
            try:
                if self._client.socket() is None:
                    self._client.connect(host, port, KEEPALIVE)
                self._client.loop(0.1)
            except OSError as problem:
                error = problem.strerror or str(problem)
                time.sleep(0.1)
            if self._refused or self._halted() or time.monotonic() > deadline:
                raise BrokerUnavailable(f"{host}:{port}: {self._refused or error}.")

    def send(self, message: Sendable) -> bool:
        """Send, waiting while the window is full or the broker away; False if halted before that came to an end."""
        self._since_answers += 1
        if self._since_answers >= ANSWERS_EVERY:
            self.serve(0)
        while not self._connected or len(self._pending) >= WINDOW:
            if self._halted():
                return False
            self.serve(0.1)
        # Whether it went out or the connection broke on it: paho has it, and sends it again after connecting.
        sent = self._client.publish(message.topic, message.body, qos=1)
        self._pending[sent.mid] = message
        return True

    def serve(self, seconds: float) -> None:
        """Read the broker's answers and keep the connection alive, for at most `seconds`."""
        self._since_answers = 0
        if self._client.socket() is not None:
            self._client.loop(seconds)
            return
        wait = self._next_try - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, seconds))
            return
        self._next_try = time.monotonic() + RETRY_SECONDS
        with suppress(OSError):
            self._client.reconnect()

    def drain(self, patience: float = 10.0) -> None:
        """Wait until nothing is under way, but not longer than `patience`."""
        deadline = time.monotonic() + patience
        while self._pending and time.monotonic() < deadline:
            self.serve(0.1)

    def close(self) -> None:
        """Say good-bye."""
        self._client.disconnect()
        if self._client.socket() is not None:
            self._client.loop(0.1)

    def _on_connect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._connected = not reason.is_failure
        self._refused = str(reason) if reason.is_failure else ""
        if self._connected and self._next_try:
            self._say("The broker is back.")

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._connected and reason.is_failure:
            self._say("The broker is lost; trying again until it is back.")
        self._connected = False

    def _on_publish(
        self,
        _client: mqtt.Client,
        _userdata: object,
        mid: int,
        _reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._acknowledged(self._pending.pop(mid))
