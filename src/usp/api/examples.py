"""Examples of the documentation: names of the demonstration, and answers as it gives them."""

import json
from typing import Any

from usp.api.ops_document import EXAMPLES
from usp.api.problems import MEDIA_TYPE
from usp.models.dataset import FLAG_WORDS
from usp.models.reasons import EXPLANATIONS, Reason

DATASET = "air_quality"
DEVICE = "lamp-corso-lodi-1"
SITE = "corso-lodi"

_PLACE = {"site": SITE, "lon": 9.2121, "lat": 45.4466}
_TIME = "2026-11-20T09:00:00Z"

_PROPERTY = {
    "name": "pm2_5",
    "title": "Particles below 2.5 µm",
    "unit": "µg/m³",
    "type": "real",
    "aggregation": "mean",
    "range": {"min": 0, "max": 1000},
}
_DATASET: dict[str, Any] = {
    "name": DATASET,
    "title": "Air quality",
    "description": "Particulate matter and gases in outdoor air, measured on smart lampposts.",
    "licence": "CC-BY-4.0",
    "attribution": "Comune di Milano, Sharing Cities",
    "kinds": ["lamppost"],
    "interval": False,
    "extent": {"first": "2026-11-13T09:00:00Z", "last": _TIME},
    "properties": [_PROPERTY],
}
_DEVICE = {"device": DEVICE, "title": "Corso Lodi 1", "kind": "lamppost"}
_LAMPPOST = ["air_quality", "weather", "noise", "traffic", "lighting", "wifi"]
_ITEMS = {
    "received": 182004,
    "stored": 181950,
    "duplicate": 51,
    "rejected": 3,
    "events": 0,
    "values_refused": 2,
}
_RATES = {"1m": 3.4, "5m": 3.3, "60m": 3.3}
_DELAYS = {"delay_p50_s": 0.31, "delay_p95_s": 0.82, "delay_over_3600_s": 0}

_LATE = {"late": FLAG_WORDS["late"]}
_WINDOW = {"from": "2026-11-19T10:00:00Z", "to": "2026-11-20T10:00:00Z"}
_COMPLETE = {"last_time": _TIME, "age_s": 12.4, "count": 1426, "expected": 1440, "completeness": 0.9903, "flagged": 3}
_SOURCES = {"device": 1426, "arrival": 0, "network": 0, "gateway": 0}
_RAW = {
    "from": _WINDOW["from"],
    "rows": 1426,
    "late": 2,
    "delay_p50_s": 0.31,
    "delay_p95_s": 0.82,
    "time": _SOURCES,
}
_STUCK = {"value": 31.0, "since": "2026-11-20T03:00:00Z", "readings": 361}
_OF_PM2_5 = {"property": "pm2_5", "count": 1423, "flagged": 3}

_REJECTION: dict[str, Any] = {
    "id": 1,
    "received_at": _TIME,
    "door": "mqtt",
    "topic": "usp/v1/lamp-corso-lodi-9/up",
    "address": "lamp-corso-lodi-9",
    "reason": "unknown_device",
    "detail": "No device is called 'lamp-corso-lodi-9'.",
    "whole_item": True,
    "payload": f'{{"time":"{_TIME}","pm2_5":12.1}}',
    "payload_encoding": "utf-8",
    "payload_length": 45,
}

#: What each address answers.
JSON: dict[str, Any] = {
    "datasets": {"data": [_DATASET], "next": None},
    "dataset": _DATASET,
    "dataset_quality": {
        "dataset": DATASET,
        **_WINDOW,
        "devices": {"expected": 20, "reporting": 19, "silent": 1, "flagged": 1, "stuck": 1},
        **_COMPLETE,
        "count": 27360,
        "expected": 28800,
        "completeness": 0.95,
        "raw": {"devices": 20, **_RAW, "rows": 27360, "time": {**_SOURCES, "device": 27360}},
        "properties": [{**_OF_PM2_5, "count": 27357, "stuck_devices": 1}],
        "duplicate": 4,
        "rejected": 1,
        "worst": [
            {
                "device": DEVICE,
                "why": ["stuck", "flagged"],
                "last_time": _TIME,
                "completeness": 0.9903,
                "flagged": 3,
                "stuck": ["no2"],
            }
        ],
        "flags": _LATE,
    },
    "device_quality": {
        "device": DEVICE,
        **_WINDOW,
        "duplicate": 2,
        "rejected": 1,
        "datasets": [
            {
                "dataset": DATASET,
                **_COMPLETE,
                "raw": _RAW,
                "properties": [_OF_PM2_5, {"property": "no2", "count": 1426, "flagged": 0, "stuck": _STUCK}],
            }
        ],
        "flags": _LATE,
    },
    "readings": {
        "data": [
            {"time": _TIME, "device": DEVICE, **_PLACE, "pm2_5": 12.1, "no2": 31.0, "flags": []},
            {
                "time": "2026-11-20T09:01:00Z",
                "device": DEVICE,
                **_PLACE,
                "pm10": 1840.0,
                "flags": ["pm10:out_of_range"],
            },
        ],
        "next": None,
    },
    "latest": {
        "data": [
            {
                "device": DEVICE,
                "time": _TIME,
                **_PLACE,
                "pm2_5": 12.1,
                "pm2_5_time": _TIME,
                "no2": 31.0,
                "no2_time": _TIME,
                "flags": [],
            }
        ],
        "next": None,
    },
    "devices": {
        "data": [
            {**_DEVICE, **_PLACE, "approximate": True, "interval": 60.0, "max_hold": 90000.0, "datasets": _LAMPPOST}
        ],
        "next": None,
    },
    "device": {
        **_DEVICE,
        "profile": "milan-lamppost",
        "interval": 60.0,
        "max_hold": 90000.0,
        "registered_at": "2026-11-13T08:00:00Z",
        "datasets": [{"dataset": DATASET, "last_time": _TIME}],
        "place": {**_PLACE, "approximate": True},
        "placements": [{**_PLACE, "approximate": True}],
        "children": [],
    },
    "sites": {
        "data": [
            {
                "site": SITE,
                "title": "Corso Lodi",
                "lon": 9.2121,
                "lat": 45.4466,
                "approximate": True,
                "devices": 8,
            }
        ],
        "next": None,
    },
    "site": {
        "site": SITE,
        "title": "Corso Lodi",
        "lon": 9.2121,
        "lat": 45.4466,
        "approximate": True,
        "devices": ["bay-corso-lodi-1", DEVICE],
    },
    "rejections": {"data": [_REJECTION], "next": None},
    "rejection": {**_REJECTION, "explanation": EXPLANATIONS[Reason.UNKNOWN_DEVICE]},
    "rejection_stats": {
        "data": [
            {"reason": "unknown_device", "open": 8, "resolved": 632, "kept": 640, "total": 640, "last": _TIME},
        ],
        "next": None,
    },
    "live": {"status": "alive"},
    "ready": {
        "status": "ready",
        "dependencies": {"database": {"status": "ok", "critical": True, "detail": "PostgreSQL 17"}},
    },
    "ingest": {
        "totals": {**_ITEMS, "in_flight": 12},
        "rejected_by_reason": {"time_in_future": 3},
        "values_refused_by_reason": {"wrong_type": 2},
        "events_by_kind": {},
        "rates": _RATES,
        "kinds": {
            "lamppost": {
                "expected": 20,
                "reporting": 19,
                "silent": 1,
                "last_event": _TIME,
                **_ITEMS,
                "rejected_by_reason": {"time_in_future": 3},
                "rates": _RATES,
                **_DELAYS,
            }
        },
        "datasets": {DATASET: {"rows": 27360, "row_rates": _RATES, "last_event": _TIME, **_DELAYS}},
        "workers": [
            {
                "slot": 0,
                "started_at": "2026-11-13T08:00:00Z",
                "heartbeat_at": _TIME,
                "in_flight": 12,
                "connected": True,
                "alive": True,
            }
        ],
    },
    **EXAMPLES,
}

REPLAY = {"reason": "unknown_device", "dry_run": True}
_PROGRESS = {"chosen": 640, "taken": 640, "resolved": 632, "refused": {"wrong_type": 8}, "without_bytes": 0}
#: What an address answers line by line.
NDJSON = {
    "replay": "".join(
        f"{json.dumps(line)}\n"
        for line in (
            {**_PROGRESS, "taken": 0, "resolved": 0, "refused": {}, "done": False},
            {**_PROGRESS, "taken": 500, "resolved": 500, "refused": {}, "done": False},
            {**_PROGRESS, "done": False},
            {**_PROGRESS, "done": True},
        )
    )
}

EVENT_ID = "3a9c0d51e7-b04f77a2c9-70411"
#: What an address tells as events.
EVENTS = {
    "stream": "retry: 3000\n\nevent: reset\ndata: {}\nid\n\n"
    f"event: state\ndata: {json.dumps({'dataset': DATASET, **JSON['latest']['data'][0]})}\n\n"
    f'event: live\ndata: {{"resumed": false}}\nid: {EVENT_ID}\n\n'
    f"event: gone\ndata: {json.dumps({'dataset': DATASET, 'device': DEVICE})}\nid: {EVENT_ID}\n\n"
}

CSV = {
    "readings": f"time,device,site,lon,lat,pm2_5,no2,flags\n{_TIME},{DEVICE},{SITE},9.2121,45.4466,12.1,31,\n",
    "latest": "device,time,site,lon,lat,pm2_5,pm2_5_time,no2,no2_time,flags\n"
    f"{DEVICE},{_TIME},{SITE},9.2121,45.4466,12.1,{_TIME},31,{_TIME},\n",
    "devices": "device,title,kind,category,parent,site,lon,lat,approximate,interval,retired_at,datasets\n"
    f"{DEVICE},Corso Lodi 1,lamppost,,,{SITE},9.2121,45.4466,true,60,,{';'.join(_LAMPPOST)}\n",
    "sites": "site,title,address,lon,lat,approximate,devices\n" + f"{SITE},Corso Lodi,,9.2121,45.4466,true,8\n",
}


def _problem(status: int, title: str, detail: str, **members: str) -> dict[str, Any]:
    example = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    schema = {"$ref": "#/components/schemas/problem"}
    return {"description": title, "content": {MEDIA_TYPE: {"schema": schema, "example": example}}}


PROBLEMS = {
    "400": _problem(
        400,
        "Bad Request",
        "'devise' is no parameter here; there are device, site. Did you mean device?",
        parameter="devise",
        suggestion="device",
    ),
    "401": _problem(401, "Unauthorized", "The token is unknown, has expired or was revoked."),
    "403": _problem(403, "Forbidden", "The token has not the scope ops."),
    "404": _problem(404, "Not Found", "There is no device 'lamp-1'."),
    "406": _problem(
        406,
        "Not Acceptable",
        "`Accept` 'text/html' takes none of application/json, text/csv; `format=` chooses too.",
    ),
    "429": _problem(
        429,
        "Too Many Requests",
        "More requests than 1200 per 1 minute came from your address; ask again in 37 s.",
    ),
    "500": _problem(500, "Internal Server Error", "Something went wrong here; the server's log has the details."),
    "409": _problem(409, "Conflict", "Another replay is under way; wait until it has ended."),
    "501": _problem(501, "Not Implemented", "This process cannot replay; `usp rejections replay` can."),
    "503": _problem(503, "Service Unavailable", "The database does not answer."),
}
