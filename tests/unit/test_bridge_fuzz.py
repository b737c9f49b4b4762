"""Whatever stands where in a message: it is refused, or what comes out can be relied on."""

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.vectors.uplinks.vector import NAMES, vector

from usp.ingest.bridges.bridge import Event, Label, Sender, Uplink
from usp.ingest.bridges.chirpstack import ChirpStackBridge
from usp.ingest.bridges.things_stack import ThingsStackBridge
from usp.ingest.refusal import Refusal, Refused
from usp.models.dataset import RowFlag
from usp.models.datasets.device_health import DEVICE_HEALTH

BRIDGES = (ChirpStackBridge(), ThingsStackBridge())
FLAGS = {RowFlag.TIME_GATEWAY.value, RowFlag.TIME_NETWORK.value}

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(
        [
            "",
            "0" * 16,
            "AQ==",
            "A",
            "5s",
            "2026-11-20T09:00:00Z",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
        ]
    )
    | st.sampled_from([1e308, 1e39, -1e39, 2**32, "LORA", "\0"])
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


def places(node: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to each value of a message."""
    keys: Any = node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    return [place for key in keys for place in [(*way, key), *places(node[key], (*way, key))]]


def checked_sender(sender: Sender) -> None:
    """An address that fits the registry."""
    assert type(sender) is Sender
    assert sender.network in {"lorawan", "things_stack"}
    assert sender.network != "lorawan" or len(sender.address) == 16
    assert len(sender.address) <= 200


def checked_time(time: datetime) -> None:
    """A moment in UTC."""
    assert type(time) is datetime
    assert time.tzinfo is UTC


def checked(unwrapped: Any) -> None:
    """Every value has the type that it should have."""
    checked_sender(unwrapped.sender)
    if type(unwrapped) is Event:
        assert len(unwrapped.kind) < 20
        assert unwrapped.kind.isidentifier()
        if unwrapped.restarted_at is not None:
            checked_time(unwrapped.restarted_at)
        return
    assert type(unwrapped) is Uplink
    checked_time(unwrapped.time)
    assert unwrapped.flags in FLAGS
    assert unwrapped.fields is None or (type(unwrapped.fields) is dict and unwrapped.fields)
    assert unwrapped.payload is None or type(unwrapped.payload) is bytes
    assert unwrapped.port is None or (type(unwrapped.port) is int and 0 <= unwrapped.port <= 255)
    assert unwrapped.payload is None or unwrapped.port
    assert set(unwrapped.health) <= set(DEVICE_HEALTH.by_name)
    assert all(type(value) is float and math.isfinite(value) for value in unwrapped.health.values())
    assert unwrapped.refusal is None or type(unwrapped.refusal) is Refusal
    assert unwrapped.refusal is None or (unwrapped.fields is None and unwrapped.payload is None)


def unwrap(topic: str, payload: bytes) -> None:
    """Unwrap what both bridges may be given; anything but Refused is an error."""
    bridge = BRIDGES[not topic.startswith(BRIDGES[0].prefix)]
    with suppress(Refused):
        checked(bridge.unwrap(topic, payload))
    label = bridge.label(payload)
    assert type(label) is Label
    assert all(type(text) is str for text in (*label[:3], *label.tags, *label.tags.values()))
    assert type(bridge.sender(topic)) is Sender


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_any_value_may_be_anything(name: str, data: st.DataObject) -> None:
    """Up to three values of a message are replaced or left out; nothing but a refusal comes of it."""
    topic, payload = vector(name)
    message = orjson.loads(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        ways = places(message)
        if not ways:
            break
        *way, last = data.draw(st.sampled_from(ways))
        node = message
        for step in way:
            node = node[step]
        if data.draw(st.booleans()):
            node[last] = data.draw(values)
        else:
            del node[last]
    unwrap(topic, orjson.dumps(message))


@pytest.mark.parametrize("name", NAMES)
@given(payload=values.map(orjson.dumps) | st.binary())
def test_a_message_may_be_anything(name: str, payload: bytes) -> None:
    """Other JSON than expected, and bytes that are none."""
    unwrap(vector(name)[0], payload)


@pytest.mark.parametrize("prefix", [bridge.prefix for bridge in BRIDGES])
@given(
    rest=st.lists(st.sampled_from(["/", "device", "devices", "event", "up", "@", "0" * 16, "é"]), max_size=8).map(
        "".join
    )
)
def test_a_topic_may_be_anything(prefix: str, rest: str) -> None:
    """What is published below the prefix."""
    for name in NAMES:
        unwrap(prefix + rest, vector(name)[1])


@pytest.mark.parametrize("name", NAMES)
def test_depth_and_length_do_no_harm(name: str) -> None:
    """A message as deep as JSON goes, and one with a long text everywhere."""
    topic, payload = vector(name)
    deep = b'{"uplink_message":' * 200 + b"{}" + b"}" * 200
    unwrap(topic, deep)
    message = orjson.loads(payload)
    for way in places(message):
        changed = orjson.loads(payload)
        node = changed
        for step in way[:-1]:
            node = node[step]
        node[way[-1]] = "x" * 100_000
        unwrap(topic, orjson.dumps(changed))
