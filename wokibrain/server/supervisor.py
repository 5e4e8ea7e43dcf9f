"""Runs the product's programs as child processes: forwards their output, restarts them, stops them in order."""

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

RESTART_SECONDS = (0.2, 1, 2, 4, 8, 15, 30)
"""The pause before a restart, by how often the program ended before."""
STEADY_SECONDS = 60.0
"""After running this long a program's earlier ends are forgotten."""
STOP_SECONDS = 15.0
"""How long all programs together may take to stop before they are killed."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Program:
    """`arguments` are those of Python; `descriptors` are the open files that the process inherits."""

    name: str
    arguments: tuple[str, ...]
    descriptors: tuple[int, ...] = ()


@dataclass(slots=True)
class Child:
    program: Program
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    restart_at: float = 0.0
    reader: threading.Thread | None = field(default=None, repr=False)


class Supervisor:
    """Call `run` from the main thread: it receives the signals, and children end with the thread that started them."""

    def __init__(self, programs: Sequence[Program], *, prefix: bool = True) -> None:
        self.children = [Child(program) for program in programs]
        self.stopping = False
        self._width = max((len(program.name) for program in programs), default=0) if prefix else 0
        self._out = threading.Lock()

    def run(self, when_started: Callable[["Supervisor"], None] | None = None) -> int:
        """Run until SIGINT, SIGTERM or SIGHUP arrives; return 0."""
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
            # A process group of its own: Ctrl-C reaches only the supervisor, which stops the children in order.
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
        """Note the programs that ended, and start those whose pause is over."""
        now = time.monotonic()
        for child in self.children:
            if child.process is not None:
                code = child.process.poll()
                if code is None:
                    if child.failures and now - child.started > STEADY_SECONDS:
                        child.failures = 0
                    continue
                # Its own children would keep ports and locks.
                _signal_group(child.process, signal.SIGKILL)
                child.process = None
                wait = RESTART_SECONDS[min(child.failures, len(RESTART_SECONDS) - 1)]
                child.failures += 1
                child.restart_at = now + wait
                self.say(
                    f"{child.program.name} ended ({_exit_reason(code)}); starting it again in {wait:g} s"
                )
            elif now >= child.restart_at:
                self._start(child)

    def _stop(self) -> None:
        alive = [child.process for child in self.children if child.process is not None]
        for process in reversed(alive):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for process in alive:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal_group(process, signal.SIGKILL)
            process.wait()
        for child in self.children:
            if child.reader is not None:
                child.reader.join(1)

    def _pass_on(self, name: str, pipe: IO[bytes]) -> None:
        prefix = f"{name:<{self._width}} | ".encode()
        with pipe:
            for line in pipe:
                with self._out, contextlib.suppress(BrokenPipeError):
                    # No prefix before JSON, which log collectors parse.
                    sys.stdout.buffer.write(line if line.startswith(b"{") else prefix + line)
                    sys.stdout.buffer.flush()

    def say(self, text: str) -> None:
        with self._out, contextlib.suppress(BrokenPipeError):
            print(text, file=sys.stderr, flush=True)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _exit_reason(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
