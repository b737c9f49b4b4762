"""The document says what the API does: schemathesis asks a real process whatever the document allows, and forbids."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import schemathesis
from schemathesis.specs.openapi import checks

from usp import keys
from usp.api.params import OPEN_DATASETS
from usp.api.representations import FORMATS

if TYPE_CHECKING:
    from tests.integration.conftest import World

#: Not `positive_data_acceptance`: which names there are, and which windows have an end, no schema says.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)


CONFORMANCE = [
    *(checks.status_code_conformance, checks.content_type_conformance),
    *(checks.response_headers_conformance, checks.response_schema_conformance),
]


@pytest.fixture(scope="module")
def api(world: "World", database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A process that serves the city; its address."""
    assert world.ids
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    folder = tmp_path_factory.mktemp("api")
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "usp", "api", "--port", str(port), "--database-url", database_url],
            stdout=out,
            stderr=out,
            cwd=folder,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _until_ready(process, url, log)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _until_ready(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())


def ask_everything(api: str, folder: Path, *options: str) -> None:
    """Let schemathesis ask; what it finds is the failure's text. It writes to its working directory."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{api}/openapi.json", "--no-color"),
            *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--continue-on-failure"),
            *("--max-examples", "10", "--generation-deterministic", "--no-shrink"),
            *("--exclude-method", "POST", *options),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]


def test_the_api_does_what_its_document_says(api: str, tmp_path: Path) -> None:
    """Whatever is asked, the answer is of a documented status, type and form; what the document forbids is refused."""
    # The stream never ends, and whoever waits for its end would wait as long.
    ask_everything(api, tmp_path, "--exclude-path-regex", "^/v1/(ops/|stream$)")


async def test_operators_get_what_the_document_says(api: str, tmp_path: Path, world: "World") -> None:
    """The same for addresses that need a token."""
    token = await keys.create(world.db, "schemathesis", ["ops"])
    ask_everything(api, tmp_path, "--include-path-regex", "^/v1/ops/", "--header", f"Authorization: Bearer {token}")


def test_full_answers_are_as_documented(api: str) -> None:
    """Each dataset's rows in each format, and each list, validated against the document."""
    described = schemathesis.openapi.from_url(f"{api}/openapi.json")
    rows = ("/v1/datasets/{dataset}/readings", "/v1/datasets/{dataset}/latest")
    cases = [(path, {"dataset": name}) for path in rows for name in OPEN_DATASETS]
    for path, names in [*cases, ("/v1/devices", {}), ("/v1/sites", {})]:
        for format_ in FORMATS:
            query = {"format": format_.name, "limit": 20}
            case = described[path]["GET"].Case(path_parameters=names, query=query)
            response = case.call_and_validate(checks=CONFORMANCE)
            assert response.status_code == 200, (path, names, query)
            assert response.headers["content-type"][0] == format_.content_type
    for path, names in (
        *(("/v1/datasets/{dataset}", {"dataset": name}) for name in OPEN_DATASETS),
        *(("/v1/devices/{device}", {"device": name}) for name in ("station-lodi", "cp-lodi-1", "lamp-corso-lodi-1")),
        ("/v1/sites/{site}", {"site": "corso-lodi"}),
        *(("/v1/datasets/{dataset}/quality", {"dataset": name}) for name in OPEN_DATASETS),
        ("/v1/devices/{device}/quality", {"device": "lamp-corso-lodi-1"}),
    ):
        assert described[path]["GET"].Case(path_parameters=names).call_and_validate(checks=CONFORMANCE).content


def test_what_is_known_costs_no_body_on_the_wire(api: str) -> None:
    """304 keeps the connection in step: what follows on it is the next answer."""
    with httpx.Client(base_url=api) as client:
        full = client.get("/v1/devices")
        again = client.get("/v1/devices", headers={"If-None-Match": full.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.head("/v1/devices").headers["content-length"] == full.headers["content-length"]
        assert client.get("/v1/devices").json() == full.json()


def test_nothing_is_documented_by_a_catch_all(api: str) -> None:
    """Every status has its name, what it means, and headers; every format its own content."""
    document = httpx.get(f"{api}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            assert {"200", "400", "500"} <= answers.keys(), path
            assert all(re.fullmatch(r"[2-5]\d\d", status) for status in answers), path
            for status, answer in answers.items():
                assert answer["description"], (path, status)
                assert ("content" in answer) is (status != "304"), (path, status)
            if method == "get" and not path.startswith("/health/") and path != "/v1/stream":
                assert {"304", "401", "406", "429", "503"} <= answers.keys(), path
                assert {"Retry-After", "RateLimit"} <= answers["429"]["headers"].keys()
                assert {"ETag", "Link", "Cache-Control"} <= answers["200"]["headers"].keys()
    content = document["paths"]["/v1/datasets/{dataset}/readings"]["get"]["responses"]["200"]["content"]
    assert list(content) == [f.media_type for f in FORMATS]
