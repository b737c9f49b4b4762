"""What a codec is, what it gets and what it gives."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from usp.errors import CodecError

#: A vendor's script with all its tables; the largest published ones have about 100 KB.
MAX_SCRIPT = 1_000_000


class Codec(NamedTuple):
    """A script that turns payload bytes into fields. Two codecs with one digest are the same."""

    name: str
    script: str
    digest: str

    @classmethod
    def of(cls, name: str, script: str) -> "Codec":
        """The codec of a script. Raises CodecError where that is too long to be one."""
        if len(script) > MAX_SCRIPT:
            raise CodecError(f"{name}: {len(script):,} characters; {MAX_SCRIPT:,} are allowed.")
        return cls(name, script, hashlib.sha256(script.encode("utf-8", "surrogatepass")).hexdigest())


def read_codec(path: Path) -> Codec:
    """The codec of a file. Raises CodecError where it cannot be read."""
    try:
        return Codec.of(path.name, path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise CodecError(f"{path} is not UTF-8.") from None
    except OSError as error:
        raise CodecError(f"{path}: {error.strerror}.") from None


#: Codecs that need no script, by the name under which a profile asks for them.
BUILT_IN: dict[str, Codec] = {"cayenne_lpp": Codec("cayenne_lpp", "", "cayenne_lpp")}


class Frame(NamedTuple):
    """One uplink's bytes, and what a codec may know about them."""

    payload: bytes
    f_port: int | None
    received_at: datetime
    variables: Mapping[str, str] = {}


class Decoded(NamedTuple):
    """What a codec made of a frame. `normalized` is what its `normalizeUplink` made of that, where it has one."""

    data: dict[str, Any] | list[Any]
    warnings: tuple[str, ...] = ()
    normalized: dict[str, Any] | list[Any] | None = None


class Limits(NamedTuple):
    """What a codec may use. Times are in seconds, sizes in bytes."""

    #: Of one frame; vendors' codecs take some ten microseconds.
    frame: float = 0.05
    #: Of all frames of one call together: so many seconds of processor time, and so many more for each frame.
    call: tuple[float, float] = (0.25, 0.005)
    memory: int = 64 * 1024 * 1024
    stack: int = 256 * 1024
    output: int = 256 * 1024
    #: Timeouts and crashes in a row, after which the codec is left alone.
    failures: int = 3
    #: For how long it is left alone, first and at most.
    pause: tuple[float, float] = (10.0, 600.0)
