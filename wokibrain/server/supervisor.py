"""Runs programs of ours as child processes: passes on what they print, replaces what dies, ends them in order."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

from wokibrain.core import env
from wokibrain.server import sockets

BACKOFF = (0.2, 1, 2, 4, 8, 15, 30)
STEADY_AFTER = 60.0
STOP_TIMEOUT = 15.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Program:
    """`arguments` are Python's; `descriptors` are the open files the process inherits."""

    name: str
    arguments: tuple[str, ...]
    descriptors: tuple[int, ...] = ()


@dataclass(slots=True)
class Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    again_at: float = 0.0
    reader: threading.Thread | None = field(default=None, repr=False)


class Supervisor:
    """Call `run` from the main thread: children end with the thread that started them, and signals arrive there."""

    def __init__(self, programs: Sequence[Program], *, prefix: bool = True) -> None:
        self.children = [Child(program) for program in programs]
        self.stopping = False
        self._width = max((len(program.name) for program in programs), default=0) if prefix else 0
        self._out = threading.Lock()

    def run(self, when_started: Callable[["Supervisor"], None] | None = None) -> int:
        """Run until told to stop by SIGINT, SIGTERM or SIGHUP; return 0."""
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        try:
            for child in self.children:
                self._start(child)
            if when_started is not None:
                when_started(self)
            while not self.stopping:
                self.look_after()
                time.sleep(0.1)
        finally:
            self._stop()
            for number, handler in before.items():
                signal.signal(number, handler)
        return 0

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _start(self, child: Child) -> None:
        parent = os.getpid()
        child.process = subprocess.Popen(
            [sys.executable, *child.program.arguments],
            cwd=env.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if self._width else None,
            stderr=subprocess.STDOUT if self._width else None,
            pass_fds=child.program.descriptors,
            # A group of its own: Ctrl-C reaches us alone, and we end the others in order.
            process_group=0,
            preexec_fn=lambda: sockets.die_with_parent(parent),
        )
        child.started = time.monotonic()
        if child.process.stdout is not None:
            child.reader = threading.Thread(
                target=self._pass_on, args=(child.program.name, child.process.stdout), daemon=True
            )
            child.reader.start()

    def look_after(self) -> None:
        now = time.monotonic()
        for child in self.children:
            if child.process is not None:
                code = child.process.poll()
                if code is None:
                    if child.failures and now - child.started > STEADY_AFTER:
                        child.failures = 0
                    continue
                # Whatever it had started itself would hold on to ports and locks.
                _signal_group(child.process, signal.SIGKILL)
                child.process = None
                wait = BACKOFF[min(child.failures, len(BACKOFF) - 1)]
                child.failures += 1
                child.again_at = now + wait
                self.say(f"{child.program.name} ended ({_how(code)}); starting it again in {wait:g} s")
            elif now >= child.again_at:
                self._start(child)

    def _stop(self) -> None:
        alive = [child.process for child in self.children if child.process is not None]
        for process in reversed(alive):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(process, signal.SIGKILL)
            process.wait()
        for child in self.children:
            if child.reader is not None:
                child.reader.join(1)

    def _pass_on(self, name: str, pipe: IO[bytes]) -> None:
        mark = f"{name:<{self._width}} | ".encode()
        with pipe:
            for line in pipe:
                with self._out, contextlib.suppress(BrokenPipeError):
                    # Lines that are JSON stay JSON.
                    sys.stdout.buffer.write(line if line.startswith(b"{") else mark + line)
                    sys.stdout.buffer.flush()

    def say(self, text: str) -> None:
        with self._out, contextlib.suppress(BrokenPipeError):
            print(text, file=sys.stderr, flush=True)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
