"""Devices and the sites where they stand."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from usp.api import auth, details, params, quality, registry, responses
from usp.api.document import described

router = APIRouter(prefix="/v1", tags=["devices"])


@router.get("/devices", **described("devices", params.DEVICES))
async def list_devices(request: Request) -> Response:
    """Devices where they stand now, ordered by name; those taken out of service have `retired_at`."""
    reader = await auth.reader(request)
    texts = params.read(request.query_params.multi_items(), params.DEVICES, request.url.path)
    format_ = responses.format_of(request, texts)
    page = params.name_page(texts, paged=format_.paged)
    selection = await registry.devices(params.places(texts), page, reader)
    return await responses.rows(request, selection, format_, reader.database)


@router.get("/devices/{device}", **described("device", params.DOCUMENT, "device"))
async def one_device(request: Request, device: str) -> Response:
    """One device: its datasets and when they were last heard of, its places over time, parent and children."""
    reader = await auth.reader(request)
    responses.json_only(request, params.read(request.query_params.multi_items(), params.DOCUMENT))
    return responses.one(await details.device(device, reader))


@router.get("/devices/{device}/quality", **described("device_quality", params.DEVICE_QUALITY, "device"))
async def quality_of_device(request: Request, device: str) -> Response:
    """How complete, fresh and plausible a device's data is, in full hours of UTC; at most 31 days."""
    reader = await auth.reader(request)
    texts = params.read(request.query_params.multi_items(), params.DEVICE_QUALITY)
    responses.json_only(request, texts)
    window = quality.window(texts, datetime.now(UTC))
    return responses.one(await quality.device(device, window, reader))


@router.get("/sites", **described("sites", params.SITES))
async def list_sites(request: Request) -> Response:
    """Sites, ordered by name, with the number of devices that stand there now."""
    reader = await auth.reader(request)
    texts = params.read(request.query_params.multi_items(), params.SITES, request.url.path)
    format_ = responses.format_of(request, texts)
    page = params.name_page(texts, paged=format_.paged)
    selection = await registry.sites(params.places(texts), page, reader)
    return await responses.rows(request, selection, format_, reader.database)


@router.get("/sites/{site}", **described("site", params.DOCUMENT, "site"))
async def one_site(request: Request, site: str) -> Response:
    """One site and the devices that stand there now."""
    reader = await auth.reader(request)
    responses.json_only(request, params.read(request.query_params.multi_items(), params.DOCUMENT))
    return responses.one(await details.site(site, reader))
