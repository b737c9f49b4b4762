"""The denominator: the least that can be done with a message between broker and database, in one plain loop.

paho with a buffered socket, orjson, COPY into a temporary table and INSERT … ON CONFLICT DO NOTHING, and an
acknowledgement after the commit. No validation, no registry, no counts, no newest values, no errors. It may only ever
be made faster: a ratio against a slow denominator says nothing.

    python -m tests.bench.bare_loop DATABASE_URL BROKER_PORT MESSAGES 3.1.1|5
"""

import asyncio
import json
import os
import sys
import time
from datetime import datetime
from typing import Any

import asyncpg
import orjson
import uvloop
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

VALUES = ("pm1", "pm2_5", "pm10", "no", "no2", "o3", "so2", "co")
COLUMNS = ("time", "device", *VALUES)
SCHEMA = f"""
CREATE TABLE bare (time timestamptz NOT NULL, device integer NOT NULL, {", ".join(f"{v} real" for v in VALUES)});
SELECT create_hypertable('bare', by_range('time', INTERVAL '7 days'), create_default_indexes => false);
CREATE UNIQUE INDEX ON bare (device, time);
CREATE TEMP TABLE stage (LIKE bare) ON COMMIT DELETE ROWS;
"""


Message = tuple[int, str, bytes | bytearray]


def say(line: str) -> None:
    """Tell the measuring side."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class BufferedSocket:
    """One large read in front of paho's small ones, and one write for all acknowledgements of a batch."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._buffer = b""
        self._at = 0
        self._out: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; from the network only when the buffer is empty."""
        at = self._at
        if at >= len(self._buffer):
            self._buffer = self._sock.recv(65536)
            at = 0
        self._at = at + size
        return self._buffer[at : at + size]

    def pending(self) -> bool:
        """Whether the buffer holds something."""
        return self._at < len(self._buffer)

    def send(self, data: bytes) -> int:
        """Collect what paho sends."""
        self._out.append(data)
        return len(data)

    def flush(self) -> None:
        """Send what was collected."""
        self._sock.settimeout(None)
        self._sock.sendall(b"".join(self._out))
        self._sock.settimeout(0)
        self._out.clear()


class Client(paho.Client):
    """paho over such a socket."""

    def _create_socket(self) -> Any:
        return BufferedSocket(super()._create_socket())


class Messages:
    """What has arrived and is not yet in a batch."""

    def __init__(self, port: int, *, v5: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket: BufferedSocket | None = None
        self.waiting: list[Message] = []
        self.arrived = asyncio.Event()
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id="bare-loop",
            protocol=paho.MQTTv5 if v5 else paho.MQTTv311,
            manual_ack=True,
        )
        self.client.on_message = self._on_message
        self.client.on_socket_open = self._on_socket_open
        self.client.on_socket_register_write = lambda _c, _u, sock: self._loop.add_writer(sock.fileno(), self._write)
        self.client.on_socket_unregister_write = self._on_written
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: say("ready")
        properties = None
        if v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.ReceiveMaximum = 65535
        self.client.connect("127.0.0.1", port, keepalive=600, properties=properties)

    def _on_connect(self, *_: Any) -> None:
        self.client.subscribe("usp/v1/#", 1)

    def _on_message(self, _client: Any, _userdata: Any, message: paho.MQTTMessage) -> None:
        self.waiting.append((message.mid, message.topic, message.payload))
        self.arrived.set()

    def _on_socket_open(self, _client: Any, _userdata: Any, sock: Any) -> None:
        self._socket = sock
        self._loop.add_reader(sock.fileno(), self._read)

    def _on_written(self, _client: Any, _userdata: Any, sock: Any) -> None:
        self._loop.remove_writer(sock.fileno())

    def _read(self) -> None:
        self.client.loop_read()
        while self._socket is not None and self._socket.pending():
            self.client.loop_read()

    def _write(self) -> None:
        self.client.loop_write()
        if self._socket is not None:
            self._socket.flush()

    def acknowledge(self, batch: list[Message]) -> None:
        """Acknowledge a batch that was committed."""
        for mid, _, _ in batch:
            self.client.ack(mid, 1)
        self._write()


async def main(database_url: str, port: int, count: int, *, v5: bool) -> None:
    """Take in `count` messages and print when the last one was committed and acknowledged."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(SCHEMA)
    messages = Messages(port, v5=v5)
    devices: dict[str, int] = {}
    done = batches = 0
    while done < count:
        await messages.arrived.wait()
        messages.arrived.clear()
        batch, messages.waiting = messages.waiting, []
        rows = []
        for _, topic, payload in batch:
            item = orjson.loads(payload)
            device = devices.setdefault(topic.split("/")[2], len(devices))
            rows.append((datetime.fromisoformat(item["time"]), device, *map(item.get, VALUES)))
        async with connection.transaction():
            await connection.copy_records_to_table("stage", records=rows, columns=COLUMNS)
            await connection.execute("INSERT INTO bare SELECT * FROM stage ON CONFLICT DO NOTHING")
        messages.acknowledge(batch)
        done += len(batch)
        batches += 1
    say(json.dumps({"done": time.monotonic(), "batches": batches}))
    # The measuring side reads this process's figures and then ends it.
    await asyncio.sleep(60)
    os._exit(0)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), v5=sys.argv[4] == "5"))
