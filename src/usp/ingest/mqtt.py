"""The MQTT client: paho on asyncio, with every acknowledgement in our hands. All of paho stays in this file."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from usp.errors import BrokerUnavailable
from usp.ingest.packets import PacketSocket, Received
from usp.models.broker import Broker, MqttVersion

log = structlog.get_logger()

#: A broker that is silent for one and a half of these is gone.
KEEPALIVE_S = 20
CONNECT_TIMEOUT_S = 10.0
BACKOFF_S = (0.2, 30.0)
#: MQTT 5 brokers forget a session when its expiry has passed; a worker may be away over a weekend.
SESSION_EXPIRY_S = 7 * 86400
#: Packet identifiers have 16 bits: no more can be in flight.
RECEIVE_MAXIMUM = 65535

_CONNECTIONS = itertools.count(1)


class _Client(paho.Client):
    def _create_socket(self) -> Any:
        return PacketSocket(super()._create_socket(), v5=self.protocol == paho.MQTTv5)


class MqttSource:
    """A persistent session that hands over messages and acknowledges those that were committed.

    `deliver` is called with messages as they come, `lost` with the number of a connection that is gone. Numbers of
    connections are unique in the process. Acknowledgements of an earlier one are dropped: the broker sends those
    messages again, and its packet identifiers mean others by then.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        client_id: str,
        subscriptions: Sequence[str],
        deliver: Callable[[list[Received]], None],
        lost: Callable[[int], None],
        version: MqttVersion = MqttVersion.V5,
    ) -> None:
        self._to = broker
        self._broker = broker.name
        self._version = broker.version or version
        self._subscriptions = subscriptions
        self._deliver = deliver
        self._lost = lost
        self.connection = next(_CONNECTIONS)
        self.heard = 0
        self._session_present = False
        self._paused = False
        self._leaving = False
        self._socket: PacketSocket | None = None
        self._loop = asyncio.get_running_loop()
        self._up: asyncio.Future[None] = self._loop.create_future()
        self._left: asyncio.Future[None] = self._loop.create_future()
        self._down = asyncio.Event()
        self.connected = False
        #: Since when the broker has kept for us what it could not deliver; None before that is known.
        self.unbroken_since: datetime | None = None
        #: Since when the connection stands.
        self.connected_since: datetime | None = None
        self._client_id = client_id
        self._client = self._make_client()

    def _make_client(self) -> _Client:
        v5 = self._version is MqttVersion.V5
        client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
            clean_session=None if v5 else False,
            manual_ack=True,
        )
        self._prepare(client)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_socket_open = self._on_loop(self._socket_open)
        client.on_socket_close = lambda _c, _u, sock: self._socket_close(sock)
        client.on_socket_register_write = self._on_loop(self._want_write)
        return client

    def _prepare(self, client: paho.Client) -> None:
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._to.user is not None:
            client.username_pw_set(self._to.user, self._to.password)
        if self._to.tls:
            client.tls_set()

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
                    if not self._leaving:
                        log.warning("broker_lost", broker=self._broker)
                    await asyncio.sleep(wait)
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

    async def _connect(self) -> None:
        self._up = self._loop.create_future()
        self._down.clear()
        options: dict[str, Any] = {}
        if self._version is MqttVersion.V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            options = {"clean_start": False, "properties": properties}
        await asyncio.to_thread(self._client.connect, self._to.host, self._to.port, keepalive=KEEPALIVE_S, **options)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._up
        self.connected = True
        log.info("broker_connected", broker=self._broker, session_present=self._session_present)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._client.loop_misc()
            # libuv stops watching a socket that was reset (POLLERR), and tells nobody.
            while not self._paused and self._read():  # noqa: ASYNC110 - others get their turn
                await asyncio.sleep(0)

    def acknowledge(self, messages: Sequence[Received]) -> None:
        """Tell the broker that these are ours now, in the order of their receipt (MQTT 3.1.1, 4.6)."""
        sock, connection = self._socket, self.connection
        if sock is not None:
            sock.acknowledge([m.mid for m in messages if m.mid and m.connection == connection])
            self._flush(sock)

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

    async def leave_group(self, subscriptions: Sequence[str]) -> bool:
        """Let nothing more be queued for this session; whether the broker has answered."""
        if not self.connected:
            return False
        self._left = self._loop.create_future()
        self._client.unsubscribe(list(subscriptions))
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._left
                return True
        return False

    async def close(self) -> None:
        """Send what is to be sent and leave; the session and its queue stay with the broker."""
        self._leaving = True
        self._client.disconnect()
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self._down.wait()

    # What paho calls back

    def _on_connect(self, client: Any, _u: Any, flags: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            self._fail(f"{self._broker} says: {reason}.")
            return
        self._session_present = flags.session_present
        self.connected_since = datetime.now(UTC)
        if not flags.session_present:
            self.unbroken_since = self.connected_since
        elif self.unbroken_since is None:
            # The session of an earlier process: since it was made, the broker has kept everything.
            self.unbroken_since = datetime.min.replace(tzinfo=UTC)
        if self._subscriptions:
            # Also where a session is present: an earlier version of this program may have asked for less.
            client.subscribe([(topic, 1) for topic in self._subscriptions])
        else:
            self._is_up()

    def _on_subscribe(self, _c: Any, _u: Any, _mid: int, reasons: Sequence[Any], _p: Any) -> None:
        refused = [t for t, reason in zip(self._subscriptions, reasons, strict=False) if reason.is_failure]
        if any(reason.value == 0 for reason in reasons):
            # Granted with QoS 0: what came while we were away is lost, whatever the session.
            self.unbroken_since = datetime.now(UTC)
        if refused:
            self._fail(f"{self._broker} refuses a subscription to {', '.join(refused)}.")
        else:
            self._is_up()

    def _on_unsubscribe(self, _c: Any, _u: Any, _mid: int, _reasons: Any, _p: Any) -> None:
        if not self._left.done():
            self._left.set_result(None)

    def _is_up(self) -> None:
        if not self._up.done():
            self._up.set_result(None)

    def _fail(self, detail: str) -> None:
        if not self._up.done():
            self._up.set_exception(BrokerUnavailable(detail))

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.connected = False
        lost, self.connection = self.connection, next(_CONNECTIONS)
        self._fail(f"{self._broker}: {reason}.")
        self._loop.call_soon_threadsafe(self._down.set)
        self._loop.call_soon_threadsafe(self._lost, lost)

    # The socket on the event loop

    def _socket_open(self, sock: PacketSocket) -> None:
        self._socket = sock
        if not self._paused:
            self._loop.add_reader(sock.fileno(), self._read)

    def _socket_close(self, sock: Any) -> None:
        current = self._socket
        if current is not None and sock is current:
            self._loop.remove_reader(current.fileno())
            self._loop.remove_writer(current.fileno())
            self._socket = None

    def _want_write(self, sock: PacketSocket) -> None:
        if self._socket is sock and sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), self._write)

    def _read(self) -> bool:
        """Read once; whether anything came."""
        sock = self._socket
        if sock is None:
            return False
        came = sock.fill()
        while self._socket is sock:
            if messages := sock.take(self.connection):
                self.heard += len(messages)
                self._deliver(messages)
            if not sock.is_for_paho() or self._client.loop_read():
                break
        if sock.hides_more() and not self._paused:
            self._loop.call_soon(self._read)
        return came

    def _write(self) -> None:
        self._client.loop_write()
        if self._socket is not None:
            self._flush(self._socket)

    def _flush(self, sock: PacketSocket) -> None:
        with suppress(OSError):  # a broken connection shows itself to the reader
            if sock.flush():
                self._loop.remove_writer(sock.fileno())
            else:
                self._loop.add_writer(sock.fileno(), self._write)
