"""What the doctor asks of a broker. Its limits are tried out, on topics and with sessions of the doctor's own."""

import statistics
import time
from collections.abc import Callable, Sequence

from usp.doctor.bench import CLEANING_S, SESSION_EXPIRY_S, TOPICS, Bench, Limits
from usp.doctor.findings import Check, Finding, Patience, Report, Status, fail, ok, plain, warn
from usp.doctor.mqtt import Client, Refused, Silent
from usp.ingest.mqtt import SESSION_EXPIRY_S as INGEST_EXPIRY_S
from usp.ingest.worker import subscriptions
from usp.models.broker import Broker, MqttVersion

ROUND_TRIPS = 21
#: A window below this holds commits back; ours is 20,000.
SMALL_WINDOW = 1_000
#: What is sent in one go while the window is looked for, in all.
_PIECES = (100, 1_000, 5_000, 12_500, 25_000)
#: Sizes of messages that are tried: what nobody should refuse, and more than our own limit.
SIZES = (1_000_000, 2_000_000)
#: Brokers of one machine are asked at the same time, and the slowest of them decides.
_SILENCE_S = 1.5
_MARK = b"mark"


def examine(broker: Broker, spoken: MqttVersion, area: str, patience: Patience, limits: Limits) -> list[Check]:
    """Every check of one broker. Blocks; `patience` says how long at most."""
    report = Report(area)
    bench = Bench(broker, broker.version or spoken, patience, limits)
    try:
        if report.run("reachable", lambda: reachable(bench)).status is Status.FAIL:
            return report.checks
        for name, check in ASKED.items():
            _run(report, name, check, bench)
        _run(report, "round trip", round_trip, bench)
        if bench.usable:
            for name, check in TRIED.items():
                _run(report, name, check, bench)
    finally:
        left = bench.clean()
        if left:
            report.add("cleaning up", warn(*_left_behind(left)))
    return report.checks


def _run(report: Report, name: str, check: Callable[[Bench], Finding], bench: Bench) -> Finding:
    return report.run(name, lambda: check(bench))


def _left_behind(sessions: Sequence[str]) -> tuple[str, str]:
    return (
        f"Within {CLEANING_S:.0f} s these sessions could not be ended: {', '.join(sessions)}.",
        f"MQTT 5 brokers forget them after {SESSION_EXPIRY_S} s; with MQTT 3.1.1 delete them at the broker.",
    )


# What is asked


def reachable(bench: Bench) -> Finding:
    """Somebody answers there, and takes our account."""
    broker = bench.broker
    for version in (MqttVersion.V5, MqttVersion.V311):
        try:
            bench.leave(bench.client(f"v{version[0]}", version))
            bench.answers[version] = ""
        except Refused as error:
            bench.answers[version] = error.detail
        except (OSError, Silent) as error:
            detail = error.detail if isinstance(error, Silent) else plain(error)
            return fail(
                f"{broker.name} cannot be reached: {detail}",
                "Start the broker, or mend USP_BROKER_URL (host, port, mqtt or mqtts).",
            )
    if not bench.accepted:
        return fail(
            f"{broker.name} refuses {_account(broker)}: {bench.answers[bench.spoken]}",
            "Check user and password in USP_BROKER_URL against the broker's accounts.",
        )
    tls = "with TLS" if broker.tls else "without TLS"
    return ok(f"{broker.name}, {tls}, accepts {_account(broker)}.")


def _account(broker: Broker) -> str:
    return "anonymous clients" if broker.user is None else f"the account {broker.user}"


def versions(bench: Bench) -> Finding:
    """The version that ingest speaks is accepted."""
    found = " and ".join(sorted(bench.accepted))
    if bench.spoken in bench.accepted:
        return ok(f"MQTT {found}; ingest speaks {bench.spoken}.")
    return fail(
        f"MQTT {found}; ingest speaks {bench.spoken}, which is refused. {bench.answers[bench.spoken]}",
        f"Set USP_BROKER_VERSION={bench.accepted[0]}.",
    )


def grants(bench: Bench) -> Finding:
    """What the broker promises to a client of MQTT 5 that asks for what ingest asks for."""
    if MqttVersion.V5 not in bench.accepted:
        return ok("Only MQTT 5 tells them.")
    client = bench.session("g", clean=True, expiry=INGEST_EXPIRY_S)
    granted = client.granted
    bench.forget(client)
    expiry = granted.get("SessionExpiryInterval", INGEST_EXPIRY_S)
    size = granted.get("MaximumPacketSize")
    found = (
        f"It takes {granted.get('ReceiveMaximum', 65_535):,} unacknowledged messages, "
        f"packets of {'any size' if size is None else f'{size:,} bytes'}, QoS up to {granted.get('MaximumQoS', 2)}; "
        f"retained messages: {_yes(granted.get('RetainAvailable', 1))}, "
        f"shared subscriptions: {_yes(granted.get('SharedSubscriptionAvailable', 1))}; "
        f"it keeps sessions for {expiry / 86_400:g} days."
    )
    if not granted.get("MaximumQoS", 2):
        return fail(found, "Use a broker that knows QoS 1: without it nothing waits while ingest is away.")
    if not granted.get("SharedSubscriptionAvailable", 1) and bench.broker.shared:
        return fail(found, "Add ?shared=no to USP_BROKER_URL and run a single ingest process, or use another broker.")
    if not expiry:
        return fail(found, "Let the broker keep sessions: what is sent while ingest is away is lost otherwise.")
    if expiry < INGEST_EXPIRY_S:
        advice = f"Let the broker keep sessions for {INGEST_EXPIRY_S // 86_400} days: ingest may be away for so long."
        return warn(found, advice)
    return ok(found)


def _yes(value: int) -> str:
    return "yes" if value else "no"


def readable(bench: Bench) -> Finding:
    """Ingest's topics may be subscribed with QoS 1. A share of our own takes nothing from the workers."""
    filters = subscriptions(bench.broker)
    own = [name.replace("$share/usp/", f"$share/usp-doctor-{bench.name}/") for name in filters]
    client = bench.client("r", hold=True)
    codes = client.subscribe(*own)
    bench.leave(client)
    refused = {name: str(code) for name, code in zip(filters, codes, strict=True) if code.is_failure}
    if refused:
        return fail(
            "Refused: " + ", ".join(f"{name} ({reason})" for name, reason in refused.items()) + ".",
            f"Let {_account(bench.broker)} read these topics.",
        )
    if poor := [name for name, code in zip(filters, codes, strict=True) if code.value == 0]:
        return fail(
            f"Granted with QoS 0 only: {', '.join(poor)}.",
            "Let the broker grant QoS 1: what is sent while ingest is away is lost otherwise.",
        )
    return ok(f"Granted with QoS 1: {', '.join(filters)}.")


def server(bench: Bench) -> Finding:
    """Which broker it is, where it says so: Mosquitto and others do at $SYS."""
    client = bench.client("s")
    told: list[str] = []
    for name, words in SYS.items():
        before = len(client.received)
        codes = client.subscribe(f"$SYS/broker/{name}", qos=0)
        if codes[0].is_failure or not client.wait(lambda: len(client.received) > before, 0.3):  # noqa: B023
            break
        told.append(words.format(client.received[-1].decode(errors="replace")))
    bench.leave(client)
    return ok(f"{'; '.join(told)}." if told else "It tells nothing at $SYS/broker.")


#: What of $SYS is shown, and how.
SYS = {
    "version": "{}",
    "uptime": "up for {}",
    "clients/connected": "{} clients connected",
    "clients/disconnected": "{} sessions of clients that are away",
}


# What is tried


def round_trip(bench: Bench) -> Finding:
    """Messages come back. MQTT tells no time of day, so this is all that can be known of the broker's clock."""
    sender, reader = bench.client("p"), bench.client("q")
    topic = f"{bench.root}/round-trip"
    codes = reader.subscribe(topic)
    taken: list[float] = []
    for number in range(ROUND_TRIPS):
        begun, heard = time.perf_counter(), len(reader.received)
        sender.publish(topic, [b"%d" % number], reader)
        if sender.refused or not reader.wait(lambda: len(reader.received) > heard, _SILENCE_S):  # noqa: B023
            break
        taken.append(time.perf_counter() - begun)
    bench.leave(sender)
    bench.leave(reader)
    if len(taken) < ROUND_TRIPS:
        reasons = [*sender.refused, *(str(code) for code in codes if code.is_failure)]
        return warn(
            f"What is sent to {TOPICS}/# does not come back ({', '.join(reasons) or 'without a word'}): "
            "the broker's limits could not be tried.",
            f"Let {_account(bench.broker)} write and read {TOPICS}/#, or give --broker-url with one that may.",
        )
    bench.usable = True
    middle = bench.latency = statistics.median(taken)
    found = f"{middle * 1000:.1f} ms from sending to receiving. MQTT tells no time of day: clocks cannot be compared."
    if middle > 1:
        return warn(found, "Look for what slows the network or the broker down.")
    return ok(found)


def shared(bench: Bench) -> Finding:
    """Each message goes to one member of a group."""
    if not bench.broker.shared:
        return ok("Not used here (shared=no): run a single ingest process.")
    count, topic = 20, f"{bench.root}/shared"
    members = [bench.client(role) for role in ("a", "b")]
    sender = bench.sender()
    codes = [code for m in members for code in m.subscribe(f"$share/usp-doctor-{bench.name}/{topic}")]
    sender.publish(topic, (b"%d" % n for n in range(count)), *members)
    sender.wait(lambda: sum(len(m.received) for m in members) >= count, _SILENCE_S, *members)
    sender.wait(lambda: False, 0.05, *members)  # who delivers twice does so at once
    each = [len(m.received) for m in members]
    came = {payload for m in members for payload in m.received}
    for client in (sender, *members):
        bench.leave(client)
    advice = "Add ?shared=no to USP_BROKER_URL and run a single ingest process, or use another broker."
    if any(code.is_failure for code in codes):
        return fail(f"Refused: {codes[0]}.", advice)
    if len(came) < count or sum(each) > count:
        return fail(f"Of {count} messages two members of a group got {each[0]} and {each[1]}.", advice)
    return ok(f"Of {count} messages two members of a group got {each[0]} and {each[1]}.")


def sessions(bench: Bench) -> Finding:
    """What is sent while a client is away waits for it."""
    qos1, qos0 = b"qos 1", b"qos 0"
    topic = f"{bench.root}/session"
    client = bench.session("k", clean=True)
    client.subscribe(topic)
    bench.leave(client)
    sender = bench.sender()
    sender.publish_unasked(topic, qos0)
    sender.publish(topic, [qos1])
    client = bench.session("k", clean=False)
    client.wait(lambda: qos1 in client.received, _SILENCE_S)
    client.wait(lambda: qos0 in client.received, 0.1)
    bench.leave(sender)
    present, received = client.session_present, client.received
    bench.forget(client)
    if not present or qos1 not in received:
        found = "A session was kept, but not its message." if present else "A session was gone when its client came."
        return fail(found, "Let the broker keep sessions and queues: what is sent while ingest is away is lost.")
    found = "A session was kept, with the message of QoS 1 that came meanwhile"
    if qos0 not in received:
        return warn(
            f"{found}, but without that of QoS 0.",
            "Set queue_qos0_messages true (Mosquitto) if devices send with QoS 0 and are to be heard as well.",
        )
    return ok(f"{found}, and with that of QoS 0. Whether it outlives the broker cannot be tried.")


def queue(bench: Bench) -> Finding:
    """How many messages wait for a client that is away, as far as that is tried."""
    count, topic = bench.limits.queue, f"{bench.root}/queue"
    client = bench.session("w", clean=True)
    client.subscribe(topic)
    bench.leave(client)
    sender = bench.sender()
    all_answered = sender.publish(topic, (b"%d" % n for n in range(count)))
    client = bench.session("w", clean=False)
    _drain(client, sender, topic, count)
    came = len(set(client.received) - {_MARK})
    refused = sender.refused.total()
    bench.leave(sender)
    bench.forget(client)
    if came == count:
        return ok(f"All of {count:,} messages waited for a client that was away; more were not tried.")
    advice = "Raise max_queued_messages to 2000000 (Mosquitto; docs/operations.md), or the like of your broker."
    if not all_answered:
        return warn(f"{came:,} of {count:,} messages came; the broker had not confirmed all of them.", advice)
    if came + refused >= count:
        return warn(f"{came:,} of {count:,} messages waited; the others were refused to their sender.", advice)
    return fail(
        f"Of {count:,} messages to a client that was away {came:,} waited; "
        "the others were dropped after their sender had been told that they were delivered.",
        advice,
    )


def _drain(client: Client, sender: Client, topic: str, count: int) -> None:
    """Receive what waits. A mark that is sent last comes last, where it is not dropped itself."""

    def done() -> bool:
        return _MARK in client.received[-1:] or len(client.received) >= count

    while True:
        heard = len(client.received)
        sender.publish(topic, [_MARK], client)
        if client.wait(done, _SILENCE_S, sender) or len(client.received) == heard:
            return


def window(bench: Bench) -> Finding:
    """How many messages a client gets before it has acknowledged the first."""
    topic = f"{bench.root}/window"
    holders = {version: bench.client(f"h{version[0]}", version, hold=True) for version in bench.accepted}
    for holder in holders.values():
        holder.subscribe(topic)
    sender = bench.sender()
    sent, most = 0, bench.limits.window
    open_ = list(holders.values())
    for total in [*(piece for piece in _PIECES if piece < most), most]:
        if not open_ or not sender.publish(topic, (b"%d" % n for n in range(sent, total)), *holders.values()):
            break
        sent = total
        # What is not held back comes at once.
        _while_more_comes(sender, open_, sent, max(0.3, 5 * bench.latency))
        open_ = [holder for holder in open_ if len(holder.received) >= sent]
    found = {version: len(holder.received) for version, holder in holders.items()}
    for client in (sender, *holders.values()):
        bench.leave(client)
    told = ", ".join(
        f"{'at least ' if count >= sent else ''}{count:,} with MQTT {version}" for version, count in found.items()
    )
    text = f"Unacknowledged messages at a time: {told}; ingest speaks {bench.spoken}."
    if min(found.get(bench.spoken, 0), most) < min(SMALL_WINDOW, most):
        advice = "Set max_inflight_messages 20000 (Mosquitto), or USP_BROKER_VERSION=5: more go into one transaction."
        return warn(text, advice)
    return ok(text)


def _while_more_comes(sender: Client, holders: Sequence[Client], count: int, pause: float) -> None:
    def heard() -> int:
        return sum(len(holder.received) for holder in holders)

    while True:
        before = heard()
        whole = sender.wait(lambda: all(len(h.received) >= count for h in holders), pause, *holders)
        if whole or heard() == before:
            return


def size(bench: Bench) -> Finding:
    """What becomes of large messages."""
    topic = f"{bench.root}/size"
    reader = bench.client("q")
    reader.subscribe(topic)
    fates = {size: _fate(bench, reader, topic, size) for size in SIZES}
    bench.leave(reader)
    text = "; ".join(f"{size:,} bytes: {fate}" for size, fate in fates.items()) + "."
    if DROPPED in fates.values():
        advice = "Use max_packet_size instead of message_size_limit (Mosquitto): the sender learns of the former."
        return fail(text, advice)
    if fates[SIZES[0]] != DELIVERED:
        return warn(text, "Raise the broker's limit to 2,000,000 bytes (max_packet_size in mosquitto.conf).")
    return ok(text)


DELIVERED = "delivered"
DROPPED = "confirmed to the sender and dropped"
REFUSED = "refused, and the sender knows"
SLOW = "not delivered in time"


def _fate(bench: Bench, reader: Client, topic: str, size: int) -> str:
    heard = len(reader.received)
    sender = bench.sender()
    answered = sender.publish(topic, [bytes(size)], reader)
    if answered:
        # What is sent later comes later: the mark tells that nothing is to be waited for any more.
        sender.publish(topic, [_MARK], reader)
        reader.wait(lambda: _MARK in reader.received[heard:], _SILENCE_S, sender)
    came = any(len(payload) == size for payload in reader.received[heard:])
    refused = bool(sender.refused or sender.down)
    bench.leave(sender)
    if came:
        return DELIVERED
    if refused:
        return REFUSED
    return DROPPED if answered else SLOW


ASKED: dict[str, Callable[[Bench], Finding]] = {
    "versions": versions,
    "grants": grants,
    "subscriptions": readable,
    "server": server,
}
TRIED: dict[str, Callable[[Bench], Finding]] = {
    "shared subscriptions": shared,
    "sessions": sessions,
    "queue": queue,
    "window": window,
    "message size": size,
}
