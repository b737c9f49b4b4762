"""Codecs that mean harm, or are badly broken: each ends as a refusal, and costs nobody else more than a moment."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from usp.errors import CodecError
from usp.ingest.codecs import Codec, CodecRuntime, Decoded, Frame, Limits, process
from usp.ingest.codecs.breaker import PROBATION, Breaker
from usp.ingest.refusal import Refusal
from usp.models.reasons import Reason

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
FRAME = Frame(bytes.fromhex("0102ff"), 7, AT)
GOOD = Codec.of("good.js", "function decodeUplink(i) { return { data: { n: i.bytes.length } } }")
#: Hangs in the engine's own code, where it does not ask its clock.
HANG = "function decodeUplink() { Array.prototype.reverse.call({ length: 2 ** 53 - 2 }) }"
#: Would run while it is read, were it taken for a function's body.
LEAVING = "}); (function () { while (1) { } })(); (function () {"
#: Take too much of the stack or too long to be read.
DEEP_SOURCE = f"function decodeUplink() {{ return {'(' * 50_000}1{')' * 50_000} }}"
SLOW_SOURCE = "import {\n" * 100_000
LOOP = "function decodeUplink(i) { if (i.bytes[0]) for (;;); return { data: {} } }"


@pytest.fixture
async def runtime() -> AsyncIterator[CodecRuntime]:
    """A runtime that nobody has angered yet."""
    made = CodecRuntime()
    yield made
    await made.close()


@pytest.fixture(scope="module")
async def shared() -> AsyncIterator[CodecRuntime]:
    """One runtime for many hostile codecs: each has a breaker of its own."""
    made = CodecRuntime()
    yield made
    await made.close()


def child_of(runtime: CodecRuntime) -> process.Child:
    """The process in which codecs run now."""
    assert runtime._child is not None  # noqa: SLF001
    return runtime._child  # noqa: SLF001


def decoding(expression: str) -> str:
    """A codec that does something, and returns it."""
    return f"function decodeUplink() {{ return {{ data: {{ x: {expression} }} }} }}"


TIME, MEMORY = "It took longer than a frame may.", "It took more memory than a codec may."
LIMIT, FAILED = Reason.CODEC_LIMIT, Reason.CODEC_FAILED
HOSTILE: dict[str, tuple[str, Reason, str]] = {
    "loop": ("function decodeUplink() { for (;;); }", LIMIT, TIME),
    "loop at the top": ("for (;;);", LIMIT, TIME),
    "loop that catches": ("function decodeUplink() { for (;;) try { for (;;); } catch {} }", LIMIT, TIME),
    "loop in finally": ("function decodeUplink() { try { throw 1 } finally { for (;;); } }", LIMIT, TIME),
    "loop in a getter": (decoding("1").replace("x: 1", "get x() { for (;;); }"), LIMIT, TIME),
    "loop in toJSON": (decoding("{ toJSON() { for (;;); } }"), LIMIT, TIME),
    "loop in a warning": (
        "function decodeUplink() { return { data: {}, warnings: [{ toJSON() { for (;;); } }] } }",
        LIMIT,
        TIME,
    ),
    "loop in an error": (
        "function decodeUplink() { throw Object.defineProperty(new Error(), 'message', { get() { for (;;); } }) }",
        LIMIT,
        TIME,
    ),
    "loop in normalizeUplink": (decoding("1") + "function normalizeUplink() { for (;;); }", LIMIT, TIME),
    "loop in a proxy": (
        decoding("new Proxy({}, { ownKeys() { for (;;); } })"),
        LIMIT,
        TIME,
    ),
    "endless generator": (decoding("[...(function* () { for (;;) yield 1 })()]"), LIMIT, ""),
    "endless promises": (
        "const again = () => Promise.resolve().then(again); function decodeUplink() { again(); for (;;) again(); }",
        LIMIT,
        "",
    ),
    "regular expression": (decoding("/^(a+)+$/.test('a'.repeat(40) + 'b')"), LIMIT, TIME),
    "sort": (decoding("[3, 2, 1].sort(() => { for (;;); })"), LIMIT, TIME),
    "balloon": ("function decodeUplink() { const a = []; for (;;) a.push(new Array(1e4).fill(1)) }", LIMIT, ""),
    "balloon of text": (
        "function decodeUplink() { let s = 'x'; for (;;) s += s + 'y' }",
        LIMIT,
        "InternalError: string",
    ),
    "balloon of repeats": (decoding("'x'.repeat(2 ** 30)"), LIMIT, "RangeError: invalid string length (line 1)"),
    "balloon of digits": (decoding("String(2n ** 10n ** 9n)"), LIMIT, "RangeError: BigInt is too large"),
    "balloon of more digits": ("function decodeUplink() { let b = 3n; for (;;) b *= b }", LIMIT, ""),
    "balloon of bytes": (decoding("new Uint8Array(1e9)"), LIMIT, MEMORY),
    "recursion": ("function decodeUplink() { return decodeUplink() + 1 }", LIMIT, "RangeError: Maximum call"),
    "recursion in normalizeUplink": (
        decoding("1") + "function normalizeUplink() { return normalizeUplink() + 1 }",
        LIMIT,
        "RangeError: Maximum call",
    ),
    "recursion in toJSON": (
        "function decodeUplink() { const x = { toJSON() { return JSON.stringify(x) } }; return { data: x } }",
        LIMIT,
        "RangeError: Maximum call",
    ),
    "circle": ("function decodeUplink() { const x = {}; x.x = x; return { data: x } }", FAILED, "TypeError: circular"),
    "100 MB": (decoding("Array(100).fill('x'.repeat(1e6))"), LIMIT, ""),
    "1 MB": (decoding("'x'.repeat(1e6)"), LIMIT, "Its output has 1,000,018 characters; 262,144 are allowed."),
    "deep": (
        "function decodeUplink() { let x = {}; for (let i = 0; i < 100; i++) x = [x]; return { data: x } }",
        LIMIT,
        "Its output is nested more than 32 deep.",
    ),
    "very deep": (
        "function decodeUplink() { let x = {}; for (let i = 0; i < 1e4; i++) x = [x]; return { data: x } }",
        LIMIT,
        "RangeError: Maximum call",
    ),
    "deep source": (DEEP_SOURCE, LIMIT, "RangeError: Maximum call"),
    "slow source": (SLOW_SOURCE, LIMIT, TIME),
    "leaving the function": (LEAVING, FAILED, "SyntaxError: unexpected token in expression: '}' (line 1, column 1)"),
    "leaving a module": (f"export var a = 1; {LEAVING}", FAILED, "SyntaxError: unexpected token in expression: '}'"),
    "thrown proxy": (
        "function decodeUplink() { throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } }) }",
        FAILED,
        "It threw something that cannot be shown.",
    ),
    "throwing getter": (
        "function decodeUplink() { return { get data() { throw new Error('got') } } }",
        FAILED,
        "Error: got",
    ),
    "the file system": (decoding("require('fs').readFileSync('/etc/passwd')"), FAILED, "Error: There is no module"),
    "the engine's own modules": (decoding("std.open('/etc/passwd')"), FAILED, "ReferenceError: std is not defined"),
    "the process": (decoding("process.exit()"), FAILED, "ReferenceError: process is not defined"),
    "an import": ("import fs from 'fs'; function decodeUplink() { }", FAILED, "Error: There is no module"),
    "a blocked thread": (decoding("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)"), FAILED, "Ref"),
    "a native hang": (HANG, LIMIT, "The process that ran it had to be given up: it did not answer in time."),
    "a native hang at the top": (HANG.split("{ ", 1)[1][:-1], LIMIT, "The process that ran it"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_codecs_end_as_refusals(shared: CodecRuntime, name: str) -> None:
    """Whatever a script does, its frame is refused, quickly and with a reason, and the next codec is served."""
    script, reason, detail = HOSTILE[name]
    began = time.monotonic()
    (result,) = await shared.decode(Codec.of(f"{name}.js", script), [FRAME])
    assert isinstance(result, Refusal)
    assert result.reason is reason, result
    assert result.detail.startswith(detail)
    assert len(result.detail) < 1_000
    assert await shared.decode(GOOD, [FRAME]) == [Decoded({"n": 3})]
    assert time.monotonic() - began < 10


PROTOTYPE_GAMES = {
    "toJSON": "Object.prototype.toJSON = function () { return 'mine' };",
    "toJSON of a list": "Array.prototype.toJSON = function () { return 1 };",
    "push": "Array.prototype.push = Array.prototype.join = Array.prototype.slice = function () { throw 1 };",
    "stringify": "JSON.stringify = function () { return 'D{' }; JSON.parse = null;",
    "iterator": "Array.prototype[Symbol.iterator] = function () { throw 1 };",
    "call": "Function.prototype.call = Function.prototype.apply = Reflect.apply = function () { throw 1 };",
    "setters": "for (const n of ['data', 'errors', 'bytes', 'exports', '0', 'value', 'get', 'set']) "
    "Object.defineProperty(Object.prototype, n, { set() { throw 1 }, get() { }, configurable: true });",
    "global prototype": "Object.setPrototypeOf(globalThis, null);",
    "proxy prototype": "Object.setPrototypeOf(Object.getPrototypeOf(this), new Proxy({}, { get() { throw 1 } }));",
    "frozen": "Object.freeze(globalThis);",
    "error": "Error.prototype.toString = function () { return {} }; InternalError = null;",
    "regexp": "RegExp.prototype.exec = RegExp.prototype.test = function () { for (;;); };",
    "string": "String.prototype.slice = String.prototype.split = function () { return 'D{}' };",
    "breaking out": "}), (globalThis.x = 1), (function () {",
}


@pytest.mark.parametrize("name", PROTOTYPE_GAMES)
async def test_prototype_games_hurt_only_the_player(shared: CodecRuntime, name: str) -> None:
    """A script may ruin what is built in for itself; what comes out is data or a refusal, and others see nothing."""
    codec = Codec.of(
        f"{name}.js", PROTOTYPE_GAMES[name] + "function decodeUplink(i) { return { data: { n: [1, i.fPort] } } }"
    )
    for _ in range(3):
        for result in await shared.decode(codec, [FRAME] * 3):
            assert isinstance(result, Decoded | Refusal)
            if isinstance(result, Decoded):
                assert result.data in ({"n": [1, 7]}, {"n": 1}, {})
    assert await shared.decode(GOOD, [FRAME] * 3) == [Decoded({"n": 3})] * 3


@pytest.mark.parametrize(
    "expression", ["eval('1 + 1')", "new Function('return 2')()", "(0, eval)('2')", "typeof import('os') && 2"]
)
async def test_evaluating_text_reaches_nothing(shared: CodecRuntime, expression: str) -> None:
    """`eval` and its kin stay within the same bounds, so they may be."""
    assert await shared.decode(Codec.of("eval.js", decoding(expression)), [FRAME]) == [Decoded({"x": 2})]


async def test_a_breaker_trips_and_is_tried_again() -> None:
    """After three broken limits in a row a codec is left alone, for longer each time; one good frame closes that."""
    runtime = CodecRuntime(Limits(frame=0.02, pause=(0.3, 10.0)))
    codec = Codec.of("loop.js", LOOP)
    bad, good = Frame(b"\1", 1, AT), Frame(b"\0", 1, AT)
    results = await runtime.decode(codec, [good, bad, bad, bad, good, good])
    assert [getattr(r, "reason", None) for r in results] == [None, *3 * ["codec_limit"], *2 * ["codec_tripped"]]
    assert isinstance(results[-1], Refusal)
    assert "tried again in 0 s. Last, this was wrong: It took longer than a frame may." in results[-1].detail
    assert list(runtime.tripped) == ["loop.js"]
    await asyncio.sleep(0.35)
    assert runtime.tripped == {}
    began = time.monotonic()
    results = await runtime.decode(codec, [bad, good])  # half open: one failure is enough
    assert [getattr(r, "reason", None) for r in results] == ["codec_limit", "codec_tripped"]
    await asyncio.sleep(0.35)
    assert list(runtime.tripped) == ["loop.js"], "the second pause is twice as long"
    await asyncio.sleep(max(0.0, 0.75 - (time.monotonic() - began)))
    assert await runtime.decode(codec, [good, good]) == [Decoded({})] * 2
    await runtime.close()


async def test_single_timeouts_do_not_trip(runtime: CodecRuntime) -> None:
    """A frame now and then that a codec cannot take does not keep out those that it can."""
    bad, good = Frame(b"\1", 1, AT), Frame(b"\0", 1, AT)
    results = await runtime.decode(Codec.of("loop.js", LOOP), [*[good] * 300, bad, *[good] * 300, bad, good])
    assert sum(isinstance(r, Decoded) for r in results) == 601
    assert runtime.tripped == {}


async def test_a_slow_codec_is_not_given_the_day() -> None:
    """A codec whose frames keep their limit, but take all of it, trips by what they take together."""
    runtime = CodecRuntime(Limits(frame=0.2, call=(0.3, 0.001)))
    slow = "function decodeUplink() { const until = Date.now() + 100; while (Date.now() < until); return { data: {} } }"
    began = time.monotonic()
    results = await runtime.decode(Codec.of("slow.js", slow), [FRAME] * 100)
    assert time.monotonic() - began < 5
    assert isinstance(results[0], Decoded)
    assert isinstance(results[-1], Refusal)
    assert results[-1].detail == "100 frames took longer than 0.40 s together."
    assert list(runtime.tripped) == ["slow.js"]
    await runtime.close()


async def test_a_pause_of_the_machine_is_not_the_codecs() -> None:
    """Time in which the process stands still is charged to nobody."""
    runtime = CodecRuntime(Limits(call=(0.25, 0.001)))
    script = "function decodeUplink() { const until = Date.now() + 1; while (Date.now() < until); return { data: {} } }"
    codec = Codec.of("busy.js", script)
    await runtime.decode(codec, [FRAME])
    decoding_all = asyncio.create_task(runtime.decode(codec, [FRAME] * 600))
    await asyncio.sleep(0.1)
    os.kill(child_of(runtime).pid, signal.SIGSTOP)
    await asyncio.sleep(1.2)
    os.kill(child_of(runtime).pid, signal.SIGCONT)
    assert await decoding_all == [Decoded({})] * 600
    assert runtime.tripped == {}
    await runtime.close()


async def test_a_codec_of_some_milliseconds_may_take_them(runtime: CodecRuntime) -> None:
    """Frames far below their own limit do not break that of their batch."""
    slow = "function decodeUplink() { const until = Date.now() + 3; while (Date.now() < until); return { data: {} } }"
    assert await runtime.decode(Codec.of("slow.js", slow), [FRAME] * 400) == [Decoded({})] * 400
    assert runtime.tripped == {}


@pytest.mark.parametrize(
    "script",
    [
        "function decodeUplink(i) { return decodeUplink(i) }",
        "function decodeUplink() { let x = {}; for (let i = 0; i < 100; i++) x = [x]; return { data: x } }",
        DEEP_SOURCE,
        SLOW_SOURCE,
    ],
    ids=["recursion", "deep output", "deep source", "slow source"],
)
async def test_every_limit_of_the_engine_trips(script: str) -> None:
    """Three in a row, and the codec is left alone; it is tried again after that, whatever the limit was."""
    runtime = CodecRuntime(Limits(pause=(0.2, 10.0)))
    codec = Codec.of("deep.js", script)
    reasons = [getattr(r, "reason", None) for r in await runtime.decode(codec, [FRAME] * 5)]
    assert reasons == [*["codec_limit"] * 3, *["codec_tripped"] * 2]
    await asyncio.sleep(0.25)
    assert [getattr(r, "reason", None) for r in await runtime.decode(codec, [FRAME])] == ["codec_limit"]
    await runtime.close()


async def test_an_output_too_deep_to_be_read_is_too_deep() -> None:
    """With a larger stack a script gets deeper than a reader of JSON goes."""
    runtime = CodecRuntime(Limits(stack=1024 * 1024))
    script = "function decodeUplink() { let x = '1'; for (let i = 0; i < 1100; i++) x = [x]; return { data: x } }"
    (result,) = await runtime.decode(Codec.of("deep.js", script), [FRAME])
    assert result == Refusal(LIMIT, "Its output is nested more than 32 deep.")
    await runtime.close()


async def test_what_lies_between_broken_limits_is_decoded(runtime: CodecRuntime) -> None:
    """An output that is too deep costs its own frame alone."""
    script = """function decodeUplink(i) {
        let x = {}; for (let n = 0; n < i.bytes[0]; n++) x = [x]; return { data: { x } }
    }"""
    frames = [Frame(bytes([n]), 1, AT) for n in (1, 99, 1, 99, 1)]
    results = await runtime.decode(Codec.of("some.js", script), frames)
    assert [getattr(r, "reason", None) for r in results] == [None, "codec_limit", None, "codec_limit", None]


async def test_others_wait_a_moment_for_a_script_that_cannot_be_read(runtime: CodecRuntime) -> None:
    """Reading a script is bounded as well, to some tenths of a second."""
    await runtime.decode(GOOD, [FRAME])
    waits = []
    for number in range(3):  # others may be busy on the machine
        began = time.monotonic()
        reading = runtime.check(Codec.of("slow.js", f"// {number}\n{SLOW_SOURCE}"))
        refusal, decoded = await asyncio.gather(reading, runtime.decode(GOOD, [FRAME]))
        assert refusal == Refusal(LIMIT, TIME)
        assert decoded == [Decoded({"n": 3})]
        waits.append(time.monotonic() - began)
    assert min(waits) < 0.8


async def test_a_single_frame_is_not_blamed_for_a_death(runtime: CodecRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child may have been killed by anybody: a frame that was alone in it is tried again."""
    ask = process.Child.ask
    deaths: list[int] = []

    async def killed_once(self: process.Child, head: str, body: bytes, timeout: float) -> bytes:  # noqa: ASYNC109
        if head.startswith("run") and not deaths:
            deaths.append(self.pid)
            os.kill(self.pid, signal.SIGKILL)
        return await ask(self, head, body, timeout)

    monkeypatch.setattr(process.Child, "ask", killed_once)
    assert await runtime.decode(GOOD, [FRAME]) == [Decoded({"n": 3})]
    assert len(deaths) == 1


async def test_others_are_served_meanwhile(runtime: CodecRuntime) -> None:
    """While a codec hangs, those who wait get their turn within a second, and after it has tripped at once."""
    hanging = asyncio.create_task(runtime.decode(Codec.of("hang.js", HANG), [FRAME] * 1_000))
    waits = []
    while not hanging.done():
        began = time.monotonic()
        assert await runtime.decode(GOOD, [FRAME] * 10) == [Decoded({"n": 3})] * 10
        waits.append(time.monotonic() - began)
    assert all(isinstance(r, Refusal) for r in hanging.result())
    assert list(runtime.tripped) == ["hang.js"]
    assert len(waits) > 2
    assert max(waits) < 5


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_a_killed_child_loses_no_frame(runtime: CodecRuntime, number: int) -> None:
    """The child is killed again and again from outside; every frame is decoded all the same."""
    frames = [Frame(bytes(n % 50), 1, AT) for n in range(40_000)]
    assert await runtime.decode(GOOD, [FRAME]) == [Decoded({"n": 3})]
    decoding_all = asyncio.create_task(runtime.decode(GOOD, frames))
    killed = 0
    while not decoding_all.done():
        await asyncio.sleep(0.3)
        child = runtime._child  # noqa: SLF001
        if child is not None and child.alive and child.loaded:
            os.kill(child.pid, number)
            killed += 1
    assert decoding_all.result() == [Decoded({"n": n % 50}) for n in range(40_000)]
    assert killed


async def test_a_stopped_child_is_replaced(runtime: CodecRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that stands still, without a fault of the codec, is killed, and its frames are tried again."""
    monkeypatch.setattr("usp.ingest.codecs.runtime.GRACE_S", 0.3)
    await runtime.decode(GOOD, [FRAME])
    pid = child_of(runtime).pid
    os.kill(pid, signal.SIGSTOP)
    assert await runtime.decode(GOOD, [FRAME] * 3) == [Decoded({"n": 3})] * 3
    assert child_of(runtime).pid != pid


async def test_who_gives_up_waiting_disturbs_nobody(runtime: CodecRuntime) -> None:
    """An answer that nobody waited for is not taken for the next one."""
    other = Codec.of("other.js", decoding("1"))
    await runtime.decode(GOOD, [FRAME])
    for _ in range(5):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(runtime.decode(Codec.of("loop.js", LOOP), [FRAME]), 0.01)
        assert await runtime.decode(other, [FRAME]) == [Decoded({"x": 1})]


async def test_more_codecs_than_are_kept_loaded(runtime: CodecRuntime) -> None:
    """A hundred codecs in turn all answer, each with its own answer."""
    codecs = [Codec.of(f"{n}.js", decoding(str(n))) for n in range(100)]
    for _ in range(2):
        results = await asyncio.gather(*(runtime.decode(codec, [FRAME]) for codec in codecs))
        assert results == [[Decoded({"x": n})] for n in range(100)]
    assert len(child_of(runtime).loaded) <= 32


async def test_the_child_holds_nothing(runtime: CodecRuntime) -> None:
    """It has no environment, no open file but its socket, no core dump, and a session of its own."""
    await runtime.decode(GOOD, [FRAME])
    proc = Path(f"/proc/{child_of(runtime).pid}")
    assert (proc / "environ").read_bytes() == b""
    files = {fd.name: str(fd.readlink()) for fd in (proc / "fd").iterdir()}
    assert files.pop("0").startswith("socket:")
    assert files == {"1": "/dev/null", "2": "/dev/null"}
    limits = (proc / "limits").read_text()
    assert [line.split()[-3:-1] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]
    assert "NoNewPrivs:\t1" in (proc / "status").read_text()
    assert "Seccomp:\t2" in (proc / "status").read_text()
    assert os.getsid(child_of(runtime).pid) == child_of(runtime).pid


def test_the_child_can_do_nothing_but_answer() -> None:
    """Were the engine itself broken: no file, no socket, no process, no signal, no more memory than its own."""
    script = """
import os, socket
from usp.ingest.codecs.child import confine
confine()
def tried(what):
    try:
        return what() or "done"
    except (OSError, MemoryError) as error:
        return type(error).__name__
print(*map(tried, (lambda: open("/etc/passwd"), socket.socket, os.fork, lambda: os.execv("/bin/true", ["true"]),
    lambda: os.kill(os.getppid(), 0), lambda: os.unlink("/tmp/none"), lambda: bytearray(2 << 30), lambda: len("ok"))))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["PermissionError"] * 6 + ["MemoryError", "2"]


def test_the_child_dies_with_its_parent() -> None:
    """A worker that is killed leaves no process behind, even while a codec hangs."""
    script = f"""
import asyncio, datetime
from usp.ingest.codecs import Codec, CodecRuntime, Frame
async def main():
    runtime = CodecRuntime()
    frame = Frame(b"", 1, datetime.datetime.now(datetime.UTC))
    await runtime.decode(Codec.of("good.js", "function decodeUplink() {{ return {{ data: {{}} }} }}"), [frame])
    print(runtime._child.pid, flush=True)
    while True:
        await runtime.decode(Codec.of("hang.js", {HANG!r}), [frame])
asyncio.run(main())
"""
    worker = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    with worker.stdout:
        pid = int(worker.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    worker.kill()
    worker.wait()
    until = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "\tZ" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < until
        time.sleep(0.05)


async def test_an_engine_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the engine's package there is one clear error, and no endless starting."""
    child = tmp_path / "child.py"
    source = process.CHILD.read_text().replace("import _quickjs", "import _quickjs_that_is_missing")
    child.write_text(source)
    for name in ("prelude.js", "buffer.js"):
        (tmp_path / name).write_text(process.CHILD.with_name(name).read_text())
    monkeypatch.setattr(process, "CHILD", child)
    with pytest.raises(
        CodecError, match=r"No module named '_quickjs_that_is_missing'\. Is the package quickjs-ng installed"
    ):
        await CodecRuntime().decode(GOOD, [FRAME])
    child.write_text("raise SystemExit(3)")
    with pytest.raises(CodecError, match=r"The process for codecs does not start: status 3\."):
        await CodecRuntime().decode(GOOD, [FRAME])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    with pytest.raises(CodecError, match=r"cannot be started: .*No such file"):
        await CodecRuntime().decode(GOOD, [FRAME])


async def test_closing_twice_and_decoding_after_it_are_harmless() -> None:
    """A runtime that was closed starts a child again if it is asked to."""
    runtime = CodecRuntime()
    await runtime.close()
    assert await runtime.decode(GOOD, []) == []
    assert await runtime.decode(GOOD, [FRAME]) == [Decoded({"n": 3})]
    await runtime.close()
    await runtime.close()
    assert await runtime.decode(GOOD, [FRAME]) == [Decoded({"n": 3})]
    await runtime.close()


def test_pauses_grow_and_shrink_again() -> None:
    """The pause doubles up to its limit, and begins anew only after a thousand good frames."""
    now = [100.0]
    breaker = Breaker(3, (10.0, 60.0), lambda: now[0])
    pauses = []
    for _ in range(5):
        while not breaker.failed("slow"):
            pass
        pauses.append(breaker.left)
        now[0] += breaker.left
        assert breaker.left == 0
        breaker.succeeded(1)
    assert pauses == [10, 20, 40, 60, 60]
    breaker.succeeded(PROBATION)
    assert breaker.failed("hang", at_once=True)
    assert breaker.left == 10
