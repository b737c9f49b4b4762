"""Many LoRaWAN devices behind one network server, and what goes wrong with them.

    fleet = Fleet(ChirpStack(), 1_000, faults=RadioFaults(lost=0.05, rejoin=0.02))
    for sent in fleet.messages(start, end):
        sent.topic, sent.body, sent.fates

Half of the devices are decoded by their network server, of the others the platform decodes the bytes.
"""

import difflib
import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import count
from random import Random

import orjson

from usp.errors import SettingsError
from usp.models.device import Device
from usp_simulators import foreseen, lorawan
from usp_simulators.chirpstack import ChirpStack
from usp_simulators.foreseen import Frame
from usp_simulators.lorawan import SECOND, Network, Sent, Session, Station, Uplink
from usp_simulators.message import Fate
from usp_simulators.sensors import INTERVAL, payload, sensor
from usp_simulators.things_stack import ThingsStack

#: Every so many devices, one that never joins (ABP), and has run for years; and one that nobody has registered.
NEVER_JOINS, STRANGER = 10, 97
#: Who speaks under another's topic.
IMPOSTOR = Station("0000000000000001", "somebody-else", "", ("", ""))
#: Base64 of a payload, and what is put in its place.
_MARKED, _NO_BASE64 = (b"damaged!", b"ZGFtYWdlZCE="), b"*damaged*"
#: Frames that a device has sent in some years.
LONG_RUN = 70_000_000
#: After a join the first uplink comes so much later; a second copy and what was recovered at most so much, in seconds.
AFTER_JOIN, SECOND_COPY, RECOVERED = 8, 120, 900


@dataclass(frozen=True, kw_only=True)
class RadioFaults:
    """How much goes wrong: shares of the frames, from 0 to 1.

    lost: frames that nobody hears, or that are gone on the way, as with QoS 0: their counter is missing.
    recovered: of those between two others, such as come later after all, from the network server's store.
    duplicate: the same message published again.
    again: the same uplink by another path.
    mac_only: frames that only answer the network.
    encrypted: frames of which the network server has no key.
    simulated: messages made up in a console.
    damaged: payloads that no codec can read, messages that are cut off, and such as name another device.
    rejoin: joins in between: keys and counter begin anew.
    reset: devices that begin to count anew without a join.
    events: messages that are no uplinks.
    """

    lost: float = 0.0
    recovered: float = 0.0
    duplicate: float = 0.0
    again: float = 0.0
    mac_only: float = 0.0
    encrypted: float = 0.0
    simulated: float = 0.0
    damaged: float = 0.0
    rejoin: float = 0.0
    reset: float = 0.0
    events: float = 0.0


#: What a fault's share is where only its name is given.
USUAL = RadioFaults(
    lost=0.05, recovered=0.3, duplicate=0.02, again=0.02, mac_only=0.03, encrypted=0.01, simulated=0.01, damaged=0.02,
    rejoin=0.02, reset=0.01, events=0.05,
)  # fmt: skip
NAMES = [each.name for each in fields(RadioFaults)]


def parse_radio_faults(text: str) -> RadioFaults:
    """Faults as a command takes them: `all`, or names by comma, each with a share if it shall be another than usual."""
    shares: dict[str, float] = {}
    for word in text.split(","):
        name, _, share = word.strip().partition("=")
        if name not in {"all", *NAMES}:
            near = "".join(f"did you mean {n}?" for n in difflib.get_close_matches(name, NAMES, n=1))
            raise SettingsError(
                f"No fault of radio is called {name!r}; {near or 'there are ' + ', '.join(NAMES) + '.'}"
            )
        try:
            given = float(share) if share else None
        except ValueError:
            given = -1.0
        if given is not None and not 0 <= given <= 1:
            raise SettingsError(f"A fault's share is from 0 to 1, as in lost=0.05; got {word!r}.")
        for one in NAMES if name == "all" else [name]:
            shares[one] = getattr(USUAL, one) if given is None else given
    return RadioFaults(**shares)


class Fleet:
    """So many devices; what they send is a function of seed, size, faults and the time at which they begin."""

    def __init__(self, network: Network, size: int, *, seed: int = 1, faults: RadioFaults | None = None) -> None:
        rng = f"{network.name}/{seed}"
        self._nodes = [_Node(network, n, Random(f"{rng}/{n}"), faults or RadioFaults()) for n in range(size)]

    def devices(self) -> list[Device]:
        """Those that are to be registered."""
        return [node.device for node in self._nodes if node.registered]

    def messages(self, start: int, end: int | None = None) -> Iterator[Sent]:
        """What is published, in order of time; the devices are spread over an interval."""
        numbers = count()
        waiting: list[tuple[int, int, Sent | _Node]] = [
            (start + INTERVAL * place // len(self._nodes), next(numbers), node)
            for place, node in enumerate(self._nodes)
        ]
        while waiting:
            at, _, due = heapq.heappop(waiting)
            if isinstance(due, Sent):
                yield due
            elif end is None or at < end:
                for wait, sent in due.speak(at):
                    heapq.heappush(waiting, (sent.at + wait, next(numbers), replace(sent, at=sent.at + wait)))
                heapq.heappush(waiting, (at + INTERVAL, next(numbers), due))


#: The network servers there are, by name.
NETWORKS: dict[str, Callable[[int], Network]] = {"chirpstack": ChirpStack, "things_stack": ThingsStack}
#: Devices where nobody says how many.
FEW = 8


def make_fleet(network: str, size: int | None = None, *, seed: int = 1, faults: str | None = None) -> Fleet:
    """A fleet as a command asks for it."""
    if network not in NETWORKS:
        raise SettingsError(f"No network server is called {network!r}; there are {' and '.join(NETWORKS)}.")
    found = None if faults is None else parse_radio_faults(faults)
    return Fleet(NETWORKS[network](seed), FEW if size is None else size, seed=seed, faults=found)


class _Node:
    """One device: its session and counter, and what its network server publishes because of it."""

    def __init__(self, network: Network, number: int, rng: Random, faults: RadioFaults) -> None:
        self._network = network
        self._rng = rng
        self._faults = faults
        self._sensor = sensor(number)
        self._decoded = number // 4 % 2 == 0
        self._joins = number % NEVER_JOINS != NEVER_JOINS - 1
        self.registered = number % STRANGER != STRANGER - 1
        name = f"{network.name.replace('_', '-')}-{self._sensor.profile.split('-')[0]}-{number:04d}"
        # The Things Stack lets devices without a join go without a devEUI.
        named = network.name == "things_stack" and not self._joins
        eui = None if named else f"70b3d5{len(network.name):02x}{number:08x}"
        self._station = Station(eui, name, self._sensor.profile, self._sensor.maker)
        self._session = self._new_session()
        self._counter = 0 if self._joins else LONG_RUN + number
        self._joined = not self._joins
        #: Frames that were not published since one of this session was.
        self._missing: list[Frame] = []
        self._heard = False

    @property
    def device(self) -> Device:
        """As it is registered."""
        address = self._network.address(self._station)
        prefix = "" if self._station.eui else f"{self._network.name}:"
        name, kind, profile = self._station.name, self._sensor.kind, self._sensor.profile
        return Device(name=name, kind=kind, profile=profile, address=prefix + address)

    def speak(self, at: int) -> Iterator[tuple[int, Sent]]:
        """What is published because of one frame, and how many seconds later than it was sent."""
        rng, faults = self._rng, self._faults
        if self._joins and (not self._joined or rng.random() < faults.rejoin):
            yield 0, self._join(at)
            at += AFTER_JOIN
        elif not self._joins and rng.random() < faults.reset:
            self._counter, self._missing, self._heard = 0, [], False
        frame = self._frame(at)
        if rng.random() < faults.lost:
            self._missing.append(frame)
            return
        if self.registered and frame.values is not None and rng.random() < faults.damaged:
            sent, readable = self._damaged(frame)
            yield 0, sent
        elif self.registered and frame.values is not None and rng.random() < faults.encrypted:
            closed = replace(frame, uplink=replace(frame.uplink, fields=None, encrypted=True))
            sent, readable = foreseen.radio_only(self._network, closed, "end_to_end_encrypted"), True
            yield 0, sent
        else:
            readable = True
            yield from self._published(frame)
        if readable:
            yield from self._recovered()
        if rng.random() < faults.events:
            kind, (topic, content) = rng.choice(self._network.events(frame.uplink))
            yield 1, Sent(at, self._station.name, topic, orjson.dumps(content), [Fate(None, [], event=kind)])

    def _join(self, at: int) -> Sent:
        self._session, self._counter, self._joined = self._new_session(), 0, True
        self._missing, self._heard = [], False
        moment = at * SECOND + self._rng.randrange(SECOND)
        topic, content = self._network.join(self._station, self._session, moment)
        restart = lorawan.moment(moment) if self.registered else None
        fate = Fate(None, [], event="join", restart=restart)
        return Sent(at, self._station.name, topic, orjson.dumps(content), [fate])

    def _new_session(self) -> Session:
        return Session(f"{self._rng.getrandbits(25):08x}", self._rng.randbytes(16))

    def _frame(self, at: int) -> Frame:
        """The next frame: most carry a reading, some only answer the network; some tell of the battery."""
        rng = self._rng
        sent = at * SECOND + rng.randrange(SECOND)
        uplink = Uplink(
            station=self._station, session=self._session, sent=sent, counter=self._counter, port=None, payload=b"",
            fields=None, heard=lorawan.heard(rng, self._network.gateways, sent), frequency=lorawan.channel(rng),
            spreading=rng.randrange(7, 13), battery=rng.randrange(1, 255) / 254 * 100 if rng.random() < 0.05 else None,
        )  # fmt: skip
        self._counter += 1
        if rng.random() < self._faults.mac_only:
            return Frame(at, self._sensor, uplink, None)
        values = self._sensor.measure(rng, at)
        port, encoded = payload(self._sensor, values)
        fields = self._sensor.fields(values) if self._decoded else None
        return Frame(at, self._sensor, replace(uplink, port=port, payload=encoded, fields=fields), values)

    def _published(self, frame: Frame) -> Iterator[tuple[int, Sent]]:
        """An uplink, in all the forms in which it may come."""
        rng, faults, network = self._rng, self._faults, self._network
        state = foreseen.state(network, frame, registered=self.registered)
        if state is not None:
            yield 0, state
        envelope = network.up(frame.uplink)
        yield 0, self._read(frame, envelope)
        if rng.random() < faults.duplicate:
            yield rng.choice((0, rng.randrange(SECOND_COPY))), self._read(frame, envelope)
        if rng.random() < faults.again:
            yield rng.randrange(SECOND_COPY), self._read(frame, network.again(envelope, frame.uplink))
        made_up = network.simulated(envelope)
        if made_up is not None and rng.random() < faults.simulated:
            yield 1, foreseen.refused(network, frame, made_up, "simulated")

    def _read(self, frame: Frame, envelope: lorawan.Envelope) -> Sent:
        return foreseen.read(self._network, frame, envelope, registered=self.registered)

    def _recovered(self) -> Iterator[tuple[int, Sent]]:
        """A frame is there: what is missing between it and one before, in the same session, may come after all."""
        for frame in self._missing if self._heard else ():
            if self._rng.random() < self._faults.recovered:
                yield INTERVAL + self._rng.randrange(RECOVERED), self._read(frame, self._network.up(frame.uplink))
        self._missing, self._heard = [], True

    def _damaged(self, frame: Frame) -> tuple[Sent, bool]:
        """A reading that cannot be read, or a message that cannot; and whether the frame is known all the same."""
        network, uplink = self._network, frame.uplink
        match self._rng.randrange(4):
            case 0:
                # The meter's checksum is wrong; of the others most is missing.
                part = uplink.payload[: len(uplink.payload) // 3]
                cut = (
                    part
                    if self._sensor.kind != "energy_meter"
                    else uplink.payload[:-1] + bytes([uplink.payload[-1] ^ 1])
                )
                broken = replace(frame, uplink=replace(uplink, payload=cut, fields=None))
                return foreseen.radio_only(network, broken, "codec_failed"), True
            case 1:
                marked = replace(frame, uplink=replace(uplink, payload=_MARKED[0], fields=None))
                spoil = (_MARKED[1], _NO_BASE64)
                return foreseen.radio_only(network, marked, "bad_frame", "payload", spoil=spoil), True
            case 2:
                return foreseen.refused(network, frame, network.up(uplink), "not_json", cut=True), False
        topic, _ = network.up(uplink)
        _, content = network.up(replace(uplink, station=IMPOSTOR))
        return foreseen.refused(network, frame, (topic, content), "address_mismatch"), False
