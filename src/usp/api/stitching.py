"""What lies between the slots of counters and states: steps of registers, and how long a state went on holding.

Before the window the last value counts, however old: the register there is what the first step begins from.
"""

from usp.api.bucket_statement import BucketStatement
from usp.models import partials
from usp.models.dataset import Aggregation, Property


def tables(made: BucketStatement, prop: Property) -> list[str]:
    """The tables `seed_…` and `ends_…` of a property: each slot's first and last value, with its neighbours."""
    name = prop.name
    return [
        f'"seed_{name}" AS ({_seed(made, prop)})',
        f"""
        "ends_{name}" AS (
            SELECT s.*, lag(s.last) OVER w AS before, lead(s.first) OVER w AS next, lead(s.first_time) OVER w AS until
            FROM (
                SELECT device_id, slot, "{name}_first" AS first, "{name}_first_time" AS first_time,
                    "{name}_last" AS last, "{name}_last_time" AS last_time FROM parts WHERE "{name}_count" > 0
                UNION ALL
                SELECT device_id, '-infinity', NULL, NULL, last, last_time FROM "seed_{name}"
            ) s WINDOW w AS (PARTITION BY s.device_id ORDER BY s.slot)
        )""",
        f"""
        "since_{name}" AS (
            SELECT device_id, min(coalesce(first_time, '-infinity')) AS since FROM "ends_{name}" GROUP BY device_id
        )""",
    ]


def sums(made: BucketStatement, prop: Property) -> list[str]:
    """What is added up of a property beside its slots' own parts."""
    if prop.aggregation is Aggregation.COUNTER:
        return [_steps(made, prop)]
    return [_changes(made, prop), _held(made, prop)]


def _seed(made: BucketStatement, prop: Property) -> str:
    """Each device's last value before the window: of a rolled-up hour, of a marked one, or of rows since.

    The last value of an hour that is marked is a value still, and at most no longer the last.
    """
    name, dataset = prop.name, made.dataset
    hour, ok = made.hours_before, partials.valid(dataset, prop)
    reading = f'SELECT r."{name}" AS last, r.time AS last_time FROM {dataset.name} r WHERE r.device_id = d.device_id'
    newest = "ORDER BY r.time DESC LIMIT 1"
    return f"""
        SELECT d.device_id, s.last, s.last_time FROM devs d CROSS JOIN LATERAL (
            SELECT u.last, u.last_time FROM (
                (SELECT h."{name}_last" AS last, h."{name}_last_time" AS last_time FROM {dataset.name}_hourly h
                    WHERE h.device_id = d.device_id AND h.hour < {hour} AND h."{name}_count" > 0
                    ORDER BY h.hour DESC LIMIT 1)
                UNION ALL
                (SELECT x.last, x.last_time FROM rollup_mark m CROSS JOIN LATERAL (
                        {reading} AND r.time >= m.hour AND r.time < m.hour + interval '1 hour' AND {ok} {newest}
                    ) x WHERE m.dataset = '{dataset.name}' AND m.device_id = d.device_id AND m.hour < {hour}
                    ORDER BY x.last_time DESC LIMIT 1)
                UNION ALL
                ({reading} AND r.time >= {hour} AND r.time < {made.start} AND {ok} {newest})
            ) u ORDER BY u.last_time DESC LIMIT 1
        ) s
    """


def _steps(made: BucketStatement, prop: Property) -> str:
    # A reading at the very edge ends the bucket before it: R(b) is the last reading at or before b.
    at = "e.first_time - interval '1 microsecond'"
    step = partials.step("e.before", "e.first", partials.modulus("d", prop))
    row = made.row("e.device_id", made.bucket(at), {f"{prop.name}_increase": step})
    return (
        f'{row} FROM "ends_{prop.name}" e JOIN devs d ON d.device_id = e.device_id '
        f"{made.stood('e', made.hour(at))} WHERE e.before IS NOT NULL AND e.first IS NOT NULL"
    )


def _changes(made: BucketStatement, prop: Property) -> str:
    row = made.row("e.device_id", made.bucket("e.first_time"), {f"{prop.name}_changes": "1"})
    stood = made.stood("e", made.hour("e.first_time"))
    return f'{row} FROM "ends_{prop.name}" e {stood} WHERE e.before <> e.first'


def _held(made: BucketStatement, prop: Property) -> str:
    """A slot's last state holds until the next message, at most the maximum hold, and not beyond now."""
    ends = f"least(e.until, e.last_time + d.max_hold * interval '1 second', now(), d.until, {made.end})"
    pieces = f"""
        SELECT e.device_id, e.last::text AS state, greatest(e.last_time, {made.start}) AS since, {ends} AS until
        FROM "ends_{prop.name}" e JOIN devs d ON d.device_id = e.device_id
    """
    limits = ('g."start"', 'g."end"')
    stood = made.stood("p", "")
    if made.moving:
        there = 'tstzrange(greatest(p.since, g."start"), least(p.until, g."end"))'
        stood = f"JOIN placed l ON l.device_id = p.device_id AND l.valid && {there}"
        limits = ('g."start", lower(l.valid)', 'g."end", upper(l.valid)')
    seconds = f"date_part('epoch', least(p.until, {limits[1]}) - greatest(p.since, {limits[0]}))"
    of_states = {
        f"{prop.name}_{state}_seconds": f"CASE WHEN p.state = '{state}' THEN greatest({seconds}, 0) ELSE 0 END"
        for state in partials.states_of(prop)
    }
    # Where the state is known, it is also known how often it changed.
    of_states[f"{prop.name}_changes"] = "0"
    return f"""
        {made.row("p.device_id", "g.b", of_states)} FROM ({pieces}) p
        CROSS JOIN LATERAL generate_series(
            {made.bucket("p.since")}, {made.bucket("p.until - interval '1 microsecond'")}
        ) n JOIN edges g ON g.b = n {stood} WHERE p.since < p.until
    """
