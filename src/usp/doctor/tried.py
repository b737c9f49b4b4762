"""The limits of a broker, tried out on topics and with sessions of the doctor's own."""

import statistics
import time
from collections.abc import Callable, Sequence

from usp.doctor.bench import TOPICS, Bench
from usp.doctor.findings import Finding, fail, ok, warn
from usp.doctor.mqtt import Client

ROUND_TRIPS = 21
#: A window below this holds commits back; ours is 20,000.
SMALL_WINDOW = 1_000
#: Messages sent in all while the window is looked for; after each of these it is seen whether they came.
_PIECES = (100, 1_000, 5_000, 12_500, 25_000)
#: Sizes of messages that are tried: what nobody should refuse, and more than our own limit.
SIZES = (1_000_000, 2_000_000)
#: What has not come after so long is not coming: whatever is waited for here has reached the broker before.
_SILENCE_S = 1.5
_MARK = b"mark"


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
            f"Let {bench.account} write and read {TOPICS}/#, or give --broker-url with one that may.",
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
        _while_more_comes(sender, open_, sent, max(0.5, 5 * bench.latency))
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


TRIED: dict[str, Callable[[Bench], Finding]] = {
    "shared subscriptions": shared,
    "sessions": sessions,
    "queue": queue,
    "window": window,
    "message size": size,
}
