"""The load generator: a given number of MQTT messages, as fast as the broker takes them or at a given rate.

It speaks MQTT 3.1.1 itself, so that what is measured is the platform and not a client library: all packets are built
before the clock starts. Each message has a device and a time of its own, so that rows can be counted one to one.

    python -m usp_simulators.load --port 1883 --messages 100000 --devices 1000
"""

import argparse
import asyncio
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

#: Messages sent and not yet acknowledged by the broker; keeps the broker's memory bounded.
WINDOW = 20_000
#: Packets written in one piece.
PIECE = 200
#: Packet identifiers have 16 bits and never are 0.
IDENTIFIERS = 65_535
#: A PUBACK of MQTT 3.1.1: its type, its length, and the identifier.
PUBACK_LENGTH = 4
CONNACK_LENGTH = 4

_CONNECT = 0x10
_PUBLISH_QOS_1 = 0x32
_CLEAN_SESSION = 0x02


@dataclass(frozen=True)
class Sent:
    """What was sent. `first` and `acknowledged` are readings of the machine's monotonic clock, in seconds."""

    messages: int
    first: float
    acknowledged: float


def device_name(number: int) -> str:
    """The name of the n-th device that sends; it has to be registered."""
    return f"lamp-load-{number:04d}"


def connect_packet(client_id: str, *, clean_session: bool = True, keep_alive_s: int = 0) -> bytes:
    """A CONNECT of MQTT 3.1.1 (3.1)."""
    flags = _CLEAN_SESSION if clean_session else 0
    body = _text("MQTT") + bytes([4, flags]) + keep_alive_s.to_bytes(2, "big") + _text(client_id)
    return _packet(_CONNECT, body)


def publish_packets(messages: int, devices: int, start: datetime) -> Iterator[bytes]:
    """Readings of eight values with QoS 1: the devices take turns, and each round is a second later."""
    topics = [_text(f"usp/v1/{device_name(number)}/up") for number in range(devices)]
    stamp = ""
    for number in range(messages):
        turn, device = divmod(number, devices)
        if device == 0:
            stamp = (start + timedelta(seconds=turn)).strftime("%Y-%m-%dT%H:%M:%SZ")
        reading = (
            f'{{"time":"{stamp}","pm1":8.2,"pm2_5":{11 + turn % 70 / 10:.1f},"pm10":20.4,"no":6.0,'
            f'"no2":{31 + device % 90 / 10:.1f},"o3":14.2,"so2":3.1,"co":0.4}}'
        )
        identifier = (number % IDENTIFIERS + 1).to_bytes(2, "big")
        yield _packet(_PUBLISH_QOS_1, topics[device] + identifier + reading.encode())


def _packet(first_byte: int, body: bytes) -> bytes:
    # The remaining length: seven bits a byte, the lowest first, the eighth says that more follow (2.2.3).
    length = bytearray()
    rest = len(body)
    while True:
        rest, low = divmod(rest, 128)
        length.append(low | (128 if rest else 0))
        if not rest:
            return bytes([first_byte]) + bytes(length) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


class Publisher:
    """One connection that publishes prepared packets, never more than a window ahead of the broker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._acknowledged = 0
        self._progress = asyncio.Event()

    async def publish(self, packets: list[bytes], rate: float = math.inf) -> Sent:
        """Send all packets, at most `rate` a second; returns when the broker has acknowledged the last one."""
        # At a low rate small pieces, so that they leave evenly.
        step = max(1, min(PIECE, int(min(rate, 1e9) / 100)))
        pieces = [b"".join(packets[at : at + step]) for at in range(0, len(packets), step)]
        acknowledgements = asyncio.create_task(self._count_acknowledgements())
        first = time.monotonic()
        for number, piece in enumerate(pieces):
            ahead = first + number * step / rate - time.monotonic()
            if ahead > 0:
                await asyncio.sleep(ahead)
            await self._wait_for(number * step - WINDOW, acknowledgements)
            self._writer.write(piece)
            await self._writer.drain()
        await self._wait_for(len(packets), acknowledgements)
        sent = Sent(len(packets), first, time.monotonic())
        acknowledgements.cancel()
        return sent

    async def _wait_for(self, acknowledged: int, acknowledgements: asyncio.Task[None]) -> None:
        while self._acknowledged < acknowledged:
            if acknowledgements.done():
                raise ConnectionError("The broker closed the connection.")
            self._progress.clear()
            await self._progress.wait()

    async def _count_acknowledgements(self) -> None:
        received = 0
        try:
            while data := await self._reader.read(65536):
                received += len(data)
                self._acknowledged = received // PUBACK_LENGTH
                self._progress.set()
        finally:
            self._progress.set()


async def publish(host: str, port: int, packets: list[bytes], rate: float = math.inf) -> Sent:
    """Connect, publish everything, and leave."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(connect_packet(f"usp-load-{os.getpid()}"))
        answer = await reader.readexactly(CONNACK_LENGTH)
        if answer[3]:
            raise ConnectionError(f"The broker refuses the connection with code {answer[3]}.")
        return await Publisher(reader, writer).publish(packets, rate)
    finally:
        writer.close()


def main() -> None:
    """Publish, and print as one line of JSON what was sent and when."""
    parser = argparse.ArgumentParser(prog="python -m usp_simulators.load", description="The load generator.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--devices", type=int, default=1_000, help="lamp-load-0000 and so on")
    parser.add_argument("--rate", type=float, default=math.inf, help="messages a second; without it unpaced")
    parser.add_argument("--start", type=datetime.fromisoformat, help="time of the first readings")
    options = parser.parse_args()
    # By default the last readings are a little in the past: the platform refuses what comes from the future.
    ago = timedelta(seconds=options.messages // options.devices + 60)
    start = (options.start or datetime.now(UTC) - ago).astimezone(UTC)
    packets = list(publish_packets(options.messages, options.devices, start))
    sent = asyncio.run(publish(options.host, options.port, packets, options.rate))
    sys.stdout.write(json.dumps(asdict(sent)) + "\n")


if __name__ == "__main__":
    main()
