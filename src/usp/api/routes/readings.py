"""Readings and newest values of a dataset."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from usp.api import auth, bucket_params, params, queries, responses
from usp.api import buckets as aggregates
from usp.api.document import described

router = APIRouter(prefix="/v1/datasets", tags=["readings"])


@router.get("/{dataset}/readings", **described("readings", params.READINGS, "dataset"))
async def readings(request: Request, dataset: str) -> Response:
    """Raw readings, or with `bucket` their aggregates, each at the place where the device stood at that time.

    Without `from` and `to`: the last 24 hours. With `from` alone: until now. With `to` alone: the 24 hours before
    it. JSON and GeoJSON come in pages, `next` leads to the following one, and stays on the same window of time; NDJSON,
    CSV and Parquet are everything at once. Readings come in the order of time and device; those in which none of the
    asked properties has a value are left out.

    With `bucket` each property is aggregated as its own sort asks: levels of sound as energy, directions as vectors,
    speeds weighted by vehicles, registers as increases with resets and roll-overs recognised, states as seconds and
    changes. `properties=laeq:mean,laeq:max` chooses. The window is widened to whole buckets, `from` and `to` in the
    answer say which. Every device has a row in every bucket, also where it was silent; `coverage` says how much of
    what was expected is there, `flagged` how many values were left out. What came late is in at once.

    A flagged value is shown with its flag: `pm10:out_of_range` lies outside the plausible range,
    `clients:bottom_coded` was too small to be told; `time:arrival`, `time:network` and `time:gateway` say that the
    time is not the device's own, `late` that the reading came late.
    """
    reader = await auth.reader(request)
    chosen = params.dataset_named(dataset, reader.visibility)
    texts = params.read(request.query_params.multi_items(), params.READINGS, request.url.path)
    format_ = responses.format_of(request, texts)
    now, seen, paged = datetime.now(UTC), reader.visibility, format_.paged
    if "bucket" in texts:
        buckets = bucket_params.bucket_query(texts, chosen, paged=paged, now=now, seen=seen)
        found = await aggregates.buckets(buckets, reader.database, spatial=format_.spatial)
    else:
        bucket_params.refuse_without_bucket(texts)
        query = params.reading_query(texts, chosen, paged=paged, now=now, seen=seen)
        found = await queries.readings(query, reader.database)
    return await responses.rows(request, found, format_, reader.database)


@router.get("/{dataset}/latest", **described("latest", params.LATEST, "dataset"))
async def latest(request: Request, dataset: str) -> Response:
    """For each device the newest value of each property by measuring time, each with its own time.

    `time` is the newest of the asked properties' times; site and position are the present ones. Devices that were
    taken out of service are left out. Ordered by device.
    """
    reader = await auth.reader(request)
    chosen = params.dataset_named(dataset, reader.visibility)
    texts = params.read(request.query_params.multi_items(), params.LATEST, request.url.path)
    format_ = responses.format_of(request, texts)
    query = params.latest_query(texts, chosen, paged=format_.paged, seen=reader.visibility)
    return await responses.rows(request, await queries.latest(query, reader.database), format_, reader.database)
