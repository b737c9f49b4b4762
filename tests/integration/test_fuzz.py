"""Whatever is sent, the pipeline and the writer get through it, and every item has one outcome."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.integration.street import Sent

from usp.db import WRITER_ROLE, connect
from usp.ingest.bridges import BRIDGES
from usp.ingest.codecs import CodecRuntime
from usp.ingest.pipeline import Pipeline
from usp.ingest.registry import Registry, publish_profiles
from usp.ingest.writer import Writer
from usp.models.device import KINDS, Device, native_fields
from usp.models.profile import DeviceProfile
from usp.registry import bring_in_devices

PROFILES = {
    p.name: p
    for p in (
        DeviceProfile(name="timed", title="", kind="lamppost", interval=60),
        *(DeviceProfile(name=f"plain-{kind.replace('_', '-')}", title="", kind=kind) for kind in KINDS),
    )
}
DEVICES = [Device(name=f"of-{p.name}", kind=p.kind, profile=p.name, category=None) for p in PROFILES.values()]
FIELDS = sorted({field for kind in KINDS for field in native_fields(kind)})


@dataclass
class Town:
    """A pipeline and a writer over a real database."""

    connection: Any
    pipeline: Pipeline
    writer: Writer
    arrivals: Any

    async def take(self, messages: list[tuple[str, bytes]]) -> dict[str, int]:
        """Send them through; returns what was counted."""
        sent = [Sent(topic, payload, next(self.arrivals)) for topic, payload in messages]
        before = await self.totals()
        while sent:
            batch, number = await self.pipeline.next_batch(sent)
            await self.writer.commit(self.connection, batch)
            sent = sent[number:]
        return {what: n - before.get(what, 0) for what, n in (await self.totals()).items()}

    async def totals(self) -> dict[str, int]:
        """All counts by what is counted, but for rows."""
        records = await self.connection.fetch(
            "SELECT what, sum(count)::bigint AS n FROM usp.ingest_total WHERE what <> 'rows' GROUP BY what"
        )
        return {r["what"]: r["n"] for r in records}


@pytest.fixture(scope="module")
async def town(database_url: str, db: Any) -> AsyncIterator[Town]:
    """One device of each kind, and one with a measuring interval."""
    await publish_profiles(db, PROFILES)
    await bring_in_devices(db, DEVICES)
    registry = Registry(PROFILES, {})
    await registry.refresh(db)
    connection = await connect(database_url, role=WRITER_ROLE, application="test")
    writer = Writer(0)
    await writer.prepare(connection)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    codecs = CodecRuntime()
    pipeline = Pipeline(BRIDGES, registry, codecs)
    yield Town(connection, pipeline, writer, (start + timedelta(seconds=n) for n in count()))
    await connection.close()
    await codecs.close()


topics = st.one_of(
    st.just("usp/v1"),
    st.sampled_from([f"usp/v1/{device.name}/up" for device in DEVICES]),
    st.sampled_from(
        ["usp/v1/", "usp/v1//up", "usp/v1/a/b/up", "usp/v1/of-timed/down", "usp/v1/+/up", "usp/v1/nobody/up"]
    ),
    st.text(max_size=40).map(lambda t: f"usp/v1/{t}/up"),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20), st.sampled_from(["charging", "\x00", "NaN", 1e308, -1e308, 3.5e38, 1e-46, 0, -0.0]),
)  # fmt: skip
values = st.recursive(
    scalars, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(st.text(max_size=5), v, max_size=3))
)
odd_times = [
    *("2025-12-31T23:59:60Z", "9999-12-31T23:59:60Z", "0001-01-01T00:00:00+14:00", "2025-06-01T10:00:00"),
    *("2025-06-01T10:00:00+02:00", "now", "2025-W01-1T00:00Z", 1764547200, 1764547200000, 1e300, -1e300),
]
times = st.one_of(st.sampled_from(odd_times), values, st.datetimes().map(str), st.integers(0, 2_000_000_000))
items = st.one_of(
    st.builds(
        lambda fields, time, period: fields | time | period,
        st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=10)), values, max_size=8),
        st.one_of(st.just({}), times.map(lambda t: {"time": t})),
        st.one_of(st.just({}), values.map(lambda p: {"period": p})),
    ),
    values,
)
payloads = st.one_of(items.map(orjson.dumps), st.lists(items, max_size=4).map(orjson.dumps), st.binary(max_size=60))


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(messages=st.lists(st.tuples(topics, payloads), min_size=1, max_size=6))
@example(messages=[("usp/v1/of-timed/up", b'{"x":' + b"[" * 1000 + b"]" * 1000 + b"}")])
@example(messages=[("usp/v1/of-timed/up", b"[" * 1000 + b"]" * 1000)])
@example(messages=[("usp/v1/" + "a" * 60_000 + "/up", b"{}")])
@example(messages=[("usp/v1/of-timed/up", orjson.dumps({f"f{n}": n for n in range(100_000)}))])
@example(messages=[("usp/v1/of-timed/up", b'{"no2":31,"' + b"n" * 1_000_000 + b'":1}')])
@example(messages=[("usp/v1/of-timed/up", b" " * 2_000_001)])
@example(messages=[("usp/v1/of-timed/up", b'{"a\\u0000b":"\\u0000","laeq":61,"no2":1e39}')])
@example(messages=[("usp/v1/of-timed/up", b'{"time":1764547200,"no2":3.4028236e38,"no":-0.0}')])
@example(messages=[("usp/v1", b"{}")])
@example(messages=[("usp/v1/of-timed/up", b'{"no2":1,"x":' + b"[" * 300 + b"]" * 300 + b"}")])
@example(messages=[("usp/v1/of-timed/up", orjson.dumps([{"no2": n} for n in range(10_000)]))])
@example(messages=[("usp/v1/of-timed/up", orjson.dumps([0] * 10_001))])
@example(messages=[("usp/v1/of-timed/up", b'{"no2":"\\ud800"}'), ("usp/v1/of-timed/up", b"\xff{}")])
async def test_nothing_that_is_sent_can_stop_the_worker(town: Town, messages: list[tuple[str, bytes]]) -> None:
    """Each message gets through, received = stored + duplicate + rejected, and no item is our own failure."""
    counted = await town.take(messages)
    outcomes = sum(counted.get(what, 0) for what in ("stored", "duplicate", "rejected"))
    assert counted["received"] == outcomes >= len(messages)
    own = await town.connection.fetchval("SELECT count(*) FROM usp.rejection WHERE reason = 'internal_error'")
    assert own == 0


async def test_an_item_too_large_to_keep_leaves_its_length_and_digest(town: Town) -> None:
    """Up to 64 KiB a rejection keeps the bytes; beyond that it keeps what identifies them."""
    await town.take([("usp/v1/nobody/up", orjson.dumps({"text": "x" * size})) for size in (60_000, 70_000)])
    kept = await town.connection.fetch(
        "SELECT length(payload) AS kept, payload_length, length(payload_sha256) AS digest FROM usp.rejection "
        "WHERE address = 'nobody' ORDER BY id DESC LIMIT 2"
    )
    assert [tuple(r) for r in reversed(kept)] == [(60_011, 60_011, None), (None, 70_011, 32)]


async def test_rejections_are_bounded_and_still_counted(town: Town) -> None:
    """Of one address and reason a thousand are kept whole; the rest only count."""
    await town.take([("usp/v1/of-timed/up", b"no json")] * 1_200)
    await town.take([("usp/v1/of-timed/up", b"no json")] * 100)
    tally = await town.connection.fetchrow(
        "SELECT kept, total FROM usp.rejection_tally WHERE address = 'of-timed' AND reason = 'not_json'"
    )
    stored = await town.connection.fetchval(
        "SELECT count(*) FROM usp.rejection WHERE address = 'of-timed' AND reason = 'not_json'"
    )
    assert tally["kept"] == stored == 1_000
    assert tally["total"] >= 1_300


async def test_a_failure_of_our_own_leaves_the_other_messages_alone(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that the platform cannot digest is rejected with its bytes, and its neighbours are stored."""
    monkeypatch.setattr("usp.ingest.pipeline._fields_hint", lambda _: 1 / 0)
    good = orjson.dumps({"time": "2025-05-05T05:05:05Z", "no2": 31})
    counted = await town.take([("usp/v1/of-timed/up", good), ("usp/v1/of-timed/up", b'{"what":1}')])
    assert {what: counted[what] for what in ("received", "stored", "rejected")} == {
        "received": 2,
        "stored": 1,
        "rejected": 1,
    }
    last = await town.connection.fetchrow("SELECT reason, payload FROM usp.rejection ORDER BY id DESC LIMIT 1")
    assert tuple(last) == ("internal_error", b'{"what":1}')
    await town.connection.execute("DELETE FROM usp.rejection WHERE reason = 'internal_error'")


async def test_rows_of_one_batch_with_one_key_are_applied_in_order_of_arrival(town: Town) -> None:
    """What is empty is completed, what is equal (as stored) is nothing, and what differs is kept out."""
    await town.connection.execute("DELETE FROM usp.air_quality_latest")
    at = {"time": "2025-06-06T06:06:06Z"}
    values: list[dict[str, float]] = [
        {"no2": 12.1},
        {"no2": 12.1, "co": 0.4},
        {"co": 0.5, "o3": 7},
        {"o3": 7},
        {"o3": 8},
        {"no2": 12.1},
    ]
    sent = [{**at, **value} for value in values]
    counted = await town.take([("usp/v1/of-timed/up", orjson.dumps(sent))])
    assert {w: counted[w] for w in ("received", "stored", "duplicate", "rejected", "value_refused")} == {
        "received": 6,
        "stored": 3,
        "duplicate": 2,
        "rejected": 1,
        "value_refused": 1,
    }
    row = "SELECT no2::text, co::text, o3::text FROM usp.air_quality WHERE time = '2025-06-06 06:06:06Z'"
    assert tuple(await town.connection.fetchrow(row)) == ("12.1", "0.4", "7")
    latest = "SELECT no2::text, co::text, o3::text FROM usp.air_quality_latest WHERE o3_time = '2025-06-06 06:06:06Z'"
    assert tuple(await town.connection.fetchrow(latest)) == ("12.1", "0.4", "7")


async def test_a_commit_whose_answer_was_lost_is_recognised(town: Town) -> None:
    """A batch knows whether it was the last that this slot committed, so it is counted once."""
    message = Sent("usp/v1/of-timed/up", b'{"time":"2025-07-07T07:07:07Z","no2":1}', next(town.arrivals))
    batch, _ = await town.pipeline.next_batch([message])
    assert not await town.writer.has_committed(town.connection, batch)
    await town.writer.commit(town.connection, batch)
    assert await town.writer.has_committed(town.connection, batch)


async def test_a_rejected_message_is_kept_to_the_byte(town: Town) -> None:
    """Spaces, repeated keys and long numbers survive, where the message is one item."""
    payload = b'{"no2" : 99999999999999999999999999999999999999999999,  "no2":1e39}'
    await town.take([("usp/v1/of-timed/up", payload)])
    assert await town.connection.fetchval("SELECT payload FROM usp.rejection ORDER BY id DESC LIMIT 1") == payload
