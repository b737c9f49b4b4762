"""Codecs as vendors write them: what they get, what they may return, and what becomes of it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from usp.errors import CodecError
from usp.ingest.codecs import BUILT_IN, Codec, CodecRuntime, Decoded, Frame
from usp.ingest.codecs.codec import MAX_SCRIPT
from usp.ingest.refusal import Refusal
from usp.models.reasons import Reason

AT = datetime(2026, 11, 20, 9, 30, 15, 250_000, tzinfo=UTC)


@pytest.fixture(scope="module")
async def runtime() -> AsyncIterator[CodecRuntime]:
    """One runtime for all tests of this file, as one worker has one."""
    made = CodecRuntime()
    yield made
    await made.close()


async def one(runtime: CodecRuntime, script: str, payload: str = "0102ff", port: int | None = 7) -> Decoded | Refusal:
    """What becomes of one frame."""
    frame = Frame(bytes.fromhex(payload), port, AT, {"offset": "3"})
    (result,) = await runtime.decode(Codec.of("test.js", script), [frame])
    return result


async def data(runtime: CodecRuntime, script: str, payload: str = "0102ff") -> Any:
    """The data that a script makes of a frame."""
    result = await one(runtime, script, payload)
    assert isinstance(result, Decoded), result
    return result.data


async def detail(runtime: CodecRuntime, script: str) -> str:
    """The words with which a frame is refused because its codec failed."""
    result = await one(runtime, script)
    assert isinstance(result, Refusal)
    assert result.reason is Reason.CODEC_FAILED
    return result.detail


async def test_a_codec_gets_what_its_network_server_gives(runtime: CodecRuntime) -> None:
    """The input holds bytes as a plain array, port, time and variables."""
    script = """function decodeUplink(input) { return { data: {
        bytes: input.bytes, plain: Array.isArray(input.bytes) && input.bytes.slice(1).length, port: input.fPort,
        time: input.recvTime.toISOString(), offset: Number(input.variables.offset), zone: input.recvTime.getHours()
    } } }"""
    assert await data(runtime, script) == {
        "bytes": [1, 2, 255],
        "plain": 2,
        "port": 7,
        "time": "2026-11-20T09:30:15.250Z",
        "offset": 3,
        "zone": 9,
    }


async def test_a_port_may_be_missing(runtime: CodecRuntime) -> None:
    """Without a port the script sees null, which is below any port it may ask for."""
    result = await one(runtime, "function decodeUplink(i) { return { data: { none: i.fPort == null } } }", port=None)
    assert result == Decoded({"none": True})


@pytest.mark.parametrize(
    "script",
    [
        "function Decoder(bytes, port) { return { n: bytes.length, port: port } }",
        "function Decode(fPort, bytes, variables) { return { n: bytes.length, port: fPort } }",
        "var decodeUplink = function (i) { return { data: { n: i.bytes.length, port: i.fPort } } }",
        "decodeUplink = function (i) { return { data: { n: i.bytes.length, port: i.fPort } } }",
        "const decodeUplink = ({ bytes, fPort }) => ({ data: { n: bytes.length, port: fPort } }); // no line end",
        "module.exports = { decodeUplink: function (i) { return { data: { n: i.bytes.length, port: i.fPort } } } }",
        "exports.decodeUplink = (i) => ({ data: { n: i.bytes.length, port: i.fPort } })",
        "module.exports = (i) => ({ data: { n: i.bytes.length, port: i.fPort } })",
        "export function decodeUplink(i) { return { data: { n: i.bytes.length, port: i.fPort } } }",
        "export default function decodeUplink(i) { return { data: { n: i.bytes.length, port: i.fPort } } }",
        "export default { decodeUplink(i) { return { data: { n: i.bytes.length, port: i.fPort } } } }",
        "function d(i) { return { data: { n: i.bytes.length, port: i.fPort } } }\nexport { d as decodeUplink };",
        "import { Buffer as B } from 'buffer';\n"
        "export const decodeUplink = (i) => ({ data: { n: B.from(i.bytes).length, port: i.fPort } });",
        "'use strict';\nfunction decodeUplink(i) { return { data: { n: i.bytes.length, port: i.fPort } } }",
        "\ufefffunction decodeUplink(i) { return { data: { n: i.bytes.length, port: i.fPort } } }",
        "function Decoder() { throw 1 }"
        "function decodeUplink(i) { return { data: { n: i.bytes.length, port: i.fPort } } }",
        "function decodeUplink(i) { result = {}; result.n = i.bytes.length; result.port = i.fPort; "
        "return { data: result, warnings: [], errors: [] } }",
    ],
)
async def test_every_customary_form_of_script_runs(runtime: CodecRuntime, script: str) -> None:
    """Vendors name their function in three ways, export it in several, and assign variables they never declared."""
    assert await data(runtime, script) == {"n": 3, "port": 7}


async def test_nothing_is_kept_from_one_frame_to_the_next(runtime: CodecRuntime) -> None:
    """A field of the last frame must not come back in the next: each begins with fresh variables."""
    script = """
        var decoded = {}; let count = 0;
        total = (typeof total === 'undefined' ? 0 : total) + 1; this.seen = (this.seen || 0) + 1;
        function decodeUplink(input) {
            count++; decoded['f' + input.bytes[0]] = true;
            return { data: { fields: Object.keys(decoded), count, total, seen, own: Object.keys(globalThis).length } };
        }"""
    codec = Codec.of("counting.js", script)
    frames = [Frame(bytes([n]), 1, AT) for n in range(3)]
    results = await runtime.decode(codec, frames)
    assert results == [Decoded({"fields": [f"f{n}"], "count": 1, "total": 1, "seen": 1, "own": 2}) for n in range(3)]


async def test_codecs_do_not_see_each_other(runtime: CodecRuntime) -> None:
    """What one codec changes, also in what is built in, does not exist for another."""
    await one(
        runtime, "Array.prototype.mine = 1; Math.mine = 1; mine = 1; function decodeUplink() { return {data: {}} }"
    )
    script = "function decodeUplink() { return { data: { a: typeof [].mine, b: typeof Math.mine, c: typeof mine } } }"
    assert await data(runtime, script) == {"a": "undefined", "b": "undefined", "c": "undefined"}


async def test_what_cannot_be_taken_away_ends_with_its_context(runtime: CodecRuntime) -> None:
    """A global that a script makes undeletable is gone at the next frame all the same."""
    script = """function decodeUplink() {
        var before = typeof stuck;
        Object.defineProperty(globalThis, 'stuck', { value: 1 });
        return { data: { before } };
    }"""
    assert [await data(runtime, script) for _ in range(3)] == [{"before": "undefined"}] * 3


async def test_built_in_names_cannot_be_replaced(runtime: CodecRuntime) -> None:
    """A script that assigns to `parseInt` or `JSON` finds it unchanged."""
    script = """parseInt = null; JSON = 5; Buffer = 1;
        function decodeUplink() { return { data: { n: parseInt('7'), j: typeof JSON, b: typeof Buffer } } }"""
    assert await data(runtime, script) == {"n": 7, "j": "object", "b": "function"}


async def test_a_field_may_be_called_like_something_of_the_engine(runtime: CodecRuntime) -> None:
    """`performance` is no part of the language, and a field of some meters."""
    script = "function decodeUplink() { performance = 5; return { data: { performance } } }"
    assert await data(runtime, script) == {"performance": 5}


async def test_values_become_what_json_makes_of_them(runtime: CodecRuntime) -> None:
    """NaN and infinities become null, dates texts, functions and undefined nothing; keys keep their names."""
    script = """function decodeUplink() { return { data: {
        nan: NaN, inf: -Infinity, date: new Date(0), none: undefined, f: function () {}, whole: 5.0, minus: -0,
        big: 12345678901234567890, tiny: 1e-9, text: 'è\\u0000', half: '\\ud800', list: [undefined, null, , 1],
        buffer: Buffer.from([1, 2]), typed: new Uint8Array([3]), ['__proto__']: 1,
        nested: Object.create({ inherited: 1 })
    } } }"""
    result = await one(runtime, script.replace("half: '\\ud800',", ""))
    assert isinstance(result, Decoded)
    assert result.data == {
        "nan": None,
        "inf": None,
        "date": "1970-01-01T00:00:00.000Z",
        "whole": 5,
        "minus": 0,
        "big": 12345678901234567000,
        "tiny": 1e-9,
        "text": "è\0",
        "list": [None, None, None, 1],
        "buffer": {"type": "Buffer", "data": [1, 2]},
        "typed": {"0": 3},
        "__proto__": 1,
        "nested": {},
    }
    assert "cannot be read as JSON" in await detail(runtime, script)


async def test_data_may_be_a_list(runtime: CodecRuntime) -> None:
    """Several readings in one frame are a list."""
    assert await data(runtime, "function decodeUplink() { return { data: [{ a: 1 }, { a: 2 }] } }") == [
        {"a": 1},
        {"a": 2},
    ]


async def test_warnings_come_beside_the_data(runtime: CodecRuntime) -> None:
    """Warnings do not keep a reading out; they are bounded in number and length."""
    script = "function decodeUplink() { return { data: { a: 1 }, warnings: WARNINGS } }"
    result = await one(runtime, script.replace("WARNINGS", "['low', 5, new Error('x'), { a: 1 }]"))
    assert result == Decoded({"a": 1}, ("low", "5", "Error: x", '{"a":1}'))
    result = await one(runtime, script.replace("WARNINGS", "Array(100).fill('w'.repeat(1e5))"))
    assert result == Decoded({"a": 1}, ("w" * 500,) * 20)
    assert await one(runtime, script.replace("WARNINGS", "'alone'")) == Decoded({"a": 1}, ("alone",))
    assert await one(runtime, script.replace("WARNINGS", "null")) == Decoded({"a": 1})


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("function decodeUplink() { return { data: { a: 1 }, errors: ['bad port', 'x'] } }", "bad port (and 1 more)"),
        ("function decodeUplink() { return { errors: 'text' } }", "text"),
        ("function decodeUplink() {\n\n  throw new TypeError('no') }", "TypeError: no (line 3)"),
        ("function decodeUplink() { throw 'a text' }", "a text"),
        ("function decodeUplink() { throw { code: 5 } }", '{"code":5}'),
        ("function decodeUplink() { throw undefined }", "undefined"),
        ("function decodeUplink() { throw { toJSON() { throw 1 } } }", "It threw something that cannot be shown."),
        ("function decodeUplink() { throw new Error('x'.repeat(1e6)) }", "Error: " + "x" * 493 + " (line 1)"),
        (
            "function decodeUplink(i) {\n return i.nothing.here }",
            "TypeError: cannot read property 'here' of undefined (line 2)",
        ),
        ("function decodeUplink() { return 5 }", "decodeUplink returned number, not {data}."),
        ("function decodeUplink() { return null }", "decodeUplink returned null, not {data}."),
        ("function decodeUplink() { }", "decodeUplink returned undefined, not {data}."),
        ("function decodeUplink() { return { temperature: 5 } }", "decodeUplink returned no data."),
        ("function decodeUplink() { return { data: 'text' } }", "decodeUplink returned a string as data, no object."),
        (
            "function decodeUplink() { return { data: new Date() } }",
            "decodeUplink returned text or a number as data, no object.",
        ),
        (
            "function decodeUplink() { return { data: function () {} } }",
            "decodeUplink returned a function as data, no object.",
        ),
        ("function Decoder() { }", "The codec returned no data."),
        ("function decodeUplink() { return { data: { a: 1n } } }", "TypeError: BigInt are forbidden in JSON.stringify"),
        ("async function decodeUplink() { return { data: {} } }", "decodeUplink returned no data."),
        ("function* decodeUplink() { for (;;) yield 1 }", "decodeUplink returned no data."),
        ("var a = 1", "The script has none of the functions decodeUplink, Decoder and Decode."),
        ("", "The script has none of the functions decodeUplink, Decoder and Decode."),
        ("throw new Error('at the top')", "Error: at the top (line 1)"),
        ("var x = {};\nx.y.z()", "TypeError: cannot read property 'z' of undefined (line 2)"),
        ("} evil(); function f() {", "SyntaxError: unexpected token in expression: '}' (line 1, column 1)"),
        ("var a = 1;\n  retrun a;", "SyntaxError: expecting ';' (line 2, column 10)"),
        ("export var a = 1;\n  retrun a;", "SyntaxError: expecting ';' (line 2, column 10)"),
        ("function decodeUplink(i) {\n  return { data:\n", "SyntaxError: unexpected token in expression: '' (line 3"),
        ("require('fs')", 'Error: There is no module "fs"; codecs may require buffer, base64-js and ieee754.'),
    ],
)
async def test_a_codec_that_fails_says_why(runtime: CodecRuntime, script: str, words: str) -> None:
    """A throw, errors, or an output that is none refuse the frame, with the script's own words and its line."""
    found = await detail(runtime, script)
    assert found.startswith(words[:60])
    assert len(found) < 600


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("function decodeUplink(i) {\n  return { data: { n: Buffer.from(i.bytes).readUInt32BE(9) } };\n}", " (line 2)"),
        (
            "function decodeUplink(i) {\n  i.bytes.map(function () { Buffer.from([]).swap16.call([1]) });\n}",
            " (line 2)",
        ),
        ("var decodeUplink = Buffer.from([1]).readUInt32BE.bind(Buffer.from([1]), 9);", ""),
    ],
)
async def test_only_lines_of_the_script_are_told(runtime: CodecRuntime, script: str, line: str) -> None:
    """Where what we give a script throws, the line is the script's that called it, or none."""
    found = await detail(runtime, script)
    assert found.partition(" (line ")[1:] == (line[:7], line[7:]), found


async def test_a_script_is_checked_without_a_frame(runtime: CodecRuntime) -> None:
    """What is wrong with it is known before the first payload, with its line and column."""
    assert await runtime.check(Codec.of("a.js", "function decodeUplink() { throw 1 }")) is None
    assert await runtime.check(BUILT_IN["cayenne_lpp"]) is None
    assert await runtime.check(Codec.of("b.js", "\nretrun 5")) == Refusal(
        Reason.CODEC_FAILED, "SyntaxError: expecting ';' (line 2, column 8)"
    )


async def test_changes_of_what_is_built_in_last_for_2000_frames(runtime: CodecRuntime) -> None:
    """As docs/codecs.md says: then the codec begins in a new context."""
    script = """Array.prototype.seen = ([].seen || 0) + 1;
        function decodeUplink() { return { data: { seen: [].seen } } }"""
    results = await runtime.decode(Codec.of("seen.js", script), [Frame(b"", 1, AT)] * 4_100)
    assert [r.data["seen"] for r in results if isinstance(r, Decoded) and isinstance(r.data, dict)] == [
        *range(1, 2_001),
        *range(1, 2_001),
        *range(1, 101),
    ]


async def test_ordinary_errors_trip_nothing(runtime: CodecRuntime) -> None:
    """A codec may refuse as many frames as it likes."""
    codec = Codec.of(
        "picky.js", "function decodeUplink(i) { if (i.bytes[0]) throw new Error('no'); return { data: {} } }"
    )
    results = await runtime.decode(codec, [Frame(bytes([n % 2]), 1, AT) for n in range(2_000)])
    assert results[::2] == [Decoded({})] * 1_000
    assert all(isinstance(r, Refusal) and r.reason is Reason.CODEC_FAILED for r in results[1::2])


async def test_normalized_data_come_beside_the_decoded(runtime: CodecRuntime) -> None:
    """`normalizeUplink` gets what `decodeUplink` made; where it fails, the decoded data stand."""
    script = """function decodeUplink(i) { return { data: { t: i.bytes[0] } } }
        function normalizeUplink(input) { return BODY }"""
    body = "{ data: [{ air: { temperature: input.data.t } }] }"
    assert await one(runtime, script.replace("BODY", body)) == Decoded(
        {"t": 1}, normalized=[{"air": {"temperature": 1}}]
    )
    mutating = "(input.data.t = 99, { data: { air: { temperature: input.data.t } } })"
    assert await one(runtime, script.replace("BODY", mutating)) == Decoded(
        {"t": 1}, normalized={"air": {"temperature": 99}}
    )
    assert await one(runtime, script.replace("BODY", "{ errors: ['too hot'] }")) == Decoded(
        {"t": 1}, ("normalizeUplink: too hot",)
    )
    assert await one(runtime, script.replace("BODY", "input.nothing.here")) == Decoded(
        {"t": 1}, ("normalizeUplink: TypeError: cannot read property 'here' of undefined (line 2)",)
    )


async def test_the_console_swallows(runtime: CodecRuntime) -> None:
    """What a codec prints goes nowhere, and costs nothing."""
    script = (
        "function decodeUplink() { console.log('a', {}); console.error(1); console.table([]); return { data: {} } }"
    )
    assert await data(runtime, script) == {}


async def test_a_script_has_a_size() -> None:
    """A file that is too long to be a codec is told so at once."""
    with pytest.raises(CodecError, match=r"big\.js: 1,000,001 characters; 1,000,000 are allowed"):
        Codec.of("big.js", "x" * (MAX_SCRIPT + 1))


async def test_a_large_script_and_a_large_output_pass(runtime: CodecRuntime) -> None:
    """Tables of some hundred kilobytes, and histories of some tens, are what vendors have."""
    table = ",".join(f"'k{n}': {{ name: 'value {n}', unit: 'u' }}" for n in range(10_000))
    script = "function decodeUplink() { return { data: { t: T.k77.name, l: Array(20000).fill(1234567) } } }"
    script += f"var T = {{{table}}}"
    result = await data(runtime, script)
    assert result["t"] == "value 77"
    assert len(result["l"]) == 20_000
