"""Tokens: shown once, kept as a hash, limited to their scopes, and gone when they are revoked."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI, Request

from usp import keys
from usp.api import auth
from usp.api.app import create_app
from usp.api.problems import InvalidToken
from usp.embedded import Parts
from usp.models.token import FORM, TokenError, check_scopes, digest
from usp.settings import Settings

if TYPE_CHECKING:
    from tests.integration.conftest import World

HIDDEN_LAMP = "/v1/devices/lamp-hidden-1"
OPS_LAMP = "/v1/devices/lamp-ops-1"


def bearer(token: str) -> dict[str, str]:
    """The header that presents a token."""
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
async def app(world: "World", database_url: str) -> AsyncIterator[FastAPI]:
    """The API, with one more address that needs a scope and one that breaks."""
    assert world.ids
    made = create_app(Settings(_env_file=None, database_url=database_url))  # type: ignore[call-arg]

    @made.get("/needs-ingest", include_in_schema=False)
    async def needs_ingest(request: Request) -> str:
        return (await auth.needed(request, "ingest:lamp-1", lambda g: g.may_ingest("lamp-1"))).name

    @made.get("/breaks", include_in_schema=False)
    async def breaks(request: Request) -> float:
        await auth.reader(request)
        return 1 / 0

    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture(scope="module")
async def ask(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who asks it."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_token_shows_what_its_scope_allows(ask: httpx.AsyncClient, world: "World") -> None:
    """Restricted devices to `read:restricted`, all devices to `ops`, nothing more to a token for ingestion."""
    scopes = {"r": ["read:restricted"], "o": ["ops"], "i": ["ingest:lamp-1"], "a": ["ops", "read:restricted"]}
    statuses = {}
    for name, wanted in scopes.items():
        token = await keys.create(world.db, f"sees-{name}", wanted)
        statuses[name] = [(await ask.get(path, headers=bearer(token))).status_code for path in (HIDDEN_LAMP, OPS_LAMP)]
    assert statuses == {"r": [200, 404], "o": [200, 200], "i": [404, 404], "a": [200, 200]}
    assert (await ask.get(HIDDEN_LAMP)).status_code == 404


async def test_nothing_at_rest_is_a_token(world: "World", parts: Parts, database_url: str) -> None:
    """A dump of the whole database holds the digest, and the token in no form."""
    token = await keys.create(world.db, "at-rest", ["ops"])
    assert FORM.fullmatch(token)
    dump = subprocess.run([str(parts.pg_dump), database_url], check=True, capture_output=True, text=True).stdout
    assert "at-rest" in dump
    assert digest(token).hex() in dump
    for trace in (token, token.removeprefix("usp_"), token[4:24], token.encode().hex()):
        assert trace not in dump


@pytest.mark.parametrize(
    ("header", "status", "error"),
    [
        ("Bearer usp_" + "A" * 43, 401, 'error="invalid_token"'),
        ("bearer usp_" + "A" * 43, 401, 'error="invalid_token"'),
        ("Bearer usp_short", 401, 'error="invalid_token"'),
        ("Bearer " + "x" * 5000, 401, 'error="invalid_token"'),
        ("Bearer", 400, 'error="invalid_request"'),
        ("Bearer ", 400, 'error="invalid_request"'),
        ("Bearer two words", 400, 'error="invalid_request"'),
        ("Bearer caf\u00e9", 400, 'error="invalid_request"'),
        ("Basic dXNwOnVzcA==", 401, None),
        ("usp_" + "A" * 43, 401, None),
        ("", 401, None),
    ],
)
async def test_a_token_that_is_none_is_refused(
    ask: httpx.AsyncClient, header: str, status: int, error: str | None
) -> None:
    """As RFC 6750 says, as a problem document, and also where everybody may ask."""
    for path in ("/v1/datasets", HIDDEN_LAMP, "/v1/datasets/noise/readings?format=csv", "/health/ingest", "/metrics"):
        response = await ask.get(path, headers=[(b"Authorization", header.encode("latin-1"))])
        assert response.status_code == status, path
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["cache-control"] == "private, no-cache"
        challenge = response.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm="usp"')
        assert (error in challenge) if error else ("error" not in challenge)
    for path in ("/health/live", "/health/ready", "/docs", "/openapi.json"):
        response = await ask.get(path, headers=[(b"Authorization", header.encode("latin-1"))])
        assert response.status_code == 200, path


async def test_two_tokens_at_once_are_refused(ask: httpx.AsyncClient, world: "World") -> None:
    """Nobody can say which one was meant."""
    token = await keys.create(world.db, "twice", ["ops"])
    headers = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
    assert (await ask.get("/v1/datasets", headers=headers)).status_code == 400


async def test_a_revoked_token_stops_within_the_cache_time(
    ask: httpx.AsyncClient, world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was in use a moment before."""
    assert auth.KEEP_S <= 10
    monkeypatch.setattr(auth, "KEEP_S", 0.4)
    token = await keys.create(world.db, "to-be-revoked", ["read:restricted"])
    assert (await ask.get(HIDDEN_LAMP, headers=bearer(token))).status_code == 200
    assert await keys.revoke(world.db, "to-be-revoked")
    await asyncio.sleep(0.45)
    refused = await ask.get(HIDDEN_LAMP, headers=bearer(token))
    assert refused.status_code == 401
    unknown = await ask.get(HIDDEN_LAMP, headers=bearer("usp_" + "A" * 43))
    assert refused.text == unknown.text
    assert not await keys.revoke(world.db, "to-be-revoked")


async def test_an_expired_token_stops_at_once(ask: httpx.AsyncClient, world: "World") -> None:
    """Also while it is still remembered."""
    until = datetime.now(UTC) + timedelta(seconds=0.5)
    token = await keys.create(world.db, "short-lived", ["read:restricted"], until)
    assert (await ask.get(HIDDEN_LAMP, headers=bearer(token))).status_code == 200
    await asyncio.sleep(0.55)
    assert (await ask.get(HIDDEN_LAMP, headers=bearer(token))).status_code == 401


async def test_a_scope_that_is_needed_and_missing_is_403(ask: httpx.AsyncClient, world: "World") -> None:
    """401 without a token, 403 with one for something else."""
    answers = {}
    for name, scopes in {"one": ["ingest:lamp-1"], "any": ["ingest:*"], "other": ["ingest:lamp-2", "ops"]}.items():
        token = await keys.create(world.db, f"needs-{name}", scopes)
        answers[name] = await ask.get("/needs-ingest", headers=bearer(token))
    assert {name: answer.status_code for name, answer in answers.items()} == {"one": 200, "any": 200, "other": 403}
    challenge = answers["other"].headers["www-authenticate"]
    assert challenge == 'Bearer realm="usp", error="insufficient_scope", scope="ingest:lamp-1"'
    without = await ask.get("/needs-ingest")
    assert without.status_code == 401
    assert without.headers["www-authenticate"] == 'Bearer realm="usp"'


async def test_caches_keep_answers_apart(ask: httpx.AsyncClient, world: "World") -> None:
    """What depends on a token is nobody else's, errors included."""
    token = await keys.create(world.db, "cached", ["read:restricted"])
    for path in ("/v1/datasets", "/v1/devices?format=csv", HIDDEN_LAMP, "/v1/devices/nobody", "/health/ingest"):
        for headers, control in (({}, "no-cache"), (bearer(token), "private, no-cache")):
            response = await ask.get(path, headers=headers)
            assert response.headers["cache-control"] == control
            assert "Authorization" in response.headers["vary"]


async def test_extents_are_remembered_apart(ask: httpx.AsyncClient, world: "World") -> None:
    """What an operator asked a moment ago is no answer for a stranger."""
    token = await keys.create(world.db, "extents", ["ops"])
    path = "/v1/datasets/indoor_climate"
    seen = (await ask.get(path, headers=bearer(token))).json()["extent"]
    assert seen == {"first": world.text(3), "last": world.text(3)}
    assert (await ask.get(path)).json()["extent"] is None


async def test_digests_are_compared_in_constant_time(
    ask: httpx.AsyncClient, world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the index found is believed only if hmac.compare_digest says so."""
    token = await keys.create(world.db, "constant-time", ["read:restricted"])
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    monkeypatch.setattr("hmac.compare_digest", compare)
    assert (await ask.get(HIDDEN_LAMP, headers=bearer(token))).status_code == 401
    assert compared == [(digest(token), digest(token))]


async def test_an_accident_tells_no_token(ask: httpx.AsyncClient, world: "World") -> None:
    """Logs on a terminal show the variables of every frame of a failed request; the token is in none of them."""
    token = await keys.create(world.db, "accident", ["ops"])
    with pytest.raises(ZeroDivisionError) as caught:
        await ask.get("/breaks", headers=bearer(token))
    frames = [f for f in _frames(caught.value.__traceback__) if "/tests/" not in f[0] and "/httpx/" not in f[0]]
    assert any("starlette/middleware/errors.py" in name for name, _ in frames)
    for name, variables in frames:
        assert token not in variables, name


def _frames(traceback: TracebackType | None) -> Iterator[tuple[str, str]]:
    while traceback is not None:
        yield traceback.tb_frame.f_code.co_filename, repr(traceback.tb_frame.f_locals)
        traceback = traceback.tb_next


async def test_few_questions_reach_the_database(ask: httpx.AsyncClient, app: FastAPI, world: "World") -> None:
    """A token in use is looked up every few seconds; made-up tokens do not fill the memory."""
    token = await keys.create(world.db, "busy", ["read:restricted"])
    await ask.get("/v1/datasets", headers=bearer(token))
    await world.db.execute("UPDATE usp.token SET scopes = '{}' WHERE name = 'busy'")
    assert (await ask.get(HIDDEN_LAMP, headers=bearer(token))).status_code == 200
    tokens = auth.Tokens(app.state.operations)
    for number in range(1200):
        with pytest.raises(InvalidToken):
            await tokens.grant(number.to_bytes(32, "big"))
    assert len(vars(tokens)["_known"]) == 1000


@pytest.mark.parametrize(
    ("scope", "hint"),
    [
        ("read:restrict", "did you mean read:restricted?"),
        ("Ops", "did you mean ops?"),
        ("injest:lamp-1", "did you mean ingest:lamp-1?"),
        ("ingest", "did you mean ingest:<device>?"),
        ("ingest:Lamp 1", "names no device"),
        ("ingest:", "names no device"),
        ("", "did you mean"),
    ],
)
def test_an_unknown_scope_is_refused_with_the_nearest(scope: str, hint: str) -> None:
    """A token with a misspelt scope would be of no use."""
    with pytest.raises(TokenError, match=re.escape(hint)):
        check_scopes([scope])


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "0d", "2020-01-01", "yesterday", "999999w", "2026-13-01"])
def test_an_expiry_lies_ahead(text: str) -> None:
    """A length of time, or a moment to come."""
    with pytest.raises(TokenError):
        keys.parse_expiry(text, datetime(2026, 11, 20, tzinfo=UTC))
    now = datetime(2026, 11, 20, tzinfo=UTC)
    assert keys.parse_expiry("90d", now) == now + timedelta(days=90)
    assert keys.parse_expiry("2027-01-01", now) == datetime(2027, 1, 1, tzinfo=UTC)
    assert keys.parse_expiry("2027-01-01T00:00:00+01:00", now) == datetime(2026, 12, 31, 23, tzinfo=UTC)


def test_the_command_makes_lists_and_revokes(database_url: str, tmp_path: Path) -> None:
    """The token alone on standard output, once; errors are one line."""

    def usp(*words: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "USP_DATABASE_URL": database_url}
        command = [sys.executable, "-m", "usp", "keys", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    made = usp("create", "a partner's", "--scope", "read:restricted", "--scope", "ingest:lamp-1", "--expires", "90d")
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    assert FORM.fullmatch(token)
    (line,) = [line for line in usp("list").stdout.splitlines() if line.startswith("a partner's")]
    assert "ingest:lamp-1 read:restricted" in line
    assert line.endswith("valid")
    assert token not in usp("list").stdout
    assert usp("revoke", "a partner's").stdout == "Revoked.\n"
    (line,) = [line for line in usp("list").stdout.splitlines() if line.startswith("a partner's")]
    assert line.endswith("revoked")
    wrong: list[tuple[tuple[str, ...], str]] = [
        (("revoke", "a partners"), 'Did you mean "a partner\'s"?'),
        (("create", "a partner's", "--scope", "ops"), "names are kept"),
        (("create", "b", "--scope", "opps"), "did you mean ops?"),
        (("create", "b", "--scope", "ops", "--expires", "soon"), "neither 90d"),
        (("create", "", "--scope", "ops"), "1 to 100"),
    ]
    for words, hint in wrong:
        result: Any = usp(*words)
        assert (result.returncode, result.stdout) == (1, "")
        assert hint in result.stderr
        assert len(result.stderr.splitlines()) == 1
