import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

import orjson
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from usp.embedded import Mosquitto, Parts
from usp.errors import BrokerUnavailable, RegistryError, SettingsError
from usp_simulators import Simulation, district
from usp_simulators.faults import parse_faults
from usp_simulators.manifest import read_manifest
from usp_simulators.simulate import parse_backfill, select, simulate, yesterday

NOON = datetime(2026, 11, 20, 11, tzinfo=UTC)


class Listener:
    """Hears everything that is sent to a broker."""

    def __init__(self, broker: Mosquitto) -> None:
        self.broker = broker
        self.heard: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        self.broker.start()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda _c, _u, m: self.heard.append((m.topic, _time_of(m.payload)))
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", self.broker.port)
        self._client.loop_start()
        self._client.subscribe("#", qos=1)
        assert subscribed.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self.broker.stop()

    def wait_for(self, count: int) -> None:
        """Wait until so many messages are heard."""
        deadline = time.monotonic() + 20
        while len(self.heard) < count:
            assert time.monotonic() < deadline, f"heard {len(self.heard)} of {count}"
            time.sleep(0.05)


def _time_of(payload: bytes | bytearray) -> str:
    """The time of a message; damaged ones have none."""
    with suppress(orjson.JSONDecodeError, KeyError, TypeError):
        return str(orjson.loads(payload)["time"])
    return ""


@pytest.fixture
def mosquitto(parts: Parts, tmp_path: Path) -> Mosquitto:
    """Return a broker of the test's own, not yet started."""
    return Mosquitto(parts, tmp_path / "mosquitto")


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Listener:
    """Return the broker with a listener."""
    return Listener(mosquitto)


def test_a_backfill_runs_into_real_time_without_gap_or_overlap(listener: Listener, tmp_path: Path) -> None:
    """Everything since the beginning is sent once, up to now, and written into the manifest."""
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    with listener:
        report = simulate(listener.broker.url, since=since, duration=8, manifest=tmp_path / "manifest.jsonl")
        listener.wait_for(report.sent)
    assert report.acknowledged == report.sent == len(listener.heard)
    assert report.until.timestamp() == pytest.approx(time.time(), abs=20)
    expected = list(Simulation(district()).messages(int(since.timestamp()), int(report.until.timestamp())))
    assert {(m.topic, m.payload["time"]) for m in expected} <= set(listener.heard)
    assert len(set(listener.heard)) == len(listener.heard)
    lines = read_manifest(tmp_path / "manifest.jsonl")
    written = {(line["device"], row["dataset"], row["time"]): row["values"] for line in lines for row in line["rows"]}
    for message in expected:
        for row in message.rows:
            # The rain stands beside the other weather, an interval earlier.
            if "rainfall" not in row.values:
                key = (message.device, row.dataset, row.time.strftime("%Y-%m-%dT%H:%M:%SZ"))
                assert written[key] == row.values or "rainfall" in written[key]


def test_faults_are_sent_and_foreseen(listener: Listener, tmp_path: Path) -> None:
    """With faults the manifest tells of everything that was sent, broken or not, and of nothing else."""
    since = datetime.now(UTC) - timedelta(hours=1)
    faults, manifest = parse_faults("corrupt=0.3,duplicate=0.3"), tmp_path / "manifest"
    with listener:
        report = simulate(listener.broker.url, since=since, duration=5, devices=50, faults=faults, manifest=manifest)
        listener.wait_for(report.sent)
    lines = list(read_manifest(manifest))
    assert len(lines) == report.acknowledged == report.sent
    assert {"not_json", "bad_time", "time_without_offset"} <= {line.get("reason") for line in lines}
    assert len(set(listener.heard)) < report.sent


def test_a_killed_broker_costs_nothing(mosquitto: Mosquitto) -> None:
    """What was not acknowledged when the broker died is sent to the next one."""
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=12)
    # The broker ends with the thread that started it, so it is this one that starts it again.
    with mosquitto, ThreadPoolExecutor() as pool:
        running = pool.submit(simulate, mosquitto.url, since=since, duration=12)
        time.sleep(2)
        assert mosquitto.process is not None
        os.kill(mosquitto.process.pid, signal.SIGKILL)
        mosquitto.process.wait()
        mosquitto.stop()
        mosquitto.start()
        report = running.result()
    assert report.acknowledged == report.sent
    expected = Simulation(district()).messages(int(since.timestamp()), int(report.until.timestamp()))
    assert report.sent >= sum(1 for _ in expected)


def test_once_sends_each_device_once(listener: Listener) -> None:
    """`--once` is for filling an empty screen."""
    with listener:
        report = simulate(listener.broker.url, once=True)
        listener.wait_for(report.sent)
    assert report.sent == len({topic for topic, _ in listener.heard}) == len(district())


def test_stopping_ends_a_run_at_once(mosquitto: Mosquitto) -> None:
    """The demonstration does not wait for its simulators."""
    stop = threading.Event()
    with mosquitto:
        threading.Timer(1, stop.set).start()
        began = time.monotonic()
        report = simulate(mosquitto.url, stop=stop)
    assert time.monotonic() - began < 5
    assert report.sent == report.acknowledged


def test_acceleration_goes_through_the_past_at_its_own_pace(mosquitto: Mosquitto) -> None:
    """At 60 times real time, two seconds hold two minutes."""
    since = datetime.now(UTC) - timedelta(hours=1)
    with mosquitto:
        report = simulate(mosquitto.url, since=since, speed=60, duration=3)
    assert timedelta(seconds=30) < report.until - since < timedelta(seconds=200)


def test_no_broker_is_one_clear_line() -> None:
    """Nobody listens on port 1."""
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1: Connection refused"):
        simulate("mqtt://someone:secret@127.0.0.1:1", once=True, duration=1)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("1d", NOON - timedelta(days=1)),
        ("36h", NOON - timedelta(hours=36)),
        ("1.5 h", NOON - timedelta(minutes=90)),
        ("from 2026-11-01T00:00:00+01:00", datetime(2026, 10, 31, 23, tzinfo=UTC)),
        ("2026-11-01T00:00:00Z", datetime(2026, 11, 1, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 18, 23, tzinfo=UTC)),
    ],
)
def test_a_backfill_can_be_given_in_words(text: str, start: datetime) -> None:
    """A span back from now, or a time."""
    assert parse_backfill(text, NOON) == start


@pytest.mark.parametrize("text", ["", "soon", "from", "2026-11-01", "2027-01-01T00:00:00Z", "-1d", "99999999d"])
def test_a_backfill_without_sense_is_refused(text: str) -> None:
    """Without an offset a time is no time."""
    with pytest.raises(SettingsError):
        parse_backfill(text, NOON)


def test_yesterday_begins_at_midnight_in_milan() -> None:
    """Also on the day after the clock went back."""
    assert yesterday(datetime(2026, 10, 26, 12, tzinfo=UTC)) == datetime(2026, 10, 24, 22, tzinfo=UTC)


def test_devices_are_chosen_by_number_or_name() -> None:
    """A small number still shows every kind."""
    registry = district()
    kinds = {device.name: device.kind for device in registry}
    assert {kinds[name] for name in select(registry, 5) or ()} == set(kinds.values())
    assert select(registry, None) is None
    assert select(registry, ["cp-lodi-1"]) == {"cp-lodi-1"}
    with pytest.raises(RegistryError, match="did you mean cp-lodi-1"):
        select(registry, ["cp-lodi-11"])
    with pytest.raises(RegistryError, match="At least one"):
        select(registry, 0)
