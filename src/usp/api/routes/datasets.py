"""What datasets there are."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from usp.api import auth, details, params, quality, responses
from usp.api.document import described
from usp.api.selection import about

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])


@router.get("", **described("datasets", params.DOCUMENT))
async def list_datasets(request: Request) -> Response:
    """All datasets: properties with units and aggregation, licence, attribution, extent in time."""
    reader = await auth.reader(request)
    texts = params.read(request.query_params.multi_items(), params.DOCUMENT)
    responses.json_only(request, texts)
    found = await details.datasets(params.visible_datasets(reader.visibility).values(), reader)
    return responses.one({"data": found, "next": None})


@router.get("/{dataset}", **described("dataset", params.DOCUMENT, "dataset"))
async def one_dataset(request: Request, dataset: str) -> Response:
    """One dataset: properties with units and aggregation, licence, attribution, extent in time."""
    reader = await auth.reader(request)
    chosen = params.dataset_named(dataset, reader.visibility)
    texts = params.read(request.query_params.multi_items(), params.DOCUMENT)
    responses.json_only(request, texts)
    (found,) = await details.datasets([chosen], reader)
    return responses.one(found)


@router.get("/{dataset}/quality", **described("dataset_quality", params.DATASET_QUALITY, "dataset"))
async def quality_of_dataset(request: Request, dataset: str) -> Response:
    """How complete, fresh and plausible a dataset is over its devices, in full hours of UTC; at most 31 days."""
    reader = await auth.reader(request)
    chosen = params.dataset_named(dataset, reader.visibility)
    texts = params.read(request.query_params.multi_items(), params.DATASET_QUALITY)
    responses.json_only(request, texts)
    window = quality.window(texts, datetime.now(UTC))
    found = await quality.dataset(chosen, window, params.places(texts), reader)
    return responses.one(found, about=about(chosen))
