"""SQLAlchemy tables derived from the declarations: a hypertable, a latest and an hourly table for each dataset.

Nothing here runs at run time but the names: asyncpg moves the data. `ddl()` is what a migrated database must equal;
the revisions in `migrations/` hold literal statements and never import this module.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, REAL, TSTZRANGE, ExcludeConstraint, dialect
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeEngine

from usp.models.dataset import ROW_FLAG_NAMES, VISIBILITY_ORDER, Dataset, Property, ValueType, Visibility
from usp.models.datasets import DATASETS
from usp.models.device import IDENTIFIER, KINDS, NEVER_OPEN
from usp.models.partials import columns_of

SCHEMA = "usp"

#: A week of a thousand devices at one reading a minute is ten million rows; its index still fits in memory.
CHUNK = timedelta(days=7)
HOURLY_CHUNK = timedelta(days=90)

#: Each schema of views, the role that reads it, and what that role may see at most.
READERS = {
    "open": ("usp_open", Visibility.OPEN),
    "restricted": ("usp_restricted", Visibility.RESTRICTED),
    "ops": ("usp_ops", Visibility.OPS),
}
WRITER = "usp_writer"

#: Nothing older is ever taken in.
BEGINNING = "2000-01-01 00:00:00+00"

#: Ingest workers say every second that they live; one that has not for so long is dead.
DEAD_AFTER_S = 10.0

metadata = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    },
)

_TYPES: dict[ValueType, TypeEngine[Any]] = {
    ValueType.REAL: REAL(),
    ValueType.DOUBLE: Double(),
    ValueType.BOOLEAN: Boolean(),
    ValueType.TEXT: Text(),
}
_TIME = DateTime(timezone=True)
_OTHER_TYPES: dict[str, TypeEngine[Any]] = {"integer": Integer(), "timestamptz": _TIME}


def _now(name: str) -> Column[object]:
    return Column(name, _TIME, nullable=False, server_default=text("now()"))


def _text(name: str, *, default: str | None = "", nullable: bool = False) -> Column[object]:
    return Column(name, Text, nullable=nullable, server_default=None if default is None else text(f"'{default}'"))


def _one_of(column: str, values: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{v}'" for v in values)
    return f"{column} IN ({listed})"


def _slug(name: str) -> Column[object]:
    # Byte order, so that every client and every server sort names alike.
    return Column(name, Text(collation="C"), nullable=False, unique=True)


profile = Table(
    "profile",
    metadata,
    Column("name", Text(collation="C"), primary_key=True),
    _text("title"),
    _text("kind", default=None),
    Column("interval", Double),
    Column("max_hold", Double, nullable=False),
    Column("definition", JSONB, nullable=False),
    CheckConstraint(_one_of("kind", tuple(KINDS)), name="kind"),
)

device = Table(
    "device",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    _slug("name"),
    _text("title"),
    _text("kind", default=None),
    _text("category", default=None, nullable=True),
    Column("profile", Text(collation="C"), ForeignKey("usp.profile.name"), nullable=False),
    Column("parent", Integer, ForeignKey("usp.device.id")),
    _text("visibility", default="open"),
    _now("registered_at"),
    Column("retired_at", _TIME),
    CheckConstraint(f"name ~ '^{IDENTIFIER.pattern}$'", name="name"),
    CheckConstraint(_one_of("kind", tuple(KINDS)), name="kind"),
    CheckConstraint(_one_of("visibility", tuple(Visibility)), name="visibility"),
    CheckConstraint(
        " OR ".join(
            [
                "category IS NULL",
                *(
                    f"(kind = '{k.name}' AND {_one_of('category', k.categories)})"
                    for k in KINDS.values()
                    if k.categories
                ),
            ]
        ),
        name="category",
    ),
    CheckConstraint(f"category IS DISTINCT FROM '{NEVER_OPEN}' OR visibility <> 'open'", name="privacy"),
    Index(None, "parent"),
)

site = Table(
    "site",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    _slug("name"),
    _text("title"),
    _text("address"),
    Column("lon", Double, nullable=False),
    Column("lat", Double, nullable=False),
    Column("approximate", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint(f"name ~ '^{IDENTIFIER.pattern}$'", name="name"),
    CheckConstraint("lon BETWEEN -180 AND 180 AND lat BETWEEN -90 AND 90", name="position"),
)

placement = Table(
    "placement",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("device", Integer, ForeignKey("usp.device.id"), nullable=False),
    Column("site", Integer, ForeignKey("usp.site.id")),
    Column("lon", Double),
    Column("lat", Double),
    Column("approximate", Boolean, nullable=False, server_default=text("false")),
    Column("valid", TSTZRANGE, nullable=False),
    CheckConstraint("lon BETWEEN -180 AND 180 AND lat BETWEEN -90 AND 90", name="position"),
    CheckConstraint("(lon IS NULL) = (lat IS NULL)", name="pair"),
    CheckConstraint("NOT isempty(valid)", name="valid"),
    ExcludeConstraint(("device", "="), ("valid", "&&"), name="placement_device_valid_excl"),
    Index(None, "site"),
)

device_address = Table(
    "device_address",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    _text("network", default=None),
    _text("address", default=None),
    Column("device", Integer, ForeignKey("usp.device.id"), nullable=False),
    Column("valid", TSTZRANGE, nullable=False),
    CheckConstraint("NOT isempty(valid)", name="valid"),
    ExcludeConstraint(
        ("network", "="), ("address", "="), ("valid", "&&"), name="device_address_network_address_valid_excl"
    ),
    Index(None, "device"),
)

unmapped_field = Table(
    "unmapped_field",
    metadata,
    Column("device", Integer, ForeignKey("usp.device.id"), primary_key=True, autoincrement=False),
    Column("field", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    _text("last_value", default=None),
    Column("last_at", _TIME, nullable=False),
)

token = Table(
    "token",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    _now("created_at"),
    Column("expires_at", _TIME),
    Column("revoked_at", _TIME),
)

rejection = Table(
    "rejection",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("received_at", _TIME, nullable=False),
    _text("door", default=None),
    _text("topic"),
    _text("address"),
    Column("device", Integer, ForeignKey("usp.device.id")),
    _text("dataset"),
    _text("field"),
    _text("reason", default=None),
    _text("detail"),
    Column("whole_item", Boolean, nullable=False),
    Column("payload", LargeBinary),
    Column("payload_length", Integer, nullable=False),
    Column("payload_sha256", LargeBinary),
    Column("resolved_at", _TIME),
    Column("replayed_at", _TIME),
    Index(None, "received_at"),
    Index(None, "address", "reason"),
)

rejection_tally = Table(
    "rejection_tally",
    metadata,
    Column("door", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("kept", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("first_at", _TIME, nullable=False),
    Column("last_at", _TIME, nullable=False),
    # Of those kept, how many wait no longer: others are kept in their place.
    Column("freed", BigInteger, nullable=False, server_default=text("0")),
)


def _counts(name: str, *leading: Column[object]) -> Table:
    key = [Column(c, Text, primary_key=True) for c in ("door", "kind", "dataset", "what", "reason")]
    slot: Column[object] = Column("slot", SmallInteger, primary_key=True, autoincrement=False)
    return Table(
        name,
        metadata,
        *leading,
        slot,
        *key,
        Column("count", BigInteger, nullable=False),
        # Each commit rewrites a few rows: room for heap-only updates on the same page.
        postgresql_with={"fillfactor": 50},
    )


ingest_total = _counts("ingest_total")
ingest_minute = _counts("ingest_minute", Column("minute", _TIME, primary_key=True))

batch = Table(
    "batch",
    metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("token", BigInteger, nullable=False),
    postgresql_with={"fillfactor": 50},
)

worker = Table(
    "worker",
    metadata,
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    _text("host", default=None),
    Column("pid", Integer, nullable=False),
    Column("started_at", _TIME, nullable=False),
    Column("heartbeat_at", _TIME, nullable=False),
    Column("in_flight", Integer, nullable=False),
    Column("connected", Boolean, nullable=False),
)

#: How far the hourly partials of a dataset have come. Every row from `rolled` on is only among the raw ones; writers
#: mark the hours of rows that lie before `announced`; raw rows before `raw_from` may be gone.
rollup = Table(
    "rollup",
    metadata,
    Column("dataset", Text, primary_key=True),
    *(
        Column(name, _TIME, nullable=False, server_default=text(f"'{BEGINNING}'"))
        for name in ("announced", "rolled", "raw_from")
    ),
    Column("version", SmallInteger, nullable=False, server_default=text("0")),
)

# Without a unique key, and consumed by id: a mark that was merged into a standing one would get lost when that one is
# consumed at the same time.
rollup_mark = Table(
    "rollup_mark",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _text("dataset", default=None),
    Column("device", Integer, nullable=False),
    Column("hour", _TIME, nullable=False),
    Index(None, "dataset", "device", "hour"),
)

#: By which of its profile's rules a device's partials were made: its maximum hold and its registers' moduli.
rollup_rules = Table(
    "rollup_rules",
    metadata,
    Column("device", Integer, primary_key=True, autoincrement=False),
    _text("rules", default=None),
)

device_day = Table(
    "device_day",
    metadata,
    Column("day", Date, primary_key=True),
    Column("device", Integer, primary_key=True, autoincrement=False),
    Column("duplicate", BigInteger, nullable=False, server_default=text("0")),
    Column("rejected", BigInteger, nullable=False, server_default=text("0")),
    postgresql_with={"fillfactor": 50},
)


def _value_column(prop: Property, suffix: str = "") -> Column[object]:
    return Column(prop.name + suffix, _TYPES[prop.type])


def _int(name: str) -> Column[object]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


def _device_column(*, primary_key: bool = False) -> Column[object]:
    # No foreign key: it would cost a look-up for every row, and no device is ever deleted.
    return Column("device", Integer, nullable=False, autoincrement=False, primary_key=primary_key)


def _hypertable(dataset: Dataset) -> Table:
    period = [Column("period", REAL, nullable=False)] if dataset.interval else []
    return Table(
        dataset.name,
        metadata,
        Column("time", _TIME, nullable=False),
        _device_column(),
        *period,
        *(_value_column(p) for p in dataset.properties),
        _int("flagged"),
        _int("flags"),
        Column("received_at", _TIME, nullable=False),
        Index(f"{dataset.name}_device_time_key", "device", "time", unique=True),
    )


def _latest(dataset: Dataset) -> Table:
    columns: list[Column[object]] = []
    for prop in dataset.properties:
        columns += [
            _value_column(prop),
            Column(f"{prop.name}_time", _TIME),
            Column(f"{prop.name}_flags", SmallInteger),
        ]
        if dataset.interval:
            columns.append(Column(f"{prop.name}_period", REAL))
    return Table(
        f"{dataset.name}_latest",
        metadata,
        _device_column(primary_key=True),
        *columns,
        Column("received_at", _TIME, nullable=False),
        postgresql_with={"fillfactor": 50},
    )


def _hourly(dataset: Dataset) -> Table:
    columns = [
        Column(name, _TYPES[type_] if isinstance(type_, ValueType) else _OTHER_TYPES[type_])
        for prop in dataset.properties
        for name, type_ in columns_of(prop)
    ]
    return Table(
        f"{dataset.name}_hourly",
        metadata,
        Column("hour", _TIME, nullable=False),
        _device_column(),
        Column("version", SmallInteger, nullable=False),
        # How many rows had exactly these properties, as bits: the only way to count, exactly and later, the rows
        # that have at least one of any chosen few.
        Column("present", ARRAY(Integer), nullable=False),
        Column("present_count", ARRAY(Integer), nullable=False),
        *columns,
        Index(f"{dataset.name}_hourly_device_hour_key", "device", "hour", unique=True),
    )


hypertables: dict[str, Table] = {d.name: _hypertable(d) for d in DATASETS.values()}
latest: dict[str, Table] = {d.name: _latest(d) for d in DATASETS.values()}
hourly: dict[str, Table] = {d.name: _hourly(d) for d in DATASETS.values()}


def reading_view(dataset: Dataset, schema: str) -> str:
    """The view through which readings of a dataset are read in `schema`: its rows, columns and flag bits."""
    shown = dataset.visible(READERS[schema][1])
    columns = ["r.time", "r.device AS device_id", "d.name AS device"]
    columns += ["r.period"] if dataset.interval else []
    columns += [f"r.{p.name}" for p in shown]
    flagged, flags = "r.flagged", "r.flags"
    if len(shown) < len(dataset.properties):
        bits = sum(dataset.bit[p.name] for p in shown)
        coded = sum(dataset.bottom_bit.get(p.name, 0) for p in shown)
        flagged = f"r.flagged & {bits} AS flagged"
        flags = f"r.flags & {sum(ROW_FLAG_NAMES) | coded} AS flags"
    return _view(dataset, schema, dataset.name, [*columns, flagged, flags, "r.received_at"])


def latest_view(dataset: Dataset, schema: str) -> str:
    """The view of each device's newest values; `time` is the newest of those that are shown.

    `changed` holds the low 32 bits of the number of the transaction that wrote the row.
    """
    shown = dataset.visible(READERS[schema][1])
    suffixes = ("", "_time", "_flags", "_period") if dataset.interval else ("", "_time", "_flags")
    newest = ", ".join(f"r.{p.name}_time" for p in shown)
    columns = ["r.device AS device_id", "d.name AS device", f"greatest({newest}) AS time"]
    columns += [f"r.{p.name}{suffix}" for p in shown for suffix in suffixes]
    # PostgreSQL's own mark costs the writer nothing, and no row restored from a dump carries one of another server.
    columns += ["r.xmin::text::bigint AS changed", "d.retired_at"]
    return _view(dataset, schema, f"{dataset.name}_latest", columns)


def hourly_view(dataset: Dataset, schema: str) -> str:
    """The view of hourly partials, with the bits of hidden properties taken out of `present`."""
    shown = dataset.visible(READERS[schema][1])
    present = "r.present"
    if len(shown) < len(dataset.properties):
        bits = sum(dataset.bit[p.name] for p in shown)
        present = f"ARRAY(SELECT u.m & {bits} FROM unnest(r.present) WITH ORDINALITY u(m, n) ORDER BY u.n) AS present"
    columns = ["r.hour", "r.device AS device_id", present, "r.present_count"]
    columns += [f"r.{name}" for p in shown for name, _ in columns_of(p)]
    return _view(dataset, schema, f"{dataset.name}_hourly", columns, seen="(r.{0}_count > 0 OR r.{0}_flagged > 0)")


def _view(dataset: Dataset, schema: str, table: str, columns: list[str], seen: str = "r.{0} IS NOT NULL") -> str:
    rows = device_filter(schema)
    shown = dataset.visible(READERS[schema][1])
    if len(shown) < len(dataset.properties):
        # A row of which nothing may be seen is no row.
        rows += f" AND ({' OR '.join(seen.format(p.name) for p in shown)})"
    return (
        f"CREATE VIEW {schema}.{table} WITH (security_barrier) AS SELECT {', '.join(columns)} "
        f"FROM usp.{table} r JOIN usp.device d ON d.id = r.device WHERE {rows}"
    )


def device_filter(schema: str) -> str:
    """Which devices `d` are visible in `schema`."""
    visible = tuple(VISIBILITY_ORDER[: VISIBILITY_ORDER.index(READERS[schema][1]) + 1])
    return _one_of("d.visibility", visible) if len(visible) > 1 else f"d.visibility = '{visible[0]}'"


def registry_views(schema: str) -> list[str]:
    """Devices, sites and placements as `schema` shows them, without hidden parents and sites of hidden devices."""
    seen = device_filter(schema)
    parent = seen.replace("d.", "p.")
    return [
        f"CREATE VIEW {schema}.device WITH (security_barrier) AS SELECT d.id, d.name, d.title, d.kind, d.category, "
        "d.profile, p.id AS parent_id, p.name AS parent, f.interval, f.max_hold, d.registered_at, d.retired_at, "
        "f.definition -> 'registers' AS registers "
        "FROM usp.device d JOIN usp.profile f ON f.name = d.profile "
        f"LEFT JOIN usp.device p ON p.id = d.parent AND {parent} WHERE {seen}",
        f"CREATE VIEW {schema}.placement WITH (security_barrier) AS SELECT l.device AS device_id, l.site AS site_id, "
        "s.name AS site, coalesce(l.lon, s.lon) AS lon, coalesce(l.lat, s.lat) AS lat, "
        "CASE WHEN l.lon IS NULL THEN coalesce(s.approximate, false) ELSE l.approximate END AS approximate, l.valid "
        f"FROM usp.placement l JOIN usp.device d ON d.id = l.device LEFT JOIN usp.site s ON s.id = l.site WHERE {seen}",
        f"CREATE VIEW {schema}.site WITH (security_barrier) AS SELECT s.id, s.name, s.title, s.address, s.lon, s.lat, "
        "s.approximate FROM usp.site s WHERE EXISTS (SELECT FROM usp.placement l JOIN usp.device d "
        f"ON d.id = l.device WHERE l.site = s.id AND {seen})",
    ]


def rollup_views(schema: str) -> list[str]:
    """How far the hourly partials of the visible datasets have come, and what of visible devices waits for repair."""
    at_most = READERS[schema][1]
    datasets = _one_of("r.dataset", tuple(d.name for d in DATASETS.values() if d.visible(at_most)))
    return [
        f"CREATE VIEW {schema}.rollup WITH (security_barrier) AS SELECT r.dataset, r.rolled, r.raw_from "
        f"FROM usp.rollup r WHERE {datasets}",
        f"CREATE VIEW {schema}.rollup_mark WITH (security_barrier) AS SELECT r.dataset, r.device AS device_id, r.hour "
        "FROM usp.rollup_mark r JOIN usp.rollup u ON u.dataset = r.dataset JOIN usp.device d ON d.id = r.device "
        # An hour whose raw rows are gone is never made anew.
        f"WHERE r.hour >= u.raw_from AND {device_filter(schema)} AND {datasets}",
        f"CREATE VIEW {schema}.device_day WITH (security_barrier) AS SELECT r.day, r.device AS device_id, r.duplicate, "
        f"r.rejected FROM usp.device_day r JOIN usp.device d ON d.id = r.device WHERE {device_filter(schema)}",
    ]


def rejection_views() -> list[str]:
    """What was refused, as operators see it: everything, with the names of devices."""
    return [
        "CREATE VIEW ops.rejection AS SELECT r.id, r.received_at, r.door, r.topic, r.address, d.name AS device, "
        "r.dataset, r.field, r.reason, r.detail, r.whole_item, r.payload, r.payload_length, r.payload_sha256, "
        "r.replayed_at, r.resolved_at FROM usp.rejection r LEFT JOIN usp.device d ON d.id = r.device",
        "CREATE VIEW ops.rejection_tally AS SELECT door, address, reason, kept, total, first_at, last_at "
        "FROM usp.rejection_tally",
    ]


def roles() -> list[str]:
    """Roles are shared by all databases of a server: made where missing, also by two migrations at once."""
    # Asked first, since an account that may make no roles can still use those that an administrator has made.
    make = (
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{0}') THEN CREATE ROLE {0} NOLOGIN; END IF; "
        "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
    # Since PostgreSQL 16 whoever makes a role is its member without being allowed to become it.
    join = (
        "DO $$ BEGIN IF NOT pg_has_role('{0}', "
        "CASE WHEN current_setting('server_version_num')::integer < 160000 THEN 'MEMBER' ELSE 'SET' END) "
        "THEN GRANT {0} TO CURRENT_USER; END IF; END $$"
    )
    names = [WRITER, *(role for role, _ in READERS.values())]
    return [statement.format(name) for statement in (make, join) for name in names]


def grants() -> list[str]:
    """What each role may do: readers their own views, the writer the tables."""
    statements = [
        f"GRANT USAGE ON SCHEMA {SCHEMA} TO {WRITER}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {WRITER}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {WRITER}",
    ]
    for schema, (role, _) in READERS.items():
        statements += [
            f"GRANT USAGE ON SCHEMA {schema} TO {role}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}",
        ]
    return statements


def ddl() -> Iterator[str]:
    """Every statement that makes an empty database with TimescaleDB into one of this version's."""
    yield "CREATE EXTENSION IF NOT EXISTS timescaledb"
    yield "CREATE EXTENSION IF NOT EXISTS btree_gist"
    yield from roles()
    for schema in (SCHEMA, *READERS):
        yield f"CREATE SCHEMA IF NOT EXISTS {schema}"
    postgresql: Any = dialect()  # type: ignore[no-untyped-call]
    for table in metadata.sorted_tables:
        yield str(CreateTable(table).compile(dialect=postgresql)).strip()
        for index in sorted(table.indexes, key=lambda i: str(i.name)):
            yield str(CreateIndex(index).compile(dialect=postgresql)).strip()
    for name in DATASETS:
        for table_name, column, chunk in ((name, "time", CHUNK), (f"{name}_hourly", "hour", HOURLY_CHUNK)):
            yield (
                f"SELECT create_hypertable('{SCHEMA}.{table_name}', "
                f"by_range('{column}', INTERVAL '{chunk.days} days'), create_default_indexes => false)"
            )
    names = ", ".join(f"('{name}')" for name in DATASETS)
    yield f"INSERT INTO {SCHEMA}.rollup (dataset) VALUES {names}"
    for schema, (_, at_most) in READERS.items():
        yield from registry_views(schema)
        for dataset in DATASETS.values():
            if dataset.visible(at_most):
                yield reading_view(dataset, schema)
                yield latest_view(dataset, schema)
                yield hourly_view(dataset, schema)
        yield from rollup_views(schema)
    yield from rejection_views()
    yield from grants()
