"""The profiles and codecs that ship do what the vendors' documents say, byte by byte."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from usp.ingest.codecs import CodecRuntime, Frame
from usp.ingest.normalise import Normaliser
from usp.ingest.refusal import Refusal
from usp.models.dataset import RowFlag
from usp.models.datasets import DATASETS
from usp.profiles import load_codecs, load_profiles

VECTORS = Path(__file__).parents[1] / "vectors" / "profiles"
ARRIVAL = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def frames() -> list[Any]:
    """Every frame of every vector file."""
    return [
        pytest.param(path.stem, frame, id=f"{path.stem}: {frame['about']}")
        for path in sorted(VECTORS.glob("*.json"))
        for frame in json.loads(path.read_text(encoding="utf-8"))["frames"]
    ]


def rows_of(rows: list[tuple[str, list[Any]]]) -> dict[str, dict[str, Any]]:
    """The rows' values, and the period where there is one."""
    found = {}
    for name, row in rows:
        dataset = DATASETS[name]
        sent = dict(zip(dataset.by_name, row[3 if dataset.interval else 2 : -4], strict=True))
        found[name] = {key: value for key, value in sent.items() if value is not None}
        if dataset.interval:
            found[name]["period"] = row[2]
    return found


@pytest.fixture(scope="module")
async def runtime() -> AsyncIterator[CodecRuntime]:
    """A process that runs codecs."""
    started = CodecRuntime()
    yield started
    await started.close()


@pytest.mark.parametrize(("name", "frame"), frames())
async def test_a_frame_becomes_the_rows_that_the_vendors_document_tells(
    runtime: CodecRuntime, name: str, frame: dict[str, Any]
) -> None:
    """By the shipped codec and the shipped profile together."""
    profile = load_profiles()[name]
    payload = Frame(bytes.fromhex(frame["hex"]), frame["port"], ARRIVAL)
    (decoded,) = await runtime.decode(load_codecs({name: profile})[name], [payload])
    if "refused" in frame:
        assert isinstance(decoded, Refusal)
        assert decoded.reason == frame["refused"]
        return
    assert not isinstance(decoded, Refusal), decoded
    assert isinstance(decoded.data, dict)
    result = Normaliser(profile)(1, decoded.data, ARRIVAL, (ARRIVAL, RowFlag.TIME_NETWORK.value))
    assert result.refused == []
    rows = rows_of(result.rows)
    assert rows.keys() == frame["rows"].keys()
    for dataset, expected in frame["rows"].items():
        assert rows[dataset] == pytest.approx(expected)
    for dataset, row in result.rows:
        if not DATASETS[dataset].interval:
            assert row[0] == datetime.fromisoformat(frame.get("time", ARRIVAL.isoformat()))


def test_every_shipped_codec_has_vectors_with_their_source() -> None:
    """What cannot be checked against a document is not shipped."""
    shipped = {p.name for p in load_profiles().values() if p.codec is not None}
    assert shipped == {path.stem for path in VECTORS.glob("*.json")}
    assert all(json.loads(path.read_text(encoding="utf-8"))["source"] for path in VECTORS.glob("*.json"))
