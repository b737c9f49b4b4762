"""A small MQTT client that waits for what it asks for. It acknowledges what it gets, or on purpose does not."""

import select
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from usp.doctor.findings import Patience
from usp.errors import UspError
from usp.models.broker import Broker, MqttVersion

ANSWER_S = 5.0
#: A broker ends a connection that is silent for one and a half times as long; paho gives a TLS handshake as much.
KEEPALIVE_S = 10
#: Packet identifiers have 16 bits: no more can be in flight.
RECEIVE_MAXIMUM = 65535
#: Messages sent before the first of them is acknowledged.
_CHUNK = 500
#: Retain handling (MQTT 5, 3.8.3.1): what was retained before a subscription is not sent.
_NO_RETAINED = 2

_PROTOCOLS = {MqttVersion.V311: paho.MQTTv311, MqttVersion.V5: paho.MQTTv5}


class Refused(UspError):
    """The broker refuses."""


class HungUp(Refused):
    """The broker ends the connection without a word."""


class Silent(UspError):
    """The broker does not answer."""


class Client:
    """One connection. With `hold`, nothing is acknowledged, so that the broker stops at its window."""

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        version: MqttVersion,
        patience: Patience,
        *,
        clean: bool = True,
        expiry: int = 0,
        hold: bool = False,
    ) -> None:
        self._broker = broker
        self._patience = patience
        self._clean = clean
        self._expiry = expiry
        self.id = client_id
        self.version = version
        #: Payloads, in the order of their arrival.
        self.received: list[bytes] = []
        self.session_present = False
        #: What the broker grants (MQTT 5, 3.2.2.3), by its name there without spaces.
        self.granted: dict[str, Any] = {}
        #: Publications that were refused, by the reason the broker gave.
        self.refused: Counter[str] = Counter()
        self.sent = 0
        self.acknowledged = 0
        self.up = False
        #: Why there is no connection any more; empty while there is one.
        self.down = ""
        self._answered = False
        self._codes: list[Any] | None = None
        v5 = version is MqttVersion.V5
        self.paho = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=_PROTOCOLS[version],
            clean_session=None if v5 else clean,
            manual_ack=hold,
            reconnect_on_failure=False,
        )
        self.paho.max_inflight_messages_set(0)
        if broker.user is not None:
            self.paho.username_pw_set(broker.user, broker.password)
        if broker.tls:
            self.paho.tls_set()
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_subscribe = self._on_subscribe
        self.paho.on_publish = self._on_publish
        self.paho.on_message = self._on_message

    def connect(self) -> None:
        """Connect, or say why not."""
        self.up, self.down = False, ""
        options: dict[str, Any] = {}
        if self.version is MqttVersion.V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = self._expiry
            properties.ReceiveMaximum = RECEIVE_MAXIMUM
            options = {"clean_start": self._clean, "properties": properties}
        self.paho.connect_timeout = self._patience.left(ANSWER_S)
        self.paho.connect(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S, **options)
        if not self.wait(lambda: self.up or bool(self.down), ANSWER_S):
            raise Silent("It took the connection and does not answer to CONNECT.")
        if self.down and not self._answered:
            raise HungUp("It ends the connection without an answer.")
        if self.down:
            raise Refused(f"It answers: {self.down}.")

    def wait(self, until: Callable[[], bool], seconds: float, *others: "Client") -> bool:
        """Let the connections work until something is so; whether it is. Raises OutOfTime when nobody has time left."""
        end = time.monotonic() + seconds
        clients = (self, *others)
        while not until():
            self._patience.left(seconds)
            if time.monotonic() > end:
                return False
            if not _turn(clients):
                return until()
        return True

    def subscribe(self, *filters: str, qos: int = 1) -> list[Any]:
        """The reason codes of a subscription: what was granted, or why not."""
        self._codes = None
        if self.version is MqttVersion.V5:
            options = SubscribeOptions(qos=qos, retainHandling=_NO_RETAINED)
            if any(name.startswith("$SYS") for name in filters):
                options = SubscribeOptions(qos=qos)
            self.paho.subscribe([(name, options) for name in filters])
        else:
            self.paho.subscribe([(name, qos) for name in filters])
        if not self.wait(lambda: self._codes is not None, ANSWER_S) or self._codes is None:
            raise Silent(f"A subscription stays without an answer. {self.down}".strip())
        return self._codes

    def publish(self, topic: str, payloads: Iterable[bytes], *others: "Client", seconds: float = ANSWER_S) -> bool:
        """Send with QoS 1 and wait until the broker has answered to each; whether it has. Others go on receiving."""
        source = iter(payloads)
        chunk = min(_CHUNK, self.granted.get("ReceiveMaximum", _CHUNK))
        while part := list(islice(source, chunk)):
            for payload in part:
                self.paho.publish(topic, payload, qos=1)
                self.sent += 1
            self.wait(lambda: self.acknowledged == self.sent or bool(self.down), seconds, *others)
            if self.acknowledged < self.sent:
                return False
        return True

    def publish_unasked(self, topic: str, payload: bytes) -> None:
        """Send with QoS 0."""
        self.paho.publish(topic, payload, qos=0)

    def close(self) -> None:
        """Disconnect."""
        self.paho.disconnect()
        end = time.monotonic() + 1
        while self.paho.socket() is not None and time.monotonic() < end:
            _turn((self,))
        self._drop()

    def read(self) -> None:
        """Read what has come; paho takes one packet at a time, and to ask the system between them costs as much."""
        before = -1
        while self.paho.socket() is not None and before < len(self.received) + self.acknowledged:
            before = len(self.received) + self.acknowledged
            self.paho.loop_read()

    def _drop(self) -> None:
        sock = self.paho.socket()
        if sock is not None:
            with suppress(OSError):
                sock.close()

    # What paho calls back

    def _on_connect(self, _c: Any, _u: Any, flags: Any, reason: Any, properties: Any) -> None:
        self._answered = True
        if reason.is_failure:
            self.down = str(reason)
            return
        self.session_present = flags.session_present
        self.granted = {name.replace(" ", ""): value for name, value in vars(properties).items()}
        self.up = True

    def _on_disconnect(self, _c: Any, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.up = False
        self.down = self.down or str(reason)

    def _on_subscribe(self, _c: Any, _u: Any, _mid: int, codes: Sequence[Any], _p: Any) -> None:
        self._codes = list(codes)

    def _on_publish(self, _c: Any, _u: Any, _mid: int, reason: Any, _p: Any) -> None:
        self.acknowledged += 1
        if reason is not None and reason.is_failure:
            self.refused[str(reason)] += 1

    def _on_message(self, _c: Any, _u: Any, message: Any) -> None:
        self.received.append(message.payload)


def _turn(clients: Sequence[Client]) -> bool:
    """Let each connection read and write what it can; False where none is open any more."""
    poll = select.poll()
    open_: dict[int, Client] = {}
    pending = False
    for client in clients:
        sock = client.paho.socket()
        if sock is None or sock.fileno() < 0:
            continue
        open_[sock.fileno()] = client
        poll.register(sock.fileno(), select.POLLIN | (select.POLLOUT if client.paho.want_write() else 0))
        pending = pending or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)
    if not open_:
        return False
    events = dict(poll.poll(0 if pending else 20))
    for number, client in open_.items():
        client.paho.loop_misc()
        if events.get(number, 0) & select.POLLOUT:
            client.paho.loop_write()
        if pending or events.get(number, 0) & ~select.POLLOUT:
            client.read()
    return True
