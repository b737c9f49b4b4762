"""Decodes frames in a child process, and keeps one codec's misbehaviour from the others."""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import Any

import orjson
import structlog

from usp.ingest.codecs import cayenne_lpp
from usp.ingest.codecs.breaker import Breaker
from usp.ingest.codecs.child import LOAD_S
from usp.ingest.codecs.codec import Codec, Decoded, Frame, Limits
from usp.ingest.codecs.process import Child, ChildDied, NoAnswer
from usp.ingest.refusal import Refusal
from usp.models.reasons import Reason

log = structlog.get_logger()

#: Frames that one message takes to the child.
CHUNK = 256
#: Seconds for which one message may keep the child from other codecs.
TURN_S = 0.2
#: Seconds after which a child that does not end by itself is given up: one that was stopped, or swapped out.
GRACE_S = 5.0
#: Codecs that are kept loaded at once.
LOADED = 32
#: Deeper than this, nobody's reading lies.
MAX_DEPTH = 32

_DECODERS = {"cayenne_lpp": cayenne_lpp.decode}

Result = Decoded | Refusal
_TOO_DEEP = Refusal(Reason.CODEC_LIMIT, f"Its output is nested more than {MAX_DEPTH} deep.")


class CodecRuntime:
    """One child process that runs codecs; started with the first frame, and anew whenever it has died."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._child: Child | None = None
        # One message at a time; whoever waits is served in the order of asking.
        self._turn = asyncio.Lock()
        self._breakers: dict[str, Breaker] = {}
        self._names: dict[str, str] = {}
        self._unusable: dict[str, Refusal] = {}

    @property
    def tripped(self) -> dict[str, float]:
        """The codecs that are left alone now, each with the seconds that are left of that."""
        return {self._names[digest]: b.left for digest, b in self._breakers.items() if b.left}

    async def decode(self, codec: Codec, frames: Sequence[Frame]) -> list[Result]:
        """What became of each frame, in their order. Raises CodecError where no child can be started."""
        decoder = _DECODERS.get(codec.digest)
        if decoder is not None:
            return [decoder(frame) for frame in frames]
        breaker = self._breakers.setdefault(codec.digest, Breaker(self._limits.failures, self._limits.pause))
        self._names[codec.digest] = codec.name
        lines = [_line(frame) for frame in frames]
        results: list[Result] = []
        fixed, each = self._limits.call
        left = fixed + each * len(frames)
        while len(results) < len(frames):
            refusal = self._unusable.get(codec.digest) or _left_alone(breaker)
            if refusal is None and left <= 0:
                detail = f"{len(frames)} frames took longer than {fixed + each * len(frames):.2f} s together."
                self._failed(codec, breaker, detail, at_once=True)
                refusal = Refusal(Reason.CODEC_LIMIT, detail)
            if refusal is not None:
                results += [refusal] * (len(frames) - len(results))
                break
            # One by one after a failure, so that it is known which frame does it.
            some = lines[len(results) : len(results) + (1 if breaker.suspicious else CHUNK)]
            async with self._turn:
                answered, seconds = await self._run(codec, breaker, some)
            results += answered
            left -= seconds
        return results

    async def check(self, codec: Codec) -> Refusal | None:
        """What is wrong with a codec's script, found without a frame. Raises CodecError as `decode` does."""
        if codec.digest in _DECODERS:
            return None
        try:
            async with self._turn:
                loaded = await self._loaded(codec)
        except (NoAnswer, ChildDied) as error:
            return Refusal(Reason.CODEC_LIMIT, f"The process that read it had to be given up: {error}.")
        return loaded if isinstance(loaded, Refusal) else None

    async def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None:
            await child.end()

    async def _run(self, codec: Codec, breaker: Breaker, lines: Sequence[bytes]) -> tuple[list[Result], float]:
        """What became of the first of the frames, and the processor time of that; of none, where to try it again."""
        turn = min(TURN_S, self._limits.call[0]) if len(lines) > 1 else 0.0
        try:
            child = await self._loaded(codec)
            if isinstance(child, Refusal):
                if child.reason is not Reason.CODEC_LIMIT:
                    self._unusable[codec.digest] = child
                    return [], 0.0
                self._failed(codec, breaker, child.detail)
                return [child], 0.0
            answer = await child.ask(f"run {codec.digest} {turn}", b"\n".join(lines), turn + GRACE_S)
        except (NoAnswer, ChildDied) as error:
            opened = self._failed(codec, breaker, f"The process that ran it had to be given up: {error}.")
            # A frame at which the process died may be innocent: something else may have killed it. So it is tried
            # again as long as the codec may run. The time is not the codec's, either.
            guilty = len(lines) == 1 and (opened or isinstance(error, NoAnswer))
            return ([Refusal(Reason.CODEC_LIMIT, breaker.reason)] if guilty else []), 0.0
        seconds, *answers = answer.split(b"\n")[: len(lines) + 1]
        results: list[Result] = []
        for line in answers:
            result = _result(line)
            results.append(result)
            if not isinstance(result, Refusal) or result.reason is not Reason.CODEC_LIMIT:
                continue
            # What comes behind a broken limit waits for the breaker.
            if len(results) > 1:
                breaker.succeeded(len(results) - 1)
            self._failed(codec, breaker, result.detail)
            break
        else:
            breaker.succeeded(len(results))
        return results, float(seconds)

    async def _loaded(self, codec: Codec) -> Child | Refusal:
        """A child that knows the codec, or what is wrong with the codec's script."""
        child = self._child
        if child is None or not child.alive:
            if child is not None:
                log.warning("codec_child_died", pid=child.pid)
                await child.end()
            child = self._child = await Child.start(self._limits)
        if codec.digest in child.loaded:
            child.loaded[codec.digest] = child.loaded.pop(codec.digest)
            return child
        for oldest in list(islice(child.loaded, max(0, len(child.loaded) - LOADED + 1))):
            del child.loaded[oldest]
            await child.tell(f"drop {oldest}")
        answer = await child.ask(
            f"load {codec.digest} {LOAD_S}", codec.script.encode("utf-8", "surrogatepass"), LOAD_S + GRACE_S
        )
        if answer != b"D":
            wrong = _result(answer)
            return wrong if isinstance(wrong, Refusal) else Refusal(Reason.CODEC_FAILED)
        child.loaded[codec.digest] = None
        return child

    def _failed(self, codec: Codec, breaker: Breaker, reason: str, *, at_once: bool = False) -> bool:
        opened = breaker.failed(reason, at_once=at_once)
        if opened:
            log.warning("codec_left_alone", codec=codec.name, seconds=round(breaker.left), reason=reason)
        return opened


def _left_alone(breaker: Breaker) -> Refusal | None:
    left = breaker.left
    if not left:
        return None
    return Refusal(Reason.CODEC_TRIPPED, f"It is tried again in {left:.0f} s. Last, this was wrong: {breaker.reason}")


def _line(frame: Frame) -> bytes:
    """A frame as the script's `input` will have it."""
    return orjson.dumps(
        {
            "bytes": [*frame.payload],
            "fPort": frame.f_port,
            "recvTime": round(frame.received_at.timestamp() * 1000),
            "variables": dict(frame.variables),
        }
    )


def _result(line: bytes) -> Result:
    """What a line of the child's answer says."""
    kind, rest = line[:1], line[1:]
    try:
        value = orjson.loads(rest)
    except orjson.JSONDecodeError as error:
        if "depth limit" in str(error):
            return _TOO_DEEP
        return Refusal(Reason.CODEC_FAILED, f"Its output cannot be read as JSON: {error}.")
    if kind == b"F":
        return Refusal(Reason.CODEC_FAILED, str(value))
    if kind == b"L":
        return Refusal(Reason.CODEC_LIMIT, str(value))
    if _depth_exceeds(rest, value):
        return _TOO_DEEP
    normalized = value.get("normalized") or {}
    warnings = tuple(value.get("warnings", ()))
    if "errors" in normalized:
        warnings += tuple(f"normalizeUplink: {error}" for error in normalized["errors"])
    return Decoded(value["data"], warnings, normalized.get("data"))


def _depth_exceeds(text: bytes, value: Any) -> bool:
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    layer = [value]
    for _ in range(MAX_DEPTH):
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not layer:
            return False
    return True
