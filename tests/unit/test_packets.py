"""MQTT packets between the broker and paho: PUBLISH is taken from the stream, however it was cut into pieces."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usp.ingest.packets import PacketSocket, Received

PINGRESP = b"\xd0\x00"
CONNECTION = 3


class Network:
    """A socket from which pieces come, one at a time; empty pieces are moments in which nothing is there."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)
        self.sent = b""
        self.room = 1_000_000

    def recv(self, _size: int) -> bytes:
        """The next piece."""
        piece = next(self._pieces, b"")
        if not piece:
            raise BlockingIOError
        return piece

    def send(self, data: bytes) -> int:
        """Take what there is room for."""
        if not self.room:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.sent += taken
        self.room -= len(taken)
        return len(taken)


def length(value: int) -> bytes:
    """A variable byte integer."""
    out = b""
    while True:
        value, low = divmod(value, 128)
        out += bytes([low | (128 if value else 0)])
        if not value:
            return out


def publish(topic: bytes, payload: bytes, mid: int = 0, properties: bytes | None = None, retain: int = 0) -> bytes:
    """A PUBLISH of QoS 1, or of QoS 0 where it has no identifier; with properties one of MQTT 5."""
    body = len(topic).to_bytes(2, "big") + topic + (mid.to_bytes(2, "big") if mid else b"")
    body += b"" if properties is None else length(len(properties)) + properties
    return bytes([0x30 | (2 if mid else 0) | retain]) + length(len(body + payload)) + body + payload


def taken(sock: PacketSocket, pieces: int) -> Iterator[Received | bytes]:
    """Everything that comes in so many reads: messages, and the bytes of each packet that is left to paho."""
    for _ in range(pieces):
        sock.fill()
        while True:
            yield from sock.take(CONNECTION)
            if not sock.is_for_paho():
                break
            yield sock.recv(1) + sock.recv(1)


messages = st.tuples(
    st.sampled_from([b"usp/v1/lamp-1/up", b"t"]), st.binary(max_size=300), st.integers(0, 65535), st.integers(0, 1)
)


@given(
    sent=st.lists(st.one_of(messages, st.just(None)), max_size=12),
    properties=st.one_of(st.none(), st.binary(max_size=200)),
    cuts=st.lists(st.integers(1, 400), max_size=40),
)
def test_messages_are_found_wherever_the_stream_is_cut(
    sent: list[tuple[bytes, bytes, int, int] | None], properties: bytes | None, cuts: list[int]
) -> None:
    """Every message comes once, whole and in order, between the packets that are paho's."""
    stream = b"".join(PINGRESP if m is None else publish(*m[:3], properties, m[3]) for m in sent)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(stream[at : at + cut])
        at += cut
    pieces = [piece for piece in [*pieces, stream[at:]] if piece]
    sock = PacketSocket(Network(pieces), v5=properties is not None)
    found = list(taken(sock, len(pieces)))
    assert [f if isinstance(f, bytes) else (f.topic.encode(), f.payload, f.mid) for f in found] == [
        PINGRESP if m is None else m[:3] for m in sent
    ]
    arrivals = [f.received_at for f in found if isinstance(f, Received)]
    assert arrivals == sorted(set(arrivals))
    assert all(f.connection == CONNECTION for f in found if isinstance(f, Received))


@pytest.mark.parametrize(
    "malformed",
    [
        b"\x32\xff\xff\xff\xff\x01" + bytes(20),  # a length of five bytes
        b"\x32\x03\x00\x09a" + bytes(20),  # a topic longer than its packet
        b"\x32\x03\x00\x01a",  # no identifier
        b"\x32\x00",  # nothing at all
        publish(b"t", b"", 1).replace(b"\x32", b"\x36"),  # QoS 3
        publish(b"t", b"", 1).replace(b"\x32", b"\x34"),  # QoS 2, which nobody has asked for
    ],
)
def test_what_is_malformed_is_left_to_paho(malformed: bytes) -> None:
    """It knows when a connection has to end; what came before is not lost."""
    sock = PacketSocket(Network([publish(b"t", b"1", 1) + malformed]), v5=False)
    sock.fill()
    assert [message.payload for message in sock.take(CONNECTION)] == [b"1"]
    assert sock.is_for_paho()
    assert sock.recv(1) == malformed[:1]


def test_the_end_of_a_connection_is_told_to_paho() -> None:
    """What has come is taken first; half a packet is no message."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.settimeout(0)
        sock = PacketSocket(ours, v5=False)
        with theirs:
            theirs.sendall(publish(b"t", b"1", 1) + publish(b"t", b"2", 2)[:-1])
        sock.fill()
        assert len(sock.take(CONNECTION)) == 1
        assert not sock.is_for_paho()
        sock.fill()
        assert sock.take(CONNECTION) == []
        assert sock.is_for_paho()
        assert len(sock.recv(100)) == 7
        assert sock.recv(100) == b""


def test_paho_waits_while_the_connection_stands() -> None:
    """An empty buffer is not the end of the connection."""
    sock = PacketSocket(Network([]), v5=False)
    sock.fill()
    assert not sock.is_for_paho()
    with pytest.raises(BlockingIOError):
        sock.recv(1)


def test_acknowledgements_leave_in_order_together_with_what_paho_sends() -> None:
    """What the network does not take now is sent later."""
    network = Network([])
    network.room = 5
    sock = PacketSocket(network, v5=False)
    sock.acknowledge([1, 65535])
    sock.send(b"\xc0\x00")
    assert not sock.flush()
    network.room = 100
    assert sock.flush()
    assert network.sent == b"\x40\x02\x00\x01" + b"\x40\x02\xff\xff" + b"\xc0\x00"
