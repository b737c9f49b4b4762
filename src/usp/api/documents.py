"""JSON Schemas of answers that are single documents: one dataset, device or site, and how the platform is doing."""

from typing import Any

from usp.api.ops_document import OPERATIONS
from usp.api.schemas import BOOLEAN, COUNT, COUNTS, NAMES, NUMBER, TEXT, TIME, all_of, listing, or_null, some_of
from usp.models.dataset import Aggregation, ValueType
from usp.models.device import KINDS

Spec = dict[str, Any]

_SPAN = {"first": TIME, "last": TIME}
_PROPERTY = some_of(
    "Property",
    ("name", "title", "type", "aggregation"),
    name=TEXT,
    title=TEXT,
    unit=TEXT,
    type={**TEXT, "enum": [t.value for t in ValueType]},
    aggregation={**TEXT, "enum": [a.value for a in Aggregation]},
    weight={**TEXT, "description": "The property by which a mean is weighted."},
    range={
        "type": "object",
        "properties": {"min": or_null(NUMBER), "max": or_null(NUMBER)},
        "description": "What is plausible; beyond it a value is flagged.",
    },
    states=NAMES,
)
_DATASET = all_of(
    "Dataset",
    name=TEXT,
    title=TEXT,
    description=TEXT,
    licence={**TEXT, "description": "SPDX identifier."},
    attribution=TEXT,
    kinds=NAMES,
    interval={**BOOLEAN, "description": "Whether `time` is the start of an interval, `period` seconds long."},
    extent=or_null({"type": "object", "properties": _SPAN, "required": list(_SPAN)}),
    properties={"type": "array", "items": _PROPERTY},
)
_PLACE: Spec = {
    "site": TEXT,
    "lon": {**NUMBER, "description": "Degrees, WGS 84."},
    "lat": {**NUMBER, "description": "Degrees, WGS 84."},
    "approximate": BOOLEAN,
}
_PLACEMENT = some_of("Placement", (), **_PLACE, **{"from": TIME, "to": TIME})
_DEVICE = some_of(
    "Device",
    ("device", "kind", "profile", "registered_at", "datasets", "place", "placements", "children"),
    device=TEXT,
    title=TEXT,
    kind={**TEXT, "enum": list(KINDS)},
    category=TEXT,
    profile=TEXT,
    parent=TEXT,
    interval={**NUMBER, "description": "Seconds between two readings."},
    max_hold={**NUMBER, "description": "Seconds for which a state is believed where nothing more is heard."},
    registered_at=TIME,
    retired_at=TIME,
    datasets={"type": "array", "items": some_of("Reported", ("dataset",), dataset=TEXT, last_time=TIME)},
    place=or_null(_PLACEMENT),
    placements={"type": "array", "items": _PLACEMENT},
    children=NAMES,
)
_SITE = some_of("Site", ("site", "devices"), **_PLACE, title=TEXT, address=TEXT, devices=NAMES)

_CHECK = all_of("Dependency", status={**TEXT, "enum": ["ok", "failing"]}, critical=BOOLEAN, detail=TEXT)
_RATES = all_of("Per second, over as many minutes", **dict.fromkeys(("1m", "5m", "60m"), NUMBER))
_ITEMS: Spec = dict.fromkeys(("received", "stored", "duplicate", "rejected", "events", "values_refused"), COUNT)
_DELAYS: Spec = {
    "last_event": or_null(TIME),
    "delay_p50_s": or_null(NUMBER),
    "delay_p95_s": or_null(NUMBER),
    "delay_over_3600_s": COUNT,
}
_DEVICES: Spec = dict.fromkeys(("expected", "reporting", "silent"), COUNT)
_KIND = all_of("Kind", **_DEVICES, **_ITEMS, rejected_by_reason=COUNTS, rates=_RATES, **_DELAYS)
_STORED = all_of("Rows", rows=COUNT, row_rates=_RATES, **_DELAYS)
_WORKER = all_of(
    "Worker", slot=COUNT, started_at=TIME, heartbeat_at=TIME, in_flight=COUNT, connected=BOOLEAN, alive=BOOLEAN
)
_INGEST = all_of(
    "Figures of ingest",
    totals=all_of("Items", **_ITEMS, in_flight=COUNT),
    rejected_by_reason=COUNTS,
    values_refused_by_reason=COUNTS,
    events_by_kind=COUNTS,
    rates=_RATES,
    kinds={"type": "object", "additionalProperties": _KIND},
    datasets={"type": "object", "additionalProperties": _STORED},
    workers={"type": "array", "items": _WORKER},
)

_SHARE = or_null({**NUMBER, "minimum": 0, "description": "Of the rows expected, or of the time in which it is known."})
_RAW: Spec = {
    "from": {**TIME, "description": "Raw rows before this are not looked at, or gone."},
    "rows": COUNT,
    "late": {**COUNT, "description": "Rows that came more than an hour after they were measured."},
    "delay_p50_s": or_null(NUMBER),
    "delay_p95_s": or_null(NUMBER),
    "time": all_of(
        "Whose clock told the time, in rows", **dict.fromkeys(("device", "arrival", "network", "gateway"), COUNT)
    ),
}
_COUNTED: Spec = {"property": TEXT, "count": COUNT, "flagged": COUNT, "bottom_coded": COUNT}
_NEEDED = ("property", "count", "flagged")
_STUCK = all_of("A value that does not change", value=NUMBER, since=TIME, readings=COUNT)
_FRESH: Spec = {"last_time": or_null(TIME), "age_s": or_null(NUMBER)}
_COMPLETE: Spec = {"count": COUNT, "expected": or_null(COUNT), "completeness": _SHARE, "flagged": COUNT}
_OF_DAYS: Spec = {**COUNT, "description": "Items, on the days of UTC that meet the window."}
_ITEMS_OF_DAYS: Spec = {"duplicate": _OF_DAYS, "rejected": _OF_DAYS}
_RADIO = all_of(
    "Frames by radio, for operators",
    frames=COUNT,
    compared=COUNT,
    frames_lost=COUNT,
    share_lost=or_null(NUMBER),
)
_FLAGS: Spec = {"type": "object", "additionalProperties": TEXT, "description": "The flags that occur, in words."}
_OF_DEVICE = all_of(
    "Quality of a dataset of a device",
    dataset=TEXT,
    **_FRESH,
    **_COMPLETE,
    raw=all_of("Figures of raw rows", **_RAW),
    properties={"type": "array", "items": some_of("Quality of a property", _NEEDED, **_COUNTED, stuck=_STUCK)},
)
_FAULTS = ("silent", "incomplete", "stuck", "flagged")
_WORST = all_of(
    "A device with faults",
    device=TEXT,
    why={"type": "array", "items": {**TEXT, "enum": list(_FAULTS)}},
    last_time=TIME,
    completeness=_SHARE,
    flagged=COUNT,
    stuck=NAMES,
)
_WINDOW: Spec = {"from": TIME, "to": TIME}
_DEVICE_QUALITY = some_of(
    "Quality of a device",
    ("device", "from", "to", "duplicate", "rejected", "datasets", "flags"),
    device=TEXT,
    **_WINDOW,
    **_ITEMS_OF_DAYS,
    radio=_RADIO,
    datasets={"type": "array", "items": _OF_DEVICE},
    flags=_FLAGS,
)
_DATASET_QUALITY = some_of(
    "Quality of a dataset",
    ("dataset", "from", "to", "devices", *_FRESH, *_COMPLETE, "raw", "properties", *_ITEMS_OF_DAYS, "worst", "flags"),
    dataset=TEXT,
    **_WINDOW,
    devices=all_of("Devices", **_DEVICES, flagged=COUNT, stuck=COUNT),
    **_FRESH,
    **_COMPLETE,
    raw=all_of("Figures of raw rows", devices={**COUNT, "description": "How many devices they are of."}, **_RAW),
    properties={
        "type": "array",
        "items": some_of("Quality of a property", (*_NEEDED, "stuck_devices"), **_COUNTED, stuck_devices=COUNT),
    },
    **_ITEMS_OF_DAYS,
    radio=_RADIO,
    worst={"type": "array", "items": _WORST},
    flags=_FLAGS,
)

#: What each address answers.
DOCUMENTS: dict[str, Spec] = {
    "datasets": listing(_DATASET),
    "dataset": _DATASET,
    "dataset_quality": _DATASET_QUALITY,
    "device": _DEVICE,
    "device_quality": _DEVICE_QUALITY,
    "site": _SITE,
    "live": all_of("Liveness", status={**TEXT, "const": "alive"}),
    "ready": all_of(
        "Readiness",
        status={**TEXT, "const": "ready"},
        dependencies={"type": "object", "additionalProperties": _CHECK},
    ),
    "ingest": _INGEST,
    **OPERATIONS,
}
