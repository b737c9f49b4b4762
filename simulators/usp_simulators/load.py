"""The load generator: a given number of MQTT messages, as fast as the broker takes them or at a given rate.

It speaks MQTT 3.1.1 itself, so that what is measured is the platform and not a client library: all packets are built
before the clock starts. Each message has a device and a time of its own, so that rows can be counted one to one.

    python -m usp_simulators.load --port 1883 --messages 100000 --devices 1000
"""

import argparse
import asyncio
import base64
import json
import math
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
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


def device_eui(number: int) -> str:
    """The devEUI of the n-th device, where it speaks through ChirpStack."""
    return f"70b3d5ff{number:08x}"


#: What each reading has, by name and unit of the vocabulary. The codec of the benchmark gives them in this order.
VALUES = ("pm1", "pm2_5", "pm10", "no", "no2", "o3", "so2", "co")


@dataclass(frozen=True)
class Reading:
    """The n-th reading of a device."""

    device: int
    turn: int
    time: datetime

    @property
    def values(self) -> tuple[float, ...]:
        """Eight values, in tenths at most."""
        return (8.2, 11 + self.turn % 70 / 10, 20.4, 6.0, 31 + self.device % 90 / 10, 14.2, 3.1, 0.4)

    @property
    def written(self) -> str:
        """The values as they stand in JSON."""
        return ",".join(f'"{name}":{value:.1f}' for name, value in zip(VALUES, self.values, strict=True))


def native(reading: Reading) -> tuple[str, str]:
    """Topic and message of a device that speaks for itself."""
    stamp = reading.time.strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"usp/v1/{device_name(reading.device)}/up", f'{{"time":"{stamp}",{reading.written}}}'


def native_with_radio(reading: Reading) -> tuple[str, str]:
    """The same, with what a network server tells of the radio."""
    topic, message = native(reading)
    return topic, f'{message[:-1]},"rssi":-97,"snr":7.5,"frame_counter":{reading.turn}}}'


def chirpstack_object(reading: Reading) -> tuple[str, str]:
    """An uplink that ChirpStack has decoded."""
    return _chirpstack(reading, f"{{{reading.written}}}")


def chirpstack_bytes(reading: Reading) -> tuple[str, str]:
    """An uplink whose bytes a codec of ours has to decode."""
    return _chirpstack(reading, "null")


def _chirpstack(reading: Reading, decoded: str) -> tuple[str, str]:
    eui = device_eui(reading.device)
    payload = struct.pack(">8H", *(round(value * 10) for value in reading.values))
    second = reading.time.strftime("%Y-%m-%dT%H:%M:%S")
    message = (
        f'{{"deduplicationId":"{reading.turn:08x}-4401-4b8d-9386-{reading.device:012x}",'
        f'"time":"{second}.123456789+00:00",'
        '"deviceInfo":{"tenantId":"52f14cd4-c6f1-4fbd-8f87-4025e1d49242","tenantName":"Comune",'
        '"applicationId":"17c82e96-be03-4f38-aef3-f83d48582d97","applicationName":"Sensors",'
        '"deviceProfileId":"14855bf7-d10d-4aee-b618-ebfcb64dc7ad","deviceProfileName":"Lamppost",'
        f'"deviceName":"{device_name(reading.device)}","devEui":"{eui}","deviceClassEnabled":"CLASS_A","tags":{{}}}},'
        f'"devAddr":"00189440","adr":true,"dr":5,"fCnt":{reading.turn},"fPort":2,"confirmed":false,'
        f'"data":"{base64.b64encode(payload).decode()}","object":{decoded},'
        f'"rxInfo":[{{"gatewayId":"0016c001f153a14c","uplinkId":4217106255,"nsTime":"{second}.191456789+00:00",'
        '"rssi":-97,"snr":7.5,"channel":2,"location":{},"context":"E3OWOQ==",'
        '"metadata":{"region_common_name":"EU868","region_config_id":"eu868"},"crcStatus":"CRC_OK"}],'
        '"txInfo":{"frequency":868100000,"modulation":'
        '{"lora":{"bandwidth":125000,"spreadingFactor":7,"codeRate":"CR_4_5"}}},'
        '"relayRxInfo":null,"joinServerContext":null,"regionConfigId":"eu868"}'
    )
    return f"application/17c82e96-be03-4f38-aef3-f83d48582d97/device/{eui}/event/up", message


#: How a reading may be written, by name.
FORMS: dict[str, Callable[[Reading], tuple[str, str]]] = {
    "native": native,
    "native-with-radio": native_with_radio,
    "chirpstack-object": chirpstack_object,
    "chirpstack-bytes": chirpstack_bytes,
}


def connect_packet(client_id: str, *, clean_session: bool = True, keep_alive_s: int = 0) -> bytes:
    """A CONNECT of MQTT 3.1.1 (3.1)."""
    flags = _CLEAN_SESSION if clean_session else 0
    body = _text("MQTT") + bytes([4, flags]) + keep_alive_s.to_bytes(2, "big") + _text(client_id)
    return _packet(_CONNECT, body)


def publish_packets(messages: int, devices: int, start: datetime, form: str = "native") -> Iterator[bytes]:
    """Readings of eight values with QoS 1: the devices take turns, and each round is a second later."""
    write = FORMS[form]
    for number in range(messages):
        turn, device = divmod(number, devices)
        topic, message = write(Reading(device, turn, start + timedelta(seconds=turn)))
        identifier = (number % IDENTIFIERS + 1).to_bytes(2, "big")
        yield _packet(_PUBLISH_QOS_1, _text(topic) + identifier + message.encode())


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
    parser.add_argument("--form", choices=FORMS, default="native", help="how a reading is written")
    parser.add_argument("--rate", type=float, default=math.inf, help="messages a second; without it unpaced")
    parser.add_argument("--start", type=datetime.fromisoformat, help="time of the first readings")
    options = parser.parse_args()
    # By default the last readings are a little in the past: the platform refuses what comes from the future.
    ago = timedelta(seconds=options.messages // options.devices + 60)
    start = (options.start or datetime.now(UTC) - ago).astimezone(UTC)
    packets = list(publish_packets(options.messages, options.devices, start, options.form))
    sent = asyncio.run(publish(options.host, options.port, packets, options.rate))
    sys.stdout.write(json.dumps(asdict(sent)) + "\n")


if __name__ == "__main__":
    main()
