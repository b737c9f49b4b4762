"""Faults of devices, clocks and radio, between what devices measure and what is sent.

    for sent in Faults(duplicate=0.02, silent=0.05).stage(simulation.messages(start, end)):
        sent.at, sent.topic, sent.body  # what goes to the broker, and when
        sent.fates  # what ought to become of each item in it

Whether a fault strikes is a function of the seed, the device and the time: a stream that is sent again has the same.
"""

import difflib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from itertools import count
from typing import NamedTuple

import orjson

from usp.errors import SettingsError
from usp_simulators import damage
from usp_simulators.damage import CORRUPTIONS, Item, Reading
from usp_simulators.message import Fate, Message

HOUR = 3600
#: How long a device is silent, out of reach or has a wrong clock, in seconds.
SILENCE, OUT_OF_REACH, WRONG_CLOCK = 4 * HOUR, 3 * HOUR, 6 * HOUR
#: A clock that goes wrong is at most so far ahead, which is tolerated, or behind.
AHEAD, BEHIND = 180, HOUR
#: How long a message out of order and a second copy may take, in seconds.
DETOUR, SECOND_COPY = 600, 24 * HOUR
#: What a device that is back in reach sends in one message.
PIECE = 100
#: How long it may take until what has gathered arrives, in seconds.
LONGEST_DELAY = 20 * HOUR
#: Ten years, as after a wrong setting.
AGES = 3652 * 24 * HOUR


@dataclass(slots=True)
class Sent:
    """A message as it is sent."""

    at: int
    device: str
    topic: str
    body: bytes
    fates: list[Fate]


class _Held(NamedTuple):
    """Items that have to wait; the number keeps those of one time in their order."""

    due: int
    number: int
    items: list[Item]


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How much goes wrong: shares of the messages, or of the time of devices, from 0 to 1.

    duplicate: messages that come a second time, at once or up to a day later: equal, with more, or with another value.
    late: time in which a device is out of reach; afterwards it sends what has gathered, up to 100 items in one array.
    reorder: messages that take up to ten minutes.
    corrupt: messages that are broken, of wrong type, without a time's offset, on a wrong topic, of an unknown device.
    out_of_range: messages with one implausible value.
    drift: time in which a clock is fast or slow, ten years ahead, or counts from 1970.
    silent: time in which a device says nothing.
    unmapped: messages with a field that no profile knows.
    """

    duplicate: float = 0.0
    late: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    out_of_range: float = 0.0
    drift: float = 0.0
    silent: float = 0.0
    unmapped: float = 0.0
    seed: int = 1

    def stage(self, messages: Iterable[Message]) -> Iterator[Sent]:
        """What is really sent, in order of time; what is held back when the messages end comes then."""
        held: list[_Held] = []
        gathered: dict[str, _Held] = {}
        numbers = count()
        draw, at = _Draw(self.seed), 0
        for message in messages:
            at = message.at
            while held and held[0].due <= at:
                yield from _sent(heapq.heappop(held), at)
            if draw.strikes(self.silent, "silent", message.device, at, SILENCE) is not None:
                continue
            away = draw.strikes(self.late, "late", message.device, at, OUT_OF_REACH)
            for wait, item in self._items(message, draw):
                if away is not None:
                    until = at - away.elapsed + OUT_OF_REACH + away.variant % LONGEST_DELAY
                    backlog = gathered.get(message.device)
                    if backlog is None or backlog.due != until:
                        backlog = gathered[message.device] = _Held(until, next(numbers), [])
                        heapq.heappush(held, backlog)
                    backlog.items.append(item)
                elif wait:
                    heapq.heappush(held, _Held(at + wait, next(numbers), [item]))
                else:
                    yield Sent(at, item.device, item.topic, item.raw, [item.fate])
        while held:
            yield from _sent(heapq.heappop(held), at)

    def _items(self, message: Message, draw: "_Draw") -> Iterator[tuple[int, Item]]:
        """What a message is sent as: items, and how long each is on its way."""
        reading = Reading(message.device, message.kind, message.time, message.payload)
        clock = draw.strikes(self.drift, "drift", message.device, message.at, WRONG_CLOCK)
        if clock is not None:
            shown = _wrong_time(message, clock)
            payload = message.payload | {"time": shown.isoformat().replace("+00:00", "Z")}
            reading = Reading(message.device, message.kind, shown, payload)
            if abs(shown.timestamp() - message.at) > 2 * BEHIND:
                reason = "too_old" if shown.timestamp() < message.at else "time_in_future"
                yield 0, damage.refused(reading, orjson.dumps(payload), reason, "time")
                return
        chance, variant = draw.number("message", message.device, message.at)
        fault = ""
        for name in ("corrupt", "out_of_range", "duplicate", "reorder", "unmapped"):
            chance -= getattr(self, name)
            if chance < 0:
                fault = name
                break
        match fault:
            case "corrupt":
                yield 0, CORRUPTIONS[variant % len(CORRUPTIONS)](reading, variant // len(CORRUPTIONS))
            case "out_of_range":
                yield 0, damage.out_of_range(reading, variant)
            case "duplicate":
                yield from _twice(reading, variant)
            case "reorder":
                yield 1 + variant % DETOUR, damage.as_it_is(reading)
            case "unmapped":
                yield 0, damage.with_unknown_field(reading, variant)
            case _:
                yield 0, damage.as_it_is(reading)


class _Strike(NamedTuple):
    """A fault that lasts: since how many seconds, and of which variant."""

    elapsed: int
    variant: int


class _Draw:
    """Chance that comes out the same again."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._spell = lru_cache(maxsize=20_000)(self.number)

    def number(self, *of: str | int) -> tuple[float, int]:
        """A share from 0 to 1, and a number to choose a variant by."""
        digest = blake2b(f"{self._seed}/{of}".encode(), digest_size=16).digest()
        return int.from_bytes(digest[:8]) / 2**64, int.from_bytes(digest[8:])

    def strikes(self, share: float, what: str, device: str, at: int, lasts: int) -> _Strike | None:
        """Whether a lasting fault strikes: a device's time is divided in spells, which begin at its own moment."""
        if not share:
            return None
        spell, elapsed = divmod(at + self._spell(what, device)[1] % lasts, lasts)
        chance, variant = self._spell(what, device, spell)
        return _Strike(elapsed, variant) if chance < share else None


def _wrong_time(message: Message, clock: _Strike) -> datetime:
    """What a wrong clock shows. The part of a second keeps its times apart from those of the right clock."""
    part = timedelta(microseconds=message.at % 999_983 + 1)
    match clock.variant % 6:
        case 0:
            return datetime.fromtimestamp(clock.elapsed, UTC) + part
        case 1:
            return datetime.fromtimestamp(message.at + AGES, UTC) + part
        case 2 | 3:
            return datetime.fromtimestamp(message.at + AHEAD * clock.elapsed // WRONG_CLOCK, UTC) + part
    behind = clock.variant % (BEHIND // 2) + BEHIND // 2 * clock.elapsed // WRONG_CLOCK
    return datetime.fromtimestamp(message.at - behind, UTC) + part


def _twice(reading: Reading, variant: int) -> Iterator[tuple[int, Item]]:
    """A reading and its second copy, which comes at once, after seconds, or after hours."""
    wait = (0, 1 + variant % 60, 1 + variant % SECOND_COPY)[variant // 7 % 3]
    match variant % 7:
        case 0 | 1:
            yield 0, damage.with_raw(damage.as_it_is(reading))
            yield wait, damage.with_other_value(reading)
        case 2 | 3:
            yield 0, damage.without_a_field(reading, variant // 21)
            yield wait, damage.as_it_is(reading)
        case _:
            yield 0, damage.as_it_is(reading)
            yield wait, damage.as_it_is(reading)


def _sent(held: _Held, at: int) -> Iterator[Sent]:
    """Held items in as few messages as may be."""
    piece: list[Item] = []
    due = min(held.due, at)
    for item in held.items:
        if item.alone or len(piece) == PIECE:
            yield from _piece(piece, due)
            piece = []
        if item.alone:
            yield from _piece([item], due)
        else:
            piece.append(item)
    yield from _piece(piece, due)


def _piece(items: list[Item], due: int) -> Iterator[Sent]:
    if items:
        raws = [item.raw for item in items]
        body = raws[0] if len(raws) == 1 else b"[" + b",".join(raws) + b"]"
        yield Sent(due, items[0].device, items[0].topic, body, [item.fate for item in items])


#: What a fault's share is where only its name is given.
USUAL = Faults(
    duplicate=0.02, late=0.02, reorder=0.02, corrupt=0.02, out_of_range=0.01, drift=0.02, silent=0.02, unmapped=0.01
)
NAMES = [field.name for field in fields(Faults) if field.name != "seed"]


def parse_faults(text: str, seed: int = 1) -> Faults:
    """Faults as a command takes them: `all`, or names by comma, each with a share if it shall be another than usual."""
    shares: dict[str, float] = {}
    for word in text.split(","):
        name, _, share = word.strip().partition("=")
        if name not in {"all", *NAMES}:
            near = "".join(f"did you mean {n}?" for n in difflib.get_close_matches(name, NAMES, n=1))
            raise SettingsError(f"No fault is called {name!r}; {near or 'there are ' + ', '.join(NAMES) + '.'}")
        for one in NAMES if name == "all" else [name]:
            shares[one] = _share(word, share) if share else getattr(USUAL, one)
    return Faults(**shares, seed=seed)


def _share(word: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(f"A fault's share is from 0 to 1, as in late=0.05; got {word!r}.")
    return share
