"""JSON Schemas and examples of what operators look at, and of what they ask to be done."""

from typing import Any

from usp.api.schemas import BOOLEAN, COUNT, COUNTS, NAMES, NUMBER, TEXT, TIME, all_of, listing, or_null, page, some_of
from usp.models.dataset import Visibility
from usp.models.device import KINDS

Spec = dict[str, Any]

_COUNTED: Spec = {"type": "array", "items": COUNT}
_DELAYS: Spec = {"type": "array", "items": or_null(NUMBER)}
_SERIES = all_of(
    "Items of each step",
    **dict.fromkeys(("received", "stored", "duplicate", "rejected"), _COUNTED),
    **dict.fromkeys(("delay_p50_s", "delay_p95_s"), _DELAYS),
)
_KIND: Spec = {**TEXT, "enum": list(KINDS)}
_VISIBILITY: Spec = {**TEXT, "enum": list(Visibility)}
_POSITION: Spec = {"lon": NUMBER, "lat": NUMBER}
_SILENT = some_of(
    "A silent device",
    ("device", "kind"),
    device=TEXT,
    title=TEXT,
    kind=_KIND,
    site=TEXT,
    site_title=TEXT,
    **_POSITION,
    interval={**NUMBER, "description": "Seconds between two readings."},
    last_time=TIME,
    silent_for_s=NUMBER,
)
_CANDIDATE = all_of(
    "Who waits to be registered",
    network={**TEXT, "description": "Empty where the device speaks for itself."},
    address=TEXT,
    doors=NAMES,
    waiting={**COUNT, "description": "Frames that wait."},
    not_kept={**COUNT, "description": "Frames that came beyond what is kept."},
    first_at=TIME,
    last_at=TIME,
    name={**TEXT, "description": "What its network calls it."},
    application=TEXT,
    model=TEXT,
    tags={"type": "object", "additionalProperties": TEXT},
    sampled_at=or_null(TIME),
    fields={"type": ["object", "null"], "description": "Of the newest message that holds something."},
    port=or_null(COUNT),
    payload=or_null({**TEXT, "description": "Its bytes in hex, where nobody has decoded them."}),
    parent=or_null({**TEXT, "description": "The device of which it is a part."}),
    registered_as=or_null({**TEXT, "description": "The device that has the address meanwhile."}),
    suggestions={
        "type": "array",
        "items": all_of("A profile that understands it", profile=TEXT, known=COUNT, fields=COUNT),
    },
)
_CANDIDATES = listing(_CANDIDATE)
_CANDIDATES["required"] = [*_CANDIDATES["required"], "profiles", "kinds", "sites"]
_CANDIDATES["properties"] |= {
    "profiles": {"type": "array", "items": all_of("Profile", profile=TEXT, title=TEXT, kind=_KIND)},
    "kinds": {
        "type": "object",
        "additionalProperties": all_of("Kind of device", title=TEXT, categories=NAMES, visibility=_VISIBILITY),
    },
    "sites": {"type": "array", "items": all_of("Site", site=TEXT, title=TEXT, **_POSITION)},
}
_APPROVED = some_of(
    "What has been done",
    ("device", "address", "kind", "profile", "visibility", "was_there", "resolved", "refused", "left", "not_kept"),
    device=TEXT,
    address=TEXT,
    title=TEXT,
    kind=_KIND,
    category=TEXT,
    profile=TEXT,
    parent=TEXT,
    visibility=_VISIBILITY,
    retired_at=TIME,
    was_there={**BOOLEAN, "description": "It had been registered before."},
    resolved={**COUNT, "description": "Frames that had waited and are stored now, or were before."},
    refused={**COUNTS, "description": "Frames that stay refused, by reason."},
    left={**COUNT, "description": "Frames that were not reached in time."},
    not_kept=COUNT,
)
_DATABASE = some_of(
    "Database",
    ("postgresql", "unanswered"),
    postgresql=TEXT,
    timescaledb=TEXT,
    licence=or_null(TEXT),
    size_bytes=COUNT,
    connections=all_of("Connections of the server", used=COUNT, most=COUNT),
    oldest_write=or_null(
        all_of(
            "The oldest transaction that writes",
            pid=or_null(COUNT),
            application=TEXT,
            account=or_null(TEXT),
            seconds=or_null(NUMBER),
        )
    ),
    hypertables={
        "type": "array",
        "items": some_of("Table", ("table", "bytes", "chunks"), table=TEXT, rows=COUNT, bytes=COUNT, chunks=COUNT),
    },
    unanswered=NAMES,
)
_STATE = all_of(
    "State",
    database=_DATABASE,
    rollup={
        "type": "array",
        "items": all_of("How far a dataset is rolled up", dataset=TEXT, rolled=TIME, behind_s=NUMBER, marks=COUNT),
    },
    broker=all_of("Broker", addresses=NAMES, workers=COUNT, connected=COUNT, in_flight=COUNT),
    workers={
        "type": "array",
        "items": all_of(
            "Worker", slot=COUNT, host=TEXT, pid=COUNT, started_at=TIME, heartbeat_at=TIME, in_flight=COUNT,
            connected=BOOLEAN, alive=BOOLEAN,
        ),
    },
)  # fmt: skip

#: What each address answers.
OPERATIONS: dict[str, Spec] = {
    "minutes": all_of(
        "The last minutes",
        start=TIME,
        step_s=COUNT,
        steps=COUNT,
        kinds={"type": "object", "additionalProperties": _SERIES},
        total=_SERIES,
    ),
    "silent": page(_SILENT),
    "candidates": _CANDIDATES,
    "approve": _APPROVED,
    "state": _STATE,
}

#: The body that asks for an approval.
APPROVAL: Spec = some_of(
    "Who is to be registered, and as what",
    ("address", "profile"),
    address={**TEXT, "description": "As the list of candidates has it."},
    profile={**TEXT, "description": "The profile of its model."},
    name={**TEXT, "description": "What it is called here; as in its network without."},
    title={**TEXT, "maxLength": 200, "description": "What people call it; as its network does without."},
    kind={**_KIND, "description": "If not the profile's."},
    category=TEXT,
    site={**TEXT, "description": "The site it stands at."},
    **{name: {**NUMBER, "description": "Degrees of its own, WGS 84."} for name in _POSITION},
    approximate={**BOOLEAN, "description": "The position is not exact."},
    visibility=_VISIBILITY,
) | {"additionalProperties": False}

_AT = "2026-11-20T09:00:00Z"
_STEPS: Spec = {
    "received": [202, 198],
    "stored": [200, 198],
    "duplicate": [1, 0],
    "rejected": [1, 0],
    "delay_p50_s": [0.31, 0.3],
    "delay_p95_s": [0.82, 0.8],
}
#: Such a body.
SENSOR: Spec = {"address": "70b3d57ed0000001", "profile": "bosch-tps110", "site": "ponte-lambro"}
#: Answers as the demonstration gives them.
EXAMPLES: dict[str, Any] = {
    "minutes": {"start": _AT, "step_s": 60, "steps": 2, "kinds": {"lamppost": _STEPS}, "total": _STEPS},
    "silent": {
        "data": [
            {"device": "lamp-corso-lodi-1", "title": "Corso Lodi 1", "kind": "lamppost", "site": "corso-lodi",
             "site_title": "Corso Lodi",
             "lon": 9.2121, "lat": 45.4466, "interval": 60.0, "last_time": _AT, "silent_for_s": 734.2},
        ],
        "next": None,
    },
    "candidates": {
        "data": [
            {"network": "lorawan", "address": SENSOR["address"], "doors": ["chirpstack"], "waiting": 50, "not_kept": 0,
             "first_at": _AT, "last_at": _AT, "name": "Stallo 7", "application": "Parcheggi", "model": "Bosch TPS110",
             "tags": {"via": "Bligny"}, "sampled_at": _AT, "fields": None, "port": 1, "payload": "01", "parent": None,
             "registered_as": None, "suggestions": [{"profile": "bosch-tps110", "known": 1, "fields": 1}]},
        ],
        "next": None,
        "profiles": [{"profile": "bosch-tps110", "title": "Bosch TPS110", "kind": "parking_sensor"}],
        "kinds": {"parking_sensor": {"title": "Parking sensor", "categories": ["logistics"], "visibility": "open"}},
        "sites": [{"site": "ponte-lambro", "title": "Ponte Lambro", "lon": 9.2604, "lat": 45.4398}],
    },
    "approve": {
        "device": "stallo-7", "address": SENSOR["address"], "title": "Stallo 7", "kind": "parking_sensor",
        "profile": SENSOR["profile"], "visibility": "open", "was_there": False, "resolved": 50, "refused": {},
        "left": 0, "not_kept": 0,
    },
    "state": {
        "database": {
            "postgresql": "17.11", "timescaledb": "2.19.3", "licence": "apache", "size_bytes": 83120128,
            "connections": {"used": 21, "most": 97},
            "oldest_write": {"pid": 4711, "application": "usp-ingest", "account": "usp", "seconds": 0.2},
            "hypertables": [{"table": "air_quality", "rows": 182004, "bytes": 28311552, "chunks": 2}],
            "unanswered": [],
        },
        "rollup": [{"dataset": "air_quality", "rolled": _AT, "behind_s": 734.0, "marks": 0}],
        "broker": {"addresses": ["127.0.0.1:1883"], "workers": 1, "connected": 1, "in_flight": 12},
        "workers": [
            {"slot": 0, "host": "city", "pid": 4242, "started_at": _AT, "heartbeat_at": _AT, "in_flight": 12,
             "connected": True, "alive": True},
        ],
    },
}  # fmt: skip
