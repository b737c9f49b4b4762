"""The process that runs codecs. It is started as a file of its own and imports nothing of ours.

It reads messages from its socket and answers each. A message is its length (4 bytes, big-endian), a line of words, and
what belongs to that:

    load <codec> <seconds>    the script             answer: `D`, or `F` or `L` and a JSON text that says why not
    drop <codec>              nothing                no answer
    run <codec> <seconds>     a line for each frame  answer: the processor time that it took, a line for each frame

The line of a frame begins with `D` (decoded), `F` (the codec failed) or `L` (it broke a limit); JSON follows. A run
ends at the first broken limit, and when its seconds or its room are used up: whoever asked counts the lines.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
import time
from pathlib import Path
from typing import Any

#: What each context gets before the codec; read now, for the process will not be allowed to open a file.
PRELUDE, BUFFER = (
    Path(__file__).with_name(name).read_text(encoding="utf-8").rstrip().removesuffix(";")
    for name in ("prelude.js", "buffer.js")
)
LENGTH = struct.Struct("!I")
#: Frames after which a context is made anew: a codec may have changed what is built in.
FRAMES_PER_CONTEXT = 2_000
#: Bytes of one answer: what is beyond stays for the next.
ANSWER_BYTES = 2 * 1024 * 1024
#: Processor time that taking in a script may take: one of 1,000,000 characters takes 0.2 s.
LOAD_S = 0.3
#: Processor time after which a frame's hanging ends the process, beyond what it may take.
OVERTIME_S = 0.1
#: Address space of the process: contexts at their limits, and the interpreter.
ADDRESS_SPACE = 1024 * 1024 * 1024


class Sandbox:
    """One codec in a JavaScript context of its own."""

    def __init__(self, script: str, *, frame: float, memory: int, stack: int, output: int) -> None:
        self._script = script
        self._limits = (frame, memory, stack)
        self._output = output
        self._frames = 0
        self._run: Any = None

    def load(self) -> str:
        """Take in the script; what is wrong with it, or nothing."""
        # Not `quickjs`, the package around it: that starts a thread.
        import _quickjs  # type: ignore[import-not-found]  # noqa: PLC0415 - so that a missing wheel can be told

        frame, memory, stack = self._limits
        context = _quickjs.Context()
        # Our own lines come behind any that the script can have, so that its lines can be told from them.
        first = len(self._script.splitlines()) + 10
        load = context.eval("\n" * first + f"({PRELUDE})({BUFFER}, {first})")
        context.set_memory_limit(memory)
        context.set_max_stack_size(stack)
        # The script is not run yet, only read: the prelude takes nothing that would leave the function it becomes.
        context.set_time_limit(max(frame, LOAD_S))
        try:
            run = load(self._script)
        except Exception as error:  # noqa: BLE001 - whatever the engine throws is its answer about the script
            return f'L"{_limit(error)}"'
        if isinstance(run, str):
            return run
        context.set_time_limit(frame)
        self._run = run
        self._frames = 0
        return ""

    def run(self, frame: str) -> str:
        """The line that answers a frame."""
        if self._run is None or self._frames >= FRAMES_PER_CONTEXT:
            self._run = None
            wrong = self.load()
            if wrong:
                return wrong
        self._frames += 1
        try:
            answer: str = self._run(frame)
        except Exception as error:  # noqa: BLE001 - whatever escapes the prelude broke a limit
            answer = f'-L"{_limit(error)}"'
        if answer.startswith("-"):
            self._run = None
            answer = answer[1:]
        if answer.startswith("L"):
            self._run = None
        if len(answer) > self._output:
            return f'L"Its output has {len(answer):,} characters; {self._output:,} are allowed."'
        return answer


def _limit(error: Exception) -> str:
    text = str(error)
    if "interrupted" in text:
        return "It took longer than a frame may."
    if "call stack" in text:
        return "It calls itself too deeply."
    if "out of memory" in text or text.strip() in {"null", "undefined", ""}:  # too little is left to say even that
        return "It took more memory than a codec may."
    return f"The engine fails at it: {type(error).__name__}."


class Server:
    """Answers what comes in on one socket."""

    def __init__(self, limits: dict[str, float]) -> None:
        self._limits: dict[str, Any] = {"frame": limits["frame"]}
        self._limits |= {name: int(limits[name]) for name in ("memory", "stack", "output")}
        self._codecs: dict[str, Sandbox] = {}

    def serve(self) -> None:
        """Until whoever asks has gone."""
        while header := _receive(LENGTH.size):
            head, _, body = _receive(*LENGTH.unpack(header)).partition(b"\n")
            what, digest, *more = head.decode("ascii").split(" ")
            seconds = float(more[0]) if more else 0.0
            # The engine asks its clock between operations, but not within one: what hangs there ends the process, by
            # SIGPROF. It counts processor time, so a busy machine ends nothing.
            signal.setitimer(signal.ITIMER_PROF, seconds + self._limits["frame"] + OVERTIME_S)
            answer = b""
            if what == "load":
                answer = self._load(digest, body.decode("utf-8", "surrogatepass")).encode()
            elif what == "run":
                answer = self._run(digest, body.decode("utf-8"), seconds)
            else:
                self._codecs.pop(digest, None)
            signal.setitimer(signal.ITIMER_PROF, 0)
            if answer:
                _send(answer)

    def _load(self, digest: str, script: str) -> str:
        sandbox = Sandbox(script, **self._limits)
        wrong = sandbox.load()
        if not wrong:
            self._codecs[digest] = sandbox
        return wrong or "D"

    def _run(self, digest: str, body: str, seconds: float) -> bytes:
        sandbox = self._codecs[digest]
        # Others wait for as long as it is on the clock; what the codec is charged is what it used of the processor.
        until, began = time.monotonic() + seconds, time.process_time()
        lines: list[bytes] = []
        size = 0
        for frame in body.split("\n"):
            line = sandbox.run(frame).encode("utf-8", "surrogatepass")
            lines.append(line)
            size += len(line)
            if line[:1] == b"L" or size > ANSWER_BYTES or time.monotonic() > until:
                break
        return b"\n".join([b"%.6f" % (time.process_time() - began), *lines])


def _receive(size: int) -> bytes:
    """So many bytes, or none at the end."""
    parts = []
    while size:
        part = os.read(0, min(size, 1024 * 1024))
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _send(answer: bytes) -> None:
    rest = memoryview(LENGTH.pack(len(answer)) + answer)
    while rest:
        rest = rest[os.write(0, rest) :]


# What the process may do is taken away before the first script comes

PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 1, 38, 22, 2
BPF_LOAD, BPF_JUMP_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
SECCOMP_ALLOW, SECCOMP_REFUSE = 0x7FFF0000, 0x00050001  # refuse: EPERM

#: Machine -> its AUDIT_ARCH.
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
#: What memory, time and one open socket need, with the number of each call on these two machines.
SYSTEM_CALLS = """
    read 0 63, write 1 64, close 3 57, fstat 5 80, lseek 8 62, mmap 9 222, mprotect 10 226, munmap 11 215, brk 12 214,
    mremap 25 216, madvise 28 233, rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, sigaltstack 131 132,
    setitimer 38 103, getpid 39 172, gettid 186 178, tgkill 234 131, exit 60 93, exit_group 231 94, futex 202 98,
    sched_yield 24 124, restart_syscall 219 128, getrusage 98 165, getrandom 318 278, gettimeofday 96 169,
    clock_gettime 228 113, clock_nanosleep 230 115
"""


def confine() -> None:
    """Die with whoever started us, write no core, open nothing more, and take no more memory than is ours."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for what, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(what, (value, value))
    _refuse_system_calls(libc)


def _refuse_system_calls(libc: ctypes.CDLL) -> None:
    """Refuse all system calls but those above, where the kernel can do that: should the engine itself be broken."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        return
    arch = ARCHITECTURES[machine]
    column = 1 + [*ARCHITECTURES].index(machine)
    numbers = [int(call.split()[column]) for call in SYSTEM_CALLS.split(",")]
    # seccomp(2): the data begin with the number of the call, then the architecture.
    rules = [(BPF_LOAD, 0, 0, 4), (BPF_JUMP_EQUAL, 1, 0, arch), (BPF_RETURN, 0, 0, SECCOMP_REFUSE), (BPF_LOAD, 0, 0, 0)]
    rules += [(BPF_JUMP_EQUAL, len(numbers) - n, 0, number) for n, number in enumerate(numbers)]
    rules += [(BPF_RETURN, 0, 0, SECCOMP_REFUSE), (BPF_RETURN, 0, 0, SECCOMP_ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code)))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0)


def main() -> None:
    """Try the engine, say whether it works, and serve."""
    names = ("frame", "memory", "stack", "output")
    limits = dict(zip(names, map(float, sys.argv[1:]), strict=True))
    server = Server(limits)
    try:
        wrong = Sandbox("", **server._limits).load()  # noqa: SLF001
        confine()
    except Exception as error:  # noqa: BLE001 - it is told, whatever it is
        wrong = f"{type(error).__name__}: {error}"
    _send(wrong.encode())
    if not wrong:
        server.serve()


if __name__ == "__main__":
    main()
