"""The simulated radio says what the real network servers say, and its payloads are what the shipped codecs read."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.vectors.uplinks.vector import vector

from usp.errors import SettingsError
from usp.ingest.bridges import BRIDGES
from usp.ingest.bridges.bridge import Event, Uplink
from usp.ingest.codecs import Codec, CodecRuntime, Decoded, Frame
from usp.ingest.refusal import Refused
from usp.profiles import DATA
from usp_simulators.chirpstack import ChirpStack
from usp_simulators.fleet import NAMES, USUAL, Fleet, RadioFaults, parse_radio_faults
from usp_simulators.lorawan import Network, Sent
from usp_simulators.payloads import ENCODERS, PARTICLES
from usp_simulators.things_stack import ThingsStack

START = int(datetime(2026, 3, 1, 10, tzinfo=UTC).timestamp())
BRIDGE = {bridge.door: bridge for bridge in BRIDGES}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Decoders:
    """The shipped codecs in the platform's own runtime."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._runtime = CodecRuntime()
        self._codecs = {name: Codec.of(name, (DATA / "codecs" / name).read_text("utf-8")) for name in ENCODERS}

    def decode(self, name: str, port: int, payload: bytes) -> dict[str, Any]:
        """What the codec reads, with each value that stands in an object of its own by its name alone."""
        frame = Frame(payload, port, NOW)
        (found,) = self._loop.run_until_complete(self._runtime.decode(self._codecs[name], [frame]))
        assert isinstance(found, Decoded), found
        assert isinstance(found.data, dict)
        return {k: v["value"] if isinstance(v, dict) and "value" in v else v for k, v in found.data.items()}

    def close(self) -> None:
        """End the process."""
        self._loop.run_until_complete(self._runtime.close())
        self._loop.close()


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    """One process for all codecs."""
    made = Decoders()
    yield made
    made.close()


def number(low: float, high: float) -> st.SearchStrategy[float]:
    """A value that lies on no step of the sensor's own."""
    return st.floats(low, high, allow_nan=False)


BYTE, WORD, LONG = st.integers(0, 255), st.integers(0, 65_535), st.integers(0, 2**32 - 1)
VERSION = st.tuples(BYTE, BYTE, BYTE).map(lambda parts: ".".join(map(str, parts)))
CAUSE = st.sampled_from(("watchdog", "power on", "system request", "other"))
STARTUP = {"type": st.just("startup"), "occupied": st.booleans(), "firmwareVersion": VERSION, "resetCause": CAUSE}
BOSCH = st.one_of(
    st.fixed_dictionaries({"type": st.just("parking status"), "occupied": st.booleans()}),
    st.fixed_dictionaries(
        {"type": st.just("heartbeat"), "occupied": st.booleans(), "temperature": st.integers(-128, 127)}
    ),
    st.fixed_dictionaries(STARTUP | {"debugCodes": st.lists(st.integers(1, 2**32 - 1), max_size=3)}),
)


def together(**values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """All of them, or none: what one sensor of the device tells."""
    return st.fixed_dictionaries(values) | st.just({})


def parts(*groups: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """One dictionary of several."""
    return st.tuples(*groups).map(lambda found: {k: v for group in found for k, v in group.items()})


ELSYS = parts(
    together(temperature=number(-3276, 3276)),
    together(humidity=BYTE),
    together(x=st.integers(-128, 127), y=st.integers(-128, 127), z=st.integers(-128, 127)),
    together(light=WORD),
    together(co2=WORD),
    together(vdd=WORD),
    together(pulseAbs=LONG),
    together(irInternalTemperature=number(-90, 90), irExternalTemperature=number(-90, 90)),
    together(pressure=number(0, 1100)),
    together(soundPeak=BYTE, soundAvg=BYTE),
)
DECENTLAB = parts(
    st.fixed_dictionaries({"device_id": WORD}),
    together(battery_voltage=number(0, 65)),
    together(**{n: number(0, 6500) for n in PARTICLES}),
    together(air_temperature=number(-46, 128), air_humidity=number(-6, 118)),
    together(barometric_pressure=number(0, 131_000)),
)
EMU = parts(
    st.fixed_dictionaries({"timeStamp": LONG}),
    together(ActiveEnergyImportT1=LONG, ActiveEnergyExportT1=LONG),
    together(ActivePowerL123=st.integers(-(2**31), 2**31 - 1)),
    together(**{f"VoltageL{line}-N": number(-1000, 1000) for line in (1, 2, 3)}),
    together(PowerfactorL1=number(-1, 1)),
    together(Frequency=number(45, 65)),
    together(CurrentL123=st.integers(0, 2**31 - 1)),
)
#: Half of the smallest step of each field; a tenth of a unit for most, and exact for whole numbers.
STEPS = {
    "battery_voltage": 1e-3,
    "air_temperature": 175.72 / 65536,
    "air_humidity": 125 / 65536,
    "barometric_pressure": 2,
    "typical_particle_size": 1,
    "PowerfactorL1": 0.01,
    "pressure": 1e-3,
}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("bosch-tps110.js", BOSCH),
        ("elsys.js", ELSYS),
        ("decentlab-dl-pm.js", DECENTLAB),
        ("emu-professional-ii.js", EMU),
    ],
)
def test_a_codec_reads_what_its_encoder_has_written(
    decoders: Decoders, name: str, values: st.SearchStrategy[dict[str, Any]]
) -> None:
    """Whatever a sensor can measure comes back, within its resolution, and nothing else."""

    @settings(max_examples=60, deadline=None, database=None)
    @given(values)
    def reads(sent: dict[str, Any]) -> None:
        found = decoders.decode(name, *ENCODERS[name](sent))
        found = {k: v for k, v in found.items() if k in sent or k not in {"protocol_version", "medium"}}
        assert found.keys() == sent.keys()
        for field, value in sent.items():
            if isinstance(value, float):
                assert found[field] == pytest.approx(value, abs=0.5001 * STEPS.get(field, 0.1))
            else:
                assert found[field] == value

    reads()


def test_every_shipped_codec_has_an_encoder() -> None:
    """A new one has to be simulated as well."""
    assert ENCODERS.keys() == {path.name for path in (DATA / "codecs").glob("*.js")}


def networks() -> list[Network]:
    """One of each kind."""
    return [ChirpStack(), ThingsStack()]


def published(network: Network, faults: RadioFaults = USUAL, seed: int = 1, size: int = 200) -> list[Sent]:
    """Two hours of some devices."""
    return list(Fleet(network, size, seed=seed, faults=faults).messages(START, START + 7200))


@pytest.mark.parametrize("network", networks(), ids=lambda network: network.name)
def test_what_is_foreseen_is_what_the_bridge_reads(network: Network) -> None:
    """Time, clock, radio and content of each message, and who speaks."""
    kinds: Counter[str] = Counter()
    for sent in published(network):
        (fate,) = sent.fates
        kinds["event" if fate.event else fate.reason or "read"] += 1
        bridge = BRIDGE[network.name]
        if fate.reason in {"not_json", "address_mismatch"}:
            with pytest.raises(Refused):
                bridge.unwrap(sent.topic, sent.body)
            assert bridge.sender(sent.topic).address == fate.address
            continue
        unwrapped = bridge.unwrap(sent.topic, sent.body)
        if fate.event:
            assert isinstance(unwrapped, Event)
            assert unwrapped.kind == fate.event
            assert fate.restart in {None, unwrapped.restarted_at}
            continue
        assert isinstance(unwrapped, Uplink)
        assert unwrapped.sender.address == fate.address
        radio = [row for row in fate.rows if row.dataset == "device_health" and row.clock]
        for row in radio[-1:]:
            assert (unwrapped.time, unwrapped.flags) == (row.time, row.clock)
            assert unwrapped.health == pytest.approx(row.values)
    assert kinds.keys() >= {"read", "event", "not_json", "address_mismatch", "bad_frame", "end_to_end_encrypted"}
    assert kinds["read"] > 1500


@pytest.mark.parametrize("network", networks(), ids=lambda network: network.name)
def test_the_same_seed_says_the_same(network: Network) -> None:
    """A fleet can be sent again, and another seed is another fleet."""
    again = type(network)()
    assert published(network, size=20) == published(again, size=20)
    assert published(type(network)(), size=20) != published(type(network)(), seed=2, size=20)


def test_frame_counters_leave_out_what_was_lost_and_begin_anew_at_a_join() -> None:
    """Of one device; without faults they count up by one."""
    quiet = [s for s in published(ChirpStack(), RadioFaults(), size=1) if not s.fates[0].event]
    assert [orjson.loads(s.body)["fCnt"] for s in quiet] == list(range(12))
    noisy = published(ChirpStack(), RadioFaults(lost=0.3, rejoin=0.2), size=1)
    counters = [None if s.fates[0].event else orjson.loads(s.body)["fCnt"] for s in noisy]
    gaps = [b - a for a, b in pairwise(counters) if a is not None and b is not None]
    assert counters.count(None) > 1
    assert max(gaps) > 1
    assert min(gaps) > 0


def names(value: Any, path: str = "") -> Iterator[str]:
    """All paths to something."""
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value[:1]):
        at = f"{path}.{name}"
        yield at
        if isinstance(inner, dict | list):
            yield from names(inner, at)


@pytest.mark.parametrize(
    ("network", "recorded", "topic"),
    [
        (ChirpStack(), "chirpstack_up", "/event/up"),
        (ChirpStack(), "chirpstack_join", "/event/join"),
        (ChirpStack(), "chirpstack_status", "/event/status"),
        (ThingsStack(), "things_stack_up", "/up"),
        (ThingsStack(), "things_stack_join", "/join"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_messages_have_the_fields_of_recorded_ones(network: Network, recorded: str, topic: str) -> None:
    """What the server's documentation shows stands at the same place, but for what is the device's own."""
    body = orjson.loads(vector(recorded)[1])
    own = (
        *(".deviceInfo.tags", ".object", ".uplink_message.decoded_payload", ".uplink_message.attributes"),
        ".uplink_message.settings.time",
    )
    expected = {name for name in names(body) if not name.startswith(own)}
    found = {
        name for sent in published(network) if sent.topic.endswith(topic) and sent.fates[0].reason != "not_json"
        for name in names(orjson.loads(sent.body))
    }  # fmt: skip
    assert expected <= found


def test_zeros_are_left_out_where_the_servers_leave_them_out() -> None:
    """ChirpStack's outer messages have them, its inner ones and The Things Stack's do not."""
    ups = [orjson.loads(s.body) for s in published(ChirpStack()) if s.topic.endswith("/up") and not s.fates[0].reason]
    assert any(up["fCnt"] == 0 for up in ups)
    assert all(each.get("rssi") != 0 and each.get("snr") != 0 for up in ups for each in up["rxInfo"])
    assert any("snr" not in each for up in ups for each in up["rxInfo"])
    contents = [
        orjson.loads(s.body)["uplink_message"]
        for s in published(ThingsStack())
        if s.topic.endswith("/up") and not s.fates[0].reason
    ]
    assert any("f_cnt" not in content for content in contents)
    assert all(content.get("f_cnt") != 0 for content in contents)
    assert any(content["decoded_payload"] for content in contents if "decoded_payload" in content)


def test_faults_are_given_by_name() -> None:
    """With a share or without; a wrong one is told."""
    assert parse_radio_faults("all") == USUAL
    assert parse_radio_faults("lost=0.5, rejoin") == RadioFaults(lost=0.5, rejoin=USUAL.rejoin)
    with pytest.raises(SettingsError, match="did you mean rejoin"):
        parse_radio_faults("rejoins")
    with pytest.raises(SettingsError, match="from 0 to 1"):
        parse_radio_faults("lost=2")
    assert set(NAMES) == set(vars(USUAL))
