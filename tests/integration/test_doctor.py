"""`usp doctor` with real servers, well and ill."""

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

from usp import doctor
from usp.doctor import Limits, Status, mqtt, tried
from usp.doctor import broker as broker_checks
from usp.doctor import database as database_checks
from usp.doctor.bench import Bench
from usp.doctor.findings import Finding, Patience
from usp.embedded import Mosquitto, Parts, Postgres
from usp.embedded.process import LOOPBACK, as_service, bindable, end, give, make_private, wait_until
from usp.ingest.worker import Worker
from usp.migrate import migrate
from usp.models.broker import MqttVersion, parse_brokers
from usp.profiles import load_profiles
from usp.settings import Settings

#: Enough where limits are not what is looked at.
FEW = Limits(window=100, queue=100)
NOWHERE = "127.0.0.1:9"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Findings = dict[str, Finding]


@pytest.fixture(scope="module")
def safe(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A database as `make run` starts it; those of the other tests are told not to care for power cuts."""
    with Postgres(parts, tmp_path_factory.mktemp("safe")) as server:
        migrate(server.url)
        yield server


@pytest.fixture
async def owner(safe: Postgres) -> AsyncIterator[Connection]:
    """A connection to it, as its owner."""
    connection = await asyncpg.connect(safe.url)
    yield connection
    await connection.close()


def settings(database: str | None, broker: str | None, **values: Any) -> Settings:
    """Nothing but what is given here."""
    return Settings(_env_file=None, database_url=database, broker_url=broker, data_dir=Path("/nonexistent"), **values)  # type: ignore[call-arg]


async def findings(given: Settings, limits: Limits = FEW) -> dict[str, Findings]:
    """What the doctor finds, by area and check."""
    found: dict[str, Findings] = {}
    for check in await doctor.examine(given, limits):
        found.setdefault(check.area, {})[check.check] = check.finding
    return found


async def of_database(url: str) -> Findings:
    """The same of a database alone."""
    checks = await database_checks.examine(url, "database", load_profiles(None), Patience(15))
    return {check.check: check.finding for check in checks}


async def of_broker(url: str, version: MqttVersion = MqttVersion.V5, limits: Limits = FEW) -> Findings:
    """The same of a broker alone."""
    (one,) = parse_brokers(url)
    checks = await asyncio.to_thread(broker_checks.examine, one, version, "broker", Patience(15), limits)
    return {check.check: check.finding for check in checks}


@contextmanager
def mosquitto(parts: Parts, folder: Path, *lines: str) -> Iterator[str]:
    """A Mosquitto with nothing set but these lines; where it listens."""
    make_private(folder)
    port = bindable(LOOPBACK, 0)
    config = folder / "mosquitto.conf"
    config.write_text("\n".join([f"listener {port} {LOOPBACK}", *lines, ""]))
    give(config)
    argv = as_service([str(parts.mosquitto), "-c", str(config)], config)
    process = subprocess.Popen(argv, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def listens() -> bool:
        with socket.socket() as one:
            return one.connect_ex((LOOPBACK, port)) == 0

    try:
        assert wait_until(process, listens, 10)
        yield f"{LOOPBACK}:{port}"
    finally:
        end(process)


async def test_a_healthy_town(safe: Postgres, owner: Connection, broker: Mosquitto, here: Path) -> None:
    """With everything as `make run` has it and a worker at work, all is well and the exit status is 0."""
    worker = Worker(safe.url, broker.url, load_profiles(None))
    task = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(10):
            while not await owner.fetchval("SELECT count(*) FROM usp.worker WHERE connected"):
                await asyncio.sleep(0.02)
        command = ("doctor", "--database-url", safe.url, "--broker-url", broker.url, "--json")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "usp", *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        told, complaint = await process.communicate()
        told = json.loads(told)
        assert [check for check in told["checks"] if check["status"] != "ok"] == []
        assert (told["status"], process.returncode, complaint) == ("ok", 0, b"")
        found = {(check["area"], check["check"]): check["found"] for check in told["checks"]}
        assert "20,000 with MQTT 3.1.1" in found["broker", "window"]
        assert found["broker", "queue"].startswith("All of 5,000")
        assert found["database", "TimescaleDB"].endswith("Apache edition.")
        assert found["database", "slots"].startswith("1 held")
        assert "usp:" not in str(told)
        # The worker was not disturbed: it has heard nothing, and is the one it was.
        assert worker.in_flight == 0
        assert await owner.fetchval("SELECT count(*) FROM usp.ingest_total") == 0
    finally:
        worker.stop()
        await asyncio.wait_for(task, 20)


async def test_mosquitto_left_as_it_comes(parts: Parts, tmp_path: Path) -> None:
    """Its window of 20 and its queue of 1,000 are found by trying, and what to set is named."""
    with mosquitto(parts, tmp_path / "broker", "allow_anonymous true") as place:
        found = await of_broker(f"mqtt://{place}", MqttVersion.V311, Limits(window=2_000, queue=1_500))
        assert found["window"].status is Status.WARN
        assert "20 with MQTT 3.1.1" in found["window"].found
        assert "at least 2,000 with MQTT 5" in found["window"].found
        assert "max_inflight_messages 20000" in found["window"].advice
        assert found["queue"].status is Status.FAIL
        assert "Of 1,500 messages to a client that was away 1,000 waited" in found["queue"].found
        assert "max_queued_messages" in found["queue"].advice
        assert found["sessions"].status is Status.WARN
        assert "queue_qos0_messages" in found["sessions"].advice
        # MQTT 5 opens the window itself, and then there is nothing to set.
        assert (await of_broker(f"mqtt://{place}", MqttVersion.V5))["window"].status is Status.OK


async def test_a_broker_that_drops_without_a_word(parts: Parts, tmp_path: Path) -> None:
    """`message_size_limit` confirms large messages and throws them away."""
    with mosquitto(parts, tmp_path / "broker", "allow_anonymous true", "message_size_limit 900000") as place:
        found = await of_broker(f"mqtt://{place}")
    assert found["message size"].status is Status.FAIL
    assert "dropped" in found["message size"].found


async def test_accounts_at_the_broker(parts: Parts, tmp_path: Path) -> None:
    """A wrong password is one finding; an account without rights to the doctor's topics is told which it lacks."""
    folder = tmp_path / "broker"
    make_private(folder)
    passwords, acl = folder / "passwords", folder / "acl"
    subprocess.run([parts.mosquitto_passwd, "-c", "-b", passwords, "usp", "right"], check=True)
    acl.write_text("user usp\ntopic read usp/v1/#\n")
    for path in (passwords, acl):
        give(path)
    lines = ("allow_anonymous false", f"password_file {passwords}", f"acl_file {acl}")
    with mosquitto(parts, folder, *lines) as place:
        refused = await of_broker(f"mqtt://usp:wrong@{place}")
        found = await of_broker(f"mqtt://usp:right@{place}")
    assert list(refused) == ["reachable"]
    assert refused["reachable"].status is Status.FAIL
    assert "the account usp" in refused["reachable"].found
    assert "wrong" not in refused["reachable"].found
    assert found["subscriptions"].status is Status.OK
    assert found["round trip"].status is Status.WARN
    assert "Not authorized" in found["round trip"].found
    assert "usp/doctor/#" in found["round trip"].advice
    assert "queue" not in found


async def test_mqtt_3_alone(broker: Mosquitto) -> None:
    """Also where a broker speaks only 3.1.1, everything is tried and nothing is left."""
    (one,) = parse_brokers(broker.url)
    bench = Bench(one, MqttVersion.V311, Patience(15), FEW)
    bench.answers[MqttVersion.V311] = ""

    def run() -> list[Finding]:
        checks = (*broker_checks.ASKED.values(), tried.round_trip, *tried.TRIED.values())
        return [check(bench) for check in checks]

    assert {finding.status for finding in await asyncio.to_thread(run)} == {Status.OK}
    assert bench.clean() == []


async def test_a_database_of_an_older_version(empty_database: Callable[..., Awaitable[str]], broker: Mosquitto) -> None:
    """Migrations that have not been made are named; what cannot be asked of the old schema does no harm."""
    url = await empty_database()
    found = await of_database(url)
    assert found["migrations"].status is Status.FAIL
    assert "usp migrate" in found["TimescaleDB"].advice
    await asyncio.to_thread(migrate, url, "0001")
    found = await of_database(url)
    assert found["migrations"].status is Status.FAIL
    assert "at revision 0001; to be made: 0002" in found["migrations"].found
    assert found["workers"].status is Status.WARN
    await asyncio.to_thread(migrate, url)
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE usp.alembic_version SET version_num = '9999'")
    await connection.close()
    assert "does not know" in (await of_database(url))["migrations"].found


async def test_a_database_that_is_away(broker: Mosquitto) -> None:
    """Then that is one failure, and the broker is examined all the same."""
    found = await findings(settings(f"postgresql://city:secret@{NOWHERE}/usp", broker.url))
    assert list(found["database"]) == ["reachable"]
    assert found["database"]["reachable"].status is Status.FAIL
    assert "secret" not in str(found)
    assert {finding.status for finding in found["broker"].values()} == {Status.OK}


async def test_a_broker_that_is_away(safe: Postgres) -> None:
    """Then that is one failure, and the database is examined all the same."""
    found = await findings(settings(safe.url, f"mqtt://{NOWHERE}"))
    assert list(found["broker"]) == ["reachable"]
    assert found["broker"]["reachable"].status is Status.FAIL
    assert found["database"]["migrations"].status is Status.OK


async def test_servers_that_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and is silent uses up its time and no more."""
    monkeypatch.setattr(database_checks, "CONNECT_S", 0.3)
    monkeypatch.setattr(mqtt, "ANSWER_S", 0.3)
    with socket.create_server((LOOPBACK, 0)) as silent:
        place = f"{LOOPBACK}:{silent.getsockname()[1]}"
        async with asyncio.timeout(5):
            found = await findings(settings(f"postgresql://usp:x@{place}/usp", f"mqtt://{place}"))
    for area in ("database", "broker"):
        assert list(found[area]) == ["reachable"]
        assert found[area]["reachable"].status is Status.FAIL


async def test_something_else_listens_there() -> None:
    """Whoever hangs up is not taken for a broker that knows no such account."""
    server = await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, 0)
    async with server:
        found = await of_broker(f"mqtt://{LOOPBACK}:{server.sockets[0].getsockname()[1]}")
    assert "without an answer" in found["reachable"].found
    assert "mqtt or mqtts" in found["reachable"].advice


async def test_nothing_is_given() -> None:
    """Without addresses it says what to set."""
    found = await findings(settings(None, None))
    assert "USP_DATABASE_URL" in found["database"]["reachable"].advice
    assert "USP_BROKER_URL" in found["broker"]["reachable"].advice


async def test_a_wrong_password(safe: Postgres) -> None:
    """The account is refused, and the advice is to look at the account."""
    url = re.sub(r":[^:@]+@", ":wrong@", safe.url)
    found = await of_database(url)
    assert list(found) == ["reachable"]
    assert "password" in found["reachable"].advice


async def test_what_ails_the_platform(safe: Postgres, owner: Connection) -> None:
    """A dead worker, a slot that nobody gives back, our own failures, a fast clock and a missing profile are named."""
    holder = await asyncpg.connect(safe.url)
    await holder.execute("SELECT pg_advisory_lock(7697264, 5)")
    await owner.execute("""
        INSERT INTO usp.worker (slot, host, pid, started_at, heartbeat_at, in_flight, connected)
        VALUES (3, 'box', 7, now(), now() - interval '1 hour', 0, true);
        INSERT INTO usp.profile (name, kind, max_hold, definition) VALUES ('gone', 'lamppost', 1, '{}');
        INSERT INTO usp.device (name, kind, profile) VALUES ('lamp-fast-1', 'lamppost', 'gone');
        INSERT INTO usp.noise_latest (device, laeq, laeq_time, received_at)
        SELECT id, 60, now() + interval '2 minutes', now() FROM usp.device;
        INSERT INTO usp.rejection (received_at, door, reason, whole_item, payload_length)
        VALUES (now(), 'mqtt', 'internal_error', true, 0), (now(), 'mqtt', 'not_json', true, 0);
    """)
    try:
        found = await of_database(safe.url)
    finally:
        await owner.execute("DELETE FROM usp.worker; DELETE FROM usp.noise_latest; DELETE FROM usp.rejection")
        await owner.execute("DELETE FROM usp.device; DELETE FROM usp.profile WHERE name = 'gone'")
        await holder.close()
    ill = {name: finding.found for name, finding in found.items() if finding.status is not Status.OK}
    assert ill.keys() == {"workers", "slots", "rejections", "device clocks", "profiles"}
    assert "usp-ingest-3" in ill["workers"]
    assert "5 by process" in ill["slots"]
    assert "2 wait" in ill["rejections"]
    assert "lamp-fast-1 by 120 s" in ill["device clocks"]
    assert "gone (1 devices)" in ill["profiles"]


async def test_what_endangers_the_data(safe: Postgres, owner: Connection) -> None:
    """Commits that do not wait for the disk, readers who see tables, transactions that never end."""
    await owner.execute("ALTER DATABASE usp SET synchronous_commit = off")
    await owner.execute("GRANT USAGE ON SCHEMA usp TO usp_open; GRANT SELECT (name) ON usp.device TO usp_open")
    await owner.execute("SELECT pg_create_physical_replication_slot('forgotten')")
    try:
        found = await of_database(safe.url)
    finally:
        await owner.execute("SELECT pg_drop_replication_slot('forgotten')")
        await owner.execute(
            "REVOKE USAGE ON SCHEMA usp FROM usp_open; REVOKE SELECT (name) ON usp.device FROM usp_open"
        )
        await owner.execute("ALTER DATABASE usp RESET synchronous_commit")
    assert found["durability"].status is Status.FAIL
    assert "Set synchronous_commit on" in found["durability"].advice
    assert found["rights"].status is Status.FAIL
    assert "usp_open: usp.device" in found["rights"].found
    assert found["old transactions"].status is Status.WARN
    assert "forgotten" in found["old transactions"].found


async def test_an_account_with_limits(safe: Postgres, owner: Connection) -> None:
    """Few connections are named with the limit that leaves them; an account without the roles cannot be used."""
    await owner.execute("CREATE ROLE city LOGIN PASSWORD 'x' CONNECTION LIMIT 3")
    url = f"postgresql://city:x@{LOOPBACK}:{safe.port}/usp"
    try:
        found = await of_database(url)
        assert found["connections"].status is Status.WARN
        assert "2 left of this account" in found["connections"].found
        assert found["rights"].status is Status.FAIL
        assert "GRANT usp_writer" in found["rights"].advice
        await owner.execute("GRANT usp_writer, usp_open, usp_restricted, usp_ops TO city")
        found = await of_database(url)
        assert found["rights"].status is Status.OK
        assert {name for name, finding in found.items() if finding.status is Status.FAIL} == set()
    finally:
        await owner.execute("DROP ROLE city")


async def contents(connection: Connection) -> dict[str, str]:
    """Every row of ours with who wrote it last."""
    tables = await connection.fetch("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'usp' ORDER BY 1")
    query = "SELECT coalesce(string_agg(t.xmin::text || t::text, '|' ORDER BY t::text), '') FROM usp.{} t"
    return {name: await connection.fetchval(query.format(name)) for (name,) in tables}


@pytest.mark.parametrize("interrupted", [False, True])
async def test_it_leaves_nothing_behind(
    safe: Postgres,
    owner: Connection,
    parts: Parts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupted: bool,  # noqa: FBT001
) -> None:
    """No row is changed; no session, message or retained message stays at the broker, also after Ctrl-C."""
    before = await contents(owner)
    assert len(before) > 20
    reached = threading.Event()

    def queue(bench: Bench) -> Finding:
        reached.set()
        return tried.queue(bench)

    monkeypatch.setitem(tried.TRIED, "queue", queue)
    with Mosquitto(parts, tmp_path / "broker") as broker:
        task = asyncio.create_task(doctor.examine(settings(safe.url, broker.url), Limits(window=2_000, queue=5_000)))
        await asyncio.to_thread(reached.wait, 10)
        if interrupted:
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await task
    assert await contents(owner) == before
    assert await owner.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usp-doctor'") == 0
    # A clean end of Mosquitto writes down whatever it keeps.
    kept = (tmp_path / "broker" / "mosquitto.db").read_bytes()
    assert b"doctor" not in kept
