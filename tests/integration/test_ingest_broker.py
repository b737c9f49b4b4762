"""The broker cuts connections, refuses a password, and delivers more than can be written."""

import asyncio
import base64
import hashlib
import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import paho.mqtt.publish as mqtt
from tests.integration.town import Health, Publisher, Town, all_stored, health, publisher, report, settled, town
from tests.integration.wire import Wire

from usp.embedded.mosquitto import CONNACK, CONNECT, DISCONNECT

__all__ = ["health", "publisher", "town"]

MIB = 1024 * 1024


async def test_a_connection_that_is_cut_is_made_anew(town: Town, publisher: Publisher, health: Health) -> None:
    """Reset or ended, again and again in the middle of a stream; what was in flight comes again, once stored."""
    with Wire(town.broker.port) as wire, town.worker(broker=f"mqtt://127.0.0.1:{wire.port}") as worker:
        await town.ready()
        async with publisher.streaming():
            for cut, reset in enumerate((True, False, True, False), start=1):
                await asyncio.sleep(0.4)
                wire.cut(reset=reset)
                await town.logged("broker_connected", cut + 1)
        since = time.monotonic()
        await settled(town, publisher, health, "broker connection cut", since)
        assert worker.poll() is None


async def test_a_broker_that_is_not_reached_is_told(town: Town, publisher: Publisher, health: Health) -> None:
    """While its connections are cut as soon as they are made, readiness says so, and names ingest."""
    with Wire(town.broker.port) as wire, town.worker(broker=f"mqtt://127.0.0.1:{wire.port}") as worker:
        await town.ready()
        async with publisher.streaming(1_000):
            wire.freeze()
            wire.cut(reset=True)
            await health.says(database="ok", ingest="failing")
            wire.mend()
        since = time.monotonic()
        await settled(town, publisher, health, "broker not reached", since)
        assert worker.poll() is None


async def test_a_changed_password_is_waited_out(town: Town, health: Health) -> None:
    """The broker refuses the worker's password until an operator has mended it; what was sent meanwhile waits."""
    own = f"127.0.0.1:{town.broker.port}"
    sender: Any = {"username": "sender", "password": "sent"}
    require(town, ingest="first", sender="sent")
    with town.worker(broker=f"mqtt://ingest:first@{own}") as worker:
        await town.ready()
        require(town, ingest="second", sender="sent")
        await town.logged("Not authorized", 2)
        await health.says(database="ok", ingest="failing")
        messages: list[Any] = [
            {"topic": "usp/v1/lamp-1/up", "payload": f'{{"time":{1_700_000_000 + n},"no2":{n},"pm2_5":0}}', "qos": 1}
            for n in range(500)
        ]
        await asyncio.to_thread(mqtt.multiple, messages, hostname="127.0.0.1", port=town.broker.port, auth=sender)
        require(town, ingest="first", sender="sent")
        since = time.monotonic()
        counts = await all_stored(town, 500)
        await health.well(counts)
        report("broker password changed", 500, counts, time.monotonic() - since)
        assert counts.received == 500
        assert worker.poll() is None


def require(town: Town, **passwords: str) -> None:
    """Let the running broker demand these passwords (mosquitto-passwd(5): PBKDF2 over SHA-512)."""
    lines = []
    for name, password in passwords.items():
        salt = name.ljust(12).encode()
        digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101, 64)
        lines.append(f"{name}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}\n")
    folder = town.folder / "broker"
    (folder / "passwords").write_text("".join(lines))
    (folder / "passwords").chmod(0o644)
    config = folder / "mosquitto.conf"
    text = config.read_text()
    if "password_file" not in text:
        text = text.replace("allow_anonymous true", f"allow_anonymous false\npassword_file {folder}/passwords")
        config.write_text(text)
    assert town.broker.process is not None
    town.broker.process.send_signal(signal.SIGHUP)


async def test_a_flood_does_not_fill_the_memory(town: Town, health: Health) -> None:
    """QoS 0 knows no window, and the database is away: the worker stops reading in time, and takes it all later."""
    await flooded(town, health, 4_000, b"usp/v1/lamp-1/" + b"x" * 60_000)
    assert await town.query("SELECT max(length(topic)) FROM usp.rejection") == 1_000


async def flooded(town: Town, health: Health, count: int, topic: bytes) -> None:
    """Send messages of which each costs a worker more memory than is paid for by its payload, which is empty."""
    with town.worker() as worker:
        await town.ready()
        before = memory(worker.pid)
        town.postgres.stop()
        await asyncio.to_thread(flood, town.broker.port, topic, count)
        await asyncio.sleep(2)
        town.postgres.start()
        since = time.monotonic()
        await town.reaches("SELECT sum(count) FROM usp.ingest_total WHERE what = 'received'", count)
        counts = await town.counts()
        report(f"flood of {count:,} at QoS 0", count, counts, time.monotonic() - since)
        assert counts.rejected == count
        await health.well(counts)
        most = memory(worker.pid)
        assert worker.poll() is None
    print(f"{before / MIB:.0f} MiB grew to {most / MIB:.0f}")  # noqa: T201 - shown with -rP
    assert most < before + 140 * MIB


def flood(port: int, topic: bytes, count: int) -> None:
    """Publish with QoS 0 and without a payload, as fast as it goes (MQTT 3.1.1, 3.3)."""
    body = len(topic).to_bytes(2, "big") + topic
    length, rest = b"", len(body)
    while rest > 127:
        length, rest = length + bytes([rest % 128 | 128]), rest // 128
    packet = b"\x30" + length + bytes([rest]) + body
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(CONNECT)
        assert connection.recv(len(CONNACK)) == CONNACK
        for first in range(0, count, 1_000):
            connection.sendall(packet * min(1_000, count - first))
        connection.sendall(DISCONNECT)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


async def test_large_messages_do_not_fill_the_memory(town: Town, health: Health) -> None:
    """Two megabytes of empty lists take fifty when they are decoded: few of them are, at a time."""
    payload = b'[{"x":[' + b",".join([b"[]"] * 650_000) + b']},{"y":1}]'
    count = 40
    with town.worker() as worker:
        await town.ready()
        before = memory(worker.pid)
        message: Any = {"topic": "usp/v1/lamp-1/up", "payload": payload, "qos": 1}
        await asyncio.to_thread(mqtt.multiple, [message] * count, port=town.broker.port)
        await town.reaches("SELECT sum(count) FROM usp.ingest_total WHERE what = 'rejected'", 2 * count)
        most = memory(worker.pid)
        await health.well(await town.counts())
        assert worker.poll() is None
    print(f"{before / MIB:.0f} MiB grew to {most / MIB:.0f}")  # noqa: T201 - shown with -rP
    assert most < before + 450 * MIB


async def test_what_is_refused_is_logged_with_worker_batch_and_reason(town: Town) -> None:
    """One line for many, as JSON; what connects and what is lost says whose it is too."""
    with town.worker():
        await town.ready()
        message: Any = {"topic": "usp/v1/lamp-1/up", "payload": b"{", "qos": 1}
        await asyncio.to_thread(mqtt.multiple, [message] * 3, port=town.broker.port)
        await town.logged('"event": "refused"')
    lines = [json.loads(line) for line in town.log.splitlines() if line.startswith("{")]
    refused = next(line for line in lines if line["event"] == "refused")
    assert refused["worker"] == 0
    assert int(refused["batch"], 16) > 0
    assert refused["reasons"] == {"not_json": refused["count"]}
    connected = next(line for line in lines if line["event"] == "broker_connected")
    assert connected["worker"] == 0


def memory(pid: int) -> int:
    """The most memory a process has ever had resident."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


async def test_rejections_with_very_long_topics_are_recorded(town: Town, health: Health) -> None:
    """Of sixty thousand characters the first thousand are kept, and its siblings are not held up."""
    topic = "usp/v1/lamp-1/" + "\N{LATIN SMALL LETTER E WITH GRAVE}" * 25_000
    sent: list[Any] = [(topic, "{}", 1, False), ("usp/v1/" + "y" * 60_000 + "/up", '{"no2":1}', 1, False)]
    sent += [("usp/v1/lamp-1/up", '{"time":1700000000,"no2":0,"pm2_5":0}', 1, False)]
    with town.worker() as worker:
        await town.ready()
        since = time.monotonic()
        await asyncio.to_thread(mqtt.multiple, sent, hostname="127.0.0.1", port=town.broker.port)
        await town.reaches("SELECT sum(count) FROM usp.ingest_total WHERE what = 'received'", 3)
        counts = await town.counts()
        await health.well(counts)
        report("very long topics", 3, counts, time.monotonic() - since)
        assert worker.poll() is None
    assert (counts.stored, counts.rejected) == (1, 2)
    found = "SELECT string_agg(reason || ' ' || length(topic) || ' ' || length(address), ', ' ORDER BY reason) "
    assert await town.query(found + "FROM usp.rejection") == "unknown_device 1000 200, wrong_topic 1000 6"
    assert topic.startswith(await town.query("SELECT topic FROM usp.rejection WHERE reason = 'wrong_topic'"))
