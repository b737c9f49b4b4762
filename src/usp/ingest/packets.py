"""The bytes between the broker and paho. PUBLISH and PUBACK, which are nearly all of them, do not reach paho.

paho takes about 12 µs for a PUBLISH and 2 µs for a PUBACK, more than all else that is done with a message; here it is
a tenth of that. The rest (connecting, subscribing, pings, whatever is malformed) stays with paho: it finds its packets
whole, one after the other, on what looks like any other socket.
"""

import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

#: What is read in one go and then cut up, so that other tasks, such as a commit, get their turn in between.
_READ_SIZE = 128 * 1024
#: How long a connection that we end may keep us.
LAST_WORDS_S = 1.0
_PUBACK = b"\x40\x02"
_TICK = timedelta(microseconds=1)


class Received(NamedTuple):
    """A message, and what is needed to acknowledge it; `mid` is 0 where nobody waits for that."""

    topic: str
    payload: bytes
    received_at: datetime
    mid: int
    connection: int
    #: It comes for the first time; what is taken up again comes from elsewhere.
    replay: None = None


class PacketSocket:
    """A socket with a buffer on each side: large reads are cut into packets, many small writes leave in one piece."""

    def __init__(self, sock: Any, *, v5: bool) -> None:
        self._sock = sock
        self._v5 = v5
        self._in = bytearray()
        self._out = bytearray()
        self._ended = False
        self._last_arrival = datetime.now(UTC)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def fill(self) -> bool:
        """Read once from the network; whether anything came."""
        try:
            data = self._sock.recv(_READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError:
            data = b""
        self._ended = not data
        self._in += data
        return bool(data)

    def hides_more(self) -> bool:
        """Whether decrypted bytes wait that no readable socket will announce."""
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def take(self, connection: int) -> list[Received]:
        """Take the PUBLISH packets of QoS 0 and 1 (MQTT 3.3) that stand in front, as far as they are whole.

        They came together, so they get one arrival time, but for a microsecond: two readings of one device that bring
        no time of their own are two.
        """
        taken: list[Received] = []
        if not self._first_is_whole():
            return taken
        # One copy of all costs less than slicing a bytearray, which copies twice, for each message.
        data = bytes(self._in)
        arrival = max(datetime.now(UTC), self._last_arrival)
        start = 0
        try:
            while (first := data[start]) & 0xF4 == 0x30:
                length, at = _length(data, start + 1)
                end = at + length
                topic_end = at + 2 + (data[at] << 8 | data[at + 1])
                topic = data[at + 2 : topic_end].decode(errors="replace")
                mid, at = 0, topic_end
                if first & 0x06:
                    mid, at = data[at] << 8 | data[at + 1], at + 2
                if self._v5:
                    # Nothing in the properties concerns us; topic aliases are only used by who has announced them.
                    properties, at = _length(data, at)
                    at += properties
                if not at <= end <= len(data):
                    break
                arrival += _TICK
                taken.append(Received(topic, data[at:end], arrival, mid, connection))
                start = end
        except IndexError:
            pass  # the rest of it has not come yet
        self._last_arrival = arrival
        del self._in[:start]
        return taken

    def is_for_paho(self) -> bool:
        """Whether paho should read now: the packet that `take` left in front is whole, or the connection has ended."""
        return self._ended or self._first_is_whole()

    def _first_is_whole(self) -> bool:
        try:
            length, at = _length(self._in, 1)
        except IndexError:
            return False
        return at + length <= len(self._in)

    def recv(self, size: int) -> bytes:
        """What paho reads: never from the network, and so never half of a packet."""
        data = bytes(self._in[:size])
        if not data and not self._ended:
            raise BlockingIOError
        del self._in[:size]
        return data

    def send(self, data: bytes) -> int:
        """Collect what paho sends."""
        self._out += data
        return len(data)

    def acknowledge(self, mids: Iterable[int]) -> None:
        """Collect a PUBACK for each (MQTT 3.4); without a reason code it means success in MQTT 5 too."""
        self._out += b"".join([_PUBACK + mid.to_bytes(2, "big") for mid in mids])

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
        """Send what can still be sent, and close when the other side has read it.

        Otherwise our next connection could overtake the last acknowledgements of this one, and the broker would send
        again what they acknowledge.
        """
        with suppress(OSError):
            if not self._ended and self.flush():
                self._sock.shutdown(socket.SHUT_WR)
                self._sock.settimeout(LAST_WORDS_S)
                deadline = time.monotonic() + LAST_WORDS_S
                while self._sock.recv(_READ_SIZE) and time.monotonic() < deadline:
                    pass
        self._sock.close()


def _length(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A variable byte integer (MQTT 5, 1.5.5) and where it ends; IndexError where it has not come whole."""
    value = data[at]
    if value < 128:
        return value, at + 1
    value &= 127
    for shift in (7, 14, 21):
        at += 1
        value |= (data[at] & 127) << shift
        if data[at] < 128:
            return value, at + 1
    # Malformed; as a packet of no length paho reads it and says so.
    return 0, at + 1
