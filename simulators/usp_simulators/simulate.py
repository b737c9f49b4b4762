"""`simulate`: the whole demonstration district, sent to a broker. What the command `usp simulate` calls."""

import difflib
import re
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path

from usp.errors import RegistryError, SettingsError
from usp.models.device import Device
from usp_simulators.days import ROME
from usp_simulators.district import Simulation, district
from usp_simulators.faults import Faults
from usp_simulators.fleet import Fleet
from usp_simulators.manifest import Manifest
from usp_simulators.message import Message, Sendable
from usp_simulators.progress import BackfillProgress
from usp_simulators.publish import Publisher

#: Every device sends at least once in this time.
LONGEST_SILENCE = 3600
#: How often waiting looks up to see whether it is to stop, in seconds.
GLANCE = 0.2

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([dhm])")
_SECONDS = {"d": 86400, "h": 3600, "m": 60}


@dataclass(frozen=True)
class Report:
    """What a run has done. Everything measured before `until` is acknowledged: the next run's `since`."""

    sent: int
    acknowledged: int
    until: datetime


@dataclass
class _Run:
    """One run under way."""

    publisher: Publisher
    progress: BackfillProgress
    stop: threading.Event
    deadline: float
    start: int
    speed: float | None
    sent: int = 0

    def halted(self) -> bool:
        return self.stop.is_set() or time.monotonic() > self.deadline

    def send(self, messages: Iterator[Sendable]) -> int | None:
        """Send each message when it is due, the past as fast as possible; return when the first unsent one was due."""
        began = time.time()
        for message in messages:
            due = float(message.at)
            if self.speed is not None:
                due = max(due, began + (message.at - self.start) / self.speed)
            if message.at > time.time():
                self.progress.caught_up()
            while (wait := due - time.time()) > 0 and not self.halted():
                self.publisher.serve(min(wait, GLANCE))
            if self.halted() or not self.publisher.send(message):
                return message.at
            self.sent += 1
            self.progress.sent(message.at)
        return None


def simulate(  # noqa: PLR0913
    broker: str,
    *,
    seed: int = 1,
    speed: float | None = None,
    since: datetime | None = None,
    duration: float | None = None,
    manifest: Path | None = None,
    devices: int | Sequence[str] | None = None,
    once: bool = False,
    faults: Faults | None = None,
    fleet: Fleet | None = None,
    stop: threading.Event | None = None,
) -> Report:
    """Send what the Milan district measures to `broker` (mqtt:// or mqtts://), until stopped; blocks.

    since: begin with what was measured then (`parse_backfill`, `yesterday`, or a report's `until`), catch up with the
        present as fast as the broker acknowledges, and go on in real time without gap or overlap. Without it: from now
        on. A part that was sent before is sent again exactly alike, so the platform counts it as duplicates.
    speed: catch up at this multiple of real time instead of as fast as possible; the future is never sent.
    duration: end after this many seconds, back-fill included.
    manifest: append what ought to become of each item of each acknowledged message to this file (see manifest.py).
    devices: only so many devices, of each kind in turn, or only those of these names.
    once: send each device's last message before now, and end.
    faults: let devices, clocks and radio err. What they hold back when the run ends is never sent.
    fleet: LoRaWAN devices behind a network server, which speak instead of the district and have faults of their own.
        At `since` all of them join.
    stop: set it, from another thread or a signal handler, to end the run: it waits for acknowledgements and returns.
    KeyboardInterrupt passes through. `BrokerUnavailable` is raised if there is no broker at the beginning; one that is
    lost later is waited for, and nothing is lost with it.
    """
    now = time.time()
    start = min(since.timestamp(), now) if since else now
    messages: Iterator[Sendable]
    if fleet is not None:
        messages = fleet.messages(int(start))
    else:
        registry = district()
        simulation = Simulation(registry, seed, select(registry, devices))
        readings = last_messages(simulation, int(now)) if once else simulation.messages(int(start))
        messages = readings if faults is None else faults.stage(readings)
    deadline = time.monotonic() + duration if duration is not None else float("inf")
    acknowledged = 0

    def on_acknowledged(message: Sendable) -> None:
        nonlocal acknowledged
        acknowledged += 1
        if book is not None:
            book.add(message)

    with ExitStack() as stack:
        book = stack.enter_context(Manifest(manifest)) if manifest else None
        progress = stack.enter_context(BackfillProgress(now if once else start, now))
        stop = stop or threading.Event()
        publisher = Publisher(
            broker,
            acknowledged=on_acknowledged,
            halted=lambda: stop.is_set() or time.monotonic() > deadline,
            say=progress.say,
        )
        run = _Run(publisher, progress, stop, deadline, int(start), speed)
        publisher.connect()
        stack.callback(publisher.close)
        unsent = run.send(messages)
        # Whoever stops us does not wait long.
        publisher.drain(1.0 if stop.is_set() else 10.0)
    ends = [at for at in (publisher.oldest, unsent) if at is not None]
    return Report(run.sent, acknowledged, datetime.fromtimestamp(min(ends, default=int(now)), UTC))


def last_messages(simulation: Simulation, now: int) -> Iterator[Message]:
    """Return each device's last message before `now`, in order of time."""
    last = {message.device: message for message in simulation.messages(now - LONGEST_SILENCE, now)}
    return iter(sorted(last.values(), key=lambda message: message.at))


def select(registry: Sequence[Device], choice: int | Sequence[str] | None) -> Collection[str] | None:
    """Return the names of so many devices, of each kind in turn, or the given names after a check; None for all."""
    if choice is None:
        return None
    names = [device.name for device in registry]
    if not isinstance(choice, int):
        for name in choice:
            if name not in names:
                near = "".join(f"; did you mean {n}?" for n in difflib.get_close_matches(name, names, n=1)) or "."
                raise RegistryError(f"No simulated device is called {name}{near}")
        return set(choice)
    if choice < 1:
        raise RegistryError("At least one device has to be simulated.")
    kinds = {device.kind: [d.name for d in registry if d.kind == device.kind] for device in registry}
    in_turn = [name for names in zip_longest(*kinds.values()) for name in names if name is not None]
    return set(in_turn[:choice])


def yesterday(now: datetime | None = None) -> datetime:
    """Return the beginning of yesterday in Milan: where a first demonstration starts."""
    today = (now or datetime.now(UTC)).astimezone(ROME).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today - timedelta(days=1)).astimezone(UTC)


def parse_backfill(text: str, now: datetime | None = None) -> datetime:
    """Return when a back-fill begins: `1d`, `36h`, `90m`, `yesterday`, or `from` and an RFC 3339 time."""
    now = now or datetime.now(UTC)
    text = text.strip()
    if text == "yesterday":
        return yesterday(now)
    try:
        if span := _SPAN.fullmatch(text):
            return now - timedelta(seconds=float(span[1]) * _SECONDS[span[2]])
        start = datetime.fromisoformat(text.removeprefix("from").strip())
    except (ValueError, OverflowError):
        start = None
    if start is None or start.tzinfo is None:
        raise SettingsError(f"A back-fill is 1d, 36h, 90m, yesterday, or a time with offset; {text!r} is none of them.")
    if start >= now:
        raise SettingsError(f"A back-fill begins in the past; {text!r} is not over yet.")
    return start.astimezone(UTC)
