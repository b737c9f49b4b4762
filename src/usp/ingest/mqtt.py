"""The MQTT client: paho on asyncio, with every acknowledgement in our hands. All of paho stays in this file."""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from usp.errors import BrokerUnavailable
from usp.settings import MqttVersion

log = structlog.get_logger()

KEEPALIVE_S = 60
CONNECT_TIMEOUT_S = 10.0
BACKOFF_S = (0.2, 30.0)
DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
#: MQTT 5 brokers forget a session when its expiry has passed; a worker may be away over a weekend.
SESSION_EXPIRY_S = 7 * 86400
#: Packet identifiers have 16 bits: no more can be in flight.
RECEIVE_MAXIMUM = 65535
#: Packets taken from the buffer in one go, so that other tasks, such as a commit, get their turn.
PACKETS_PER_TURN = 500
_READ_SIZE = 256 * 1024


class Received(NamedTuple):
    """A message, and what is needed to acknowledge it."""

    topic: str
    payload: bytes
    received_at: datetime
    mid: int
    connection: int


class _BufferedSocket:
    """paho reads a packet in four small pieces; one large read in front of them halves the cost of a message.

    Writes are collected as well: the acknowledgements of a batch leave in one piece.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._in = b""
        self._at = 0
        self._out = bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; from the network only when the buffer is empty."""
        start = self._at
        if start >= len(self._in):
            self._in = self._sock.recv(_READ_SIZE)
            start = 0
        self._at = start + size
        return self._in[start : start + size]

    def pending(self) -> bool:
        """Whether bytes wait that no readable socket will announce."""
        return self._at < len(self._in) or (isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0)

    def send(self, data: bytes) -> int:
        """Collect what is to be sent."""
        self._out += data
        return len(data)

    def flush(self) -> bool:
        """Send what was collected; whether all of it is gone."""
        while self._out:
            try:
                sent = self._sock.send(self._out)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            del self._out[:sent]
        return True

    def close(self) -> None:
        """Send what can still be sent, and close."""
        with suppress(OSError):
            self.flush()
        self._sock.close()


class _Client(paho.Client):
    def _create_socket(self) -> Any:
        return _BufferedSocket(super()._create_socket())


class MqttSource:
    """A persistent session that hands over messages and acknowledges those that were committed.

    `deliver` is called for each message, `lost` when the connection is gone. Acknowledgements of an earlier
    connection are dropped: the broker sends those messages again, and its packet identifiers mean others by then.
    """

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        subscriptions: Sequence[str],
        deliver: Callable[[Received], None],
        lost: Callable[[], None],
        version: MqttVersion = MqttVersion.V5,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or DEFAULT_PORTS[parts.scheme]
        self._version = version
        self._subscriptions = subscriptions
        self._deliver = deliver
        self._lost = lost
        self._connection = 0
        self._session_present = False
        self._paused = False
        self._socket: _BufferedSocket | None = None
        self._loop = asyncio.get_running_loop()
        self._up: asyncio.Future[None] = self._loop.create_future()
        self._down = asyncio.Event()
        self.connected = False
        self._client = self._make_client(client_id, parts.username, parts.password, tls=parts.scheme == "mqtts")

    def _make_client(self, client_id: str, user: str | None, password: str | None, *, tls: bool) -> _Client:
        v5 = self._version is MqttVersion.V5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
            clean_session=None if v5 else False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if user is not None:
            client.username_pw_set(unquote(user), unquote(password) if password is not None else None)
        if tls:
            client.tls_set()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_socket_open = self._on_loop(self._socket_open)
        client.on_socket_close = lambda _c, _u, sock: self._socket_close(sock)
        client.on_socket_register_write = self._on_loop(self._want_write)
        return client

    def _on_loop(self, action: Callable[[Any], None]) -> Callable[[Any, Any, Any], None]:
        """The TCP connection is made in another thread, and the event loop belongs to this one."""

        def callback(_client: Any, _userdata: Any, sock: Any) -> None:
            self._loop.call_soon_threadsafe(action, sock)

        return callback

    async def run(self) -> None:
        """Stay connected until cancelled; between two attempts wait ever longer."""
        misc = asyncio.create_task(self._keep_alive(), name="mqtt-keepalive")
        wait = BACKOFF_S[0]
        try:
            while True:
                try:
                    await self._connect()
                    wait = BACKOFF_S[0]
                    await self._down.wait()
                    log.warning("broker_lost", broker=self._broker)
                except (BrokerUnavailable, OSError, TimeoutError) as error:
                    if self._socket is not None:
                        self._socket_close(self._socket)
                    log.warning(
                        "broker_unavailable",
                        broker=self._broker,
                        error=str(error) or repr(error),
                        retry_in_s=wait,
                    )
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, BACKOFF_S[1])
        finally:
            misc.cancel()

    @property
    def _broker(self) -> str:
        return f"{self._host}:{self._port}"

    async def _connect(self) -> None:
        self._up = self._loop.create_future()
        self._down.clear()
        options: dict[str, Any] = {}
        if self._version is MqttVersion.V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            options = {"clean_start": False, "properties": properties}
        await asyncio.to_thread(self._client.connect, self._host, self._port, keepalive=KEEPALIVE_S, **options)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._up
        self.connected = True
        log.info("broker_connected", broker=self._broker, session_present=self._session_present)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._client.loop_misc()

    def acknowledge(self, messages: Sequence[Received]) -> None:
        """Tell the broker that these are ours now, in the order of their receipt (MQTT 3.1.1, 4.6)."""
        ack, connection = self._client.ack, self._connection
        for message in messages:
            if message.mid and message.connection == connection:
                ack(message.mid, 1)

    def pause(self) -> None:
        """Stop reading: TCP then holds the broker back, also for QoS 0, which knows no window."""
        if not self._paused:
            self._paused = True
            if self._socket is not None:
                self._loop.remove_reader(self._socket.fileno())

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            if self._socket is not None:
                self._loop.add_reader(self._socket.fileno(), self._read)
                self._loop.call_soon(self._read)

    async def close(self) -> None:
        """Send what is to be sent and leave; the session and its queue stay with the broker."""
        self._client.disconnect()
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._down.wait()

    # What paho calls back

    def _on_connect(self, client: Any, _u: Any, flags: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            self._fail(f"{self._broker} says: {reason}.")
            return
        self._connection += 1
        self._session_present = flags.session_present
        # Also where a session is present: an earlier version of this program may have asked for less.
        client.subscribe([(topic, 1) for topic in self._subscriptions])

    def _on_subscribe(self, _c: Any, _u: Any, _mid: int, reasons: Sequence[Any], _p: Any) -> None:
        refused = [t for t, reason in zip(self._subscriptions, reasons, strict=False) if reason.is_failure]
        if refused:
            self._fail(f"{self._broker} refuses a subscription to {', '.join(refused)}.")
        elif not self._up.done():
            self._up.set_result(None)

    def _fail(self, detail: str) -> None:
        if not self._up.done():
            self._up.set_exception(BrokerUnavailable(detail))

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.connected = False
        self._connection += 1
        self._fail(f"{self._broker}: {reason}.")
        self._loop.call_soon_threadsafe(self._down.set)
        self._loop.call_soon_threadsafe(self._lost)

    def _on_message(self, _c: Any, _u: Any, message: Any) -> None:
        if message.retain and self._session_present:
            # Our subscription was renewed; this session has had the message when it was published.
            self._client.ack(message.mid, message.qos)
            return
        self._deliver(
            Received(
                message.topic,
                message.payload,
                datetime.now(UTC),
                message.mid if message.qos else 0,
                self._connection,
            )
        )

    # The socket on the event loop

    def _socket_open(self, sock: _BufferedSocket) -> None:
        self._socket = sock
        if not self._paused:
            self._loop.add_reader(sock.fileno(), self._read)

    def _socket_close(self, sock: Any) -> None:
        current = self._socket
        if current is not None and sock is current:
            self._loop.remove_reader(current.fileno())
            self._loop.remove_writer(current.fileno())
            self._socket = None

    def _want_write(self, sock: _BufferedSocket) -> None:
        if self._socket is sock:
            self._loop.add_writer(sock.fileno(), self._write)

    def _read(self) -> None:
        sock = self._socket
        self._client.loop_read()
        for _ in range(PACKETS_PER_TURN):
            if self._socket is not sock or sock is None or not sock.pending():
                return
            self._client.loop_read()
        if not self._paused:
            self._loop.call_soon(self._read)

    def _write(self) -> None:
        sock = self._socket
        self._client.loop_write()
        if sock is None or self._socket is not sock:
            return
        with suppress(OSError):  # a broken connection shows itself to the reader
            if sock.flush():
                self._loop.remove_writer(sock.fileno())
