"""`usp doctor`: is everything as it has to be? It asks and tries, changes nothing, and leaves nothing behind."""

import asyncio
from collections.abc import Sequence

from usp.doctor import broker, database, machine
from usp.doctor.bench import Limits
from usp.doctor.findings import HEADER, Check, Patience, Status, broken, document, fail, table, worst
from usp.models.broker import Broker, MqttVersion, parse_brokers
from usp.settings import Settings

__all__ = ["HEADER", "Check", "Limits", "Status", "document", "examine", "table", "worst"]

#: For the whole, apart from cleaning up.
TIME_S = 15.0

_NO_DATABASE = fail("Not known.", "Set USP_DATABASE_URL, or start `usp demo` in this folder.")
_NO_BROKER = fail("Not known.", "Set USP_BROKER_URL, or start `usp demo` in this folder.")


async def examine(settings: Settings, limits: Limits | None = None) -> list[Check]:
    """Every check there is; database and brokers are asked at the same time, so that none has to wait for another."""
    found = machine.addresses(settings)
    checks, profiles = machine.examine(settings, found)
    patience = Patience(TIME_S)
    asked = []
    if found.database is None:
        checks.append(Check("database", "reachable", _NO_DATABASE))
    else:
        asked.append(database.examine(found.database, "database", profiles, patience))
    if found.broker is None:
        checks.append(Check("broker", "reachable", _NO_BROKER))
    spoken = settings.broker_version
    if "broker" in found.own and "broker_version" not in settings.model_fields_set:
        spoken = MqttVersion.V311  # what `usp demo` lets ingest speak with its own broker
    brokers = parse_brokers(found.broker) if found.broker else []
    asked += [
        asyncio.to_thread(
            broker.examine,
            one,
            spoken,
            _area(one, brokers),
            patience,
            limits or Limits(),
        )
        for one in brokers
    ]
    tasks = [asyncio.ensure_future(one) for one in asked]
    try:
        parts = await asyncio.shield(asyncio.gather(*tasks, return_exceptions=True))
    except asyncio.CancelledError:
        # Whoever is interrupted still ends the sessions it has begun.
        patience.give_up()
        await asyncio.wait(tasks)
        raise
    for part in parts:
        checks += [Check("doctor", "itself", broken(part))] if isinstance(part, BaseException) else part
    return checks


def _area(one: Broker, brokers: Sequence[Broker]) -> str:
    """What tells a broker from the others; one may be listed for several accounts."""
    if len(brokers) == 1:
        return "broker"
    several = sum(one.name == other.name for other in brokers) > 1
    return f"broker {one.name} as {one.user}" if several else f"broker {one.name}"
