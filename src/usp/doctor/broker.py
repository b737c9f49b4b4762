"""What the doctor asks of a broker; what it tries out there is in `tried`."""

import ssl
from collections.abc import Callable, Sequence

from usp.doctor.bench import CLEANING_S, SESSION_EXPIRY_S, Bench, Limits
from usp.doctor.findings import Check, Finding, Patience, Report, Status, fail, ok, plain, warn
from usp.doctor.mqtt import HungUp, Refused, Silent
from usp.doctor.tried import TRIED, round_trip
from usp.ingest.mqtt import SESSION_EXPIRY_S as INGEST_EXPIRY_S
from usp.ingest.worker import subscriptions
from usp.models.broker import Broker, MqttVersion


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


_ADDRESS = "Start the broker, or mend USP_BROKER_URL (host, port, mqtt or mqtts)."
_ACCOUNT = "Check user and password in USP_BROKER_URL against the broker's accounts."
_CERTIFICATE = "Give the broker a certificate for this host by an authority that this system knows (SSL_CERT_FILE)."


def reachable(bench: Bench) -> Finding:
    """Somebody answers there, and takes our account."""
    broker = bench.broker
    account = True
    for version in (MqttVersion.V5, MqttVersion.V311):
        try:
            bench.leave(bench.client(f"v{version[0]}", version))
            bench.answers[version] = ""
        except Refused as error:
            # Before MQTT 5 a broker could hang up on a version that it did not know.
            account = account and not isinstance(error, HungUp)
            bench.answers[version] = error.detail
        except ssl.SSLError as error:
            return fail(f"{broker.name} cannot be reached: {plain(error)}", _CERTIFICATE)
        except (OSError, Silent) as error:
            detail = error.detail if isinstance(error, Silent) else plain(error)
            return fail(f"{broker.name} cannot be reached: {detail}", _ADDRESS)
    if not bench.accepted:
        reason = bench.answers[bench.spoken]
        if account:
            return fail(f"{broker.name} refuses {bench.account}: {reason}", _ACCOUNT)
        return fail(f"{broker.name} cannot be reached: {reason}", _ADDRESS)
    tls = "with TLS" if broker.tls else "without TLS"
    return ok(f"{broker.name}, {tls}, accepts {bench.account}.")


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
            f"Let {bench.account} read these topics.",
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


ASKED: dict[str, Callable[[Bench], Finding]] = {
    "versions": versions,
    "grants": grants,
    "subscriptions": readable,
    "server": server,
}
