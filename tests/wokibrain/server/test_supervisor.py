"""`make run` seen from outside: one process that starts everything, and stops everything when it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port
from tests.waiting import PATIENCE, until
from wokibrain.core import env
from wokibrain.management.commands import run
from wokibrain.server.supervisor import Supervisor

TOUR = "restaurantId=R1&sectorId=S1&date=2025-10-22&partySize=4&duration=90"


@dataclass(slots=True)
class Run:
    folder: Path
    port: int
    process: subprocess.Popen[str]

    def wait_banner(self, timeout: float = 180) -> str:
        assert self.process.stdout is not None
        lines: list[str] = []
        watchdog = threading.Timer(timeout, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                lines.append(line)
                if "Ctrl-C stops it" in line:
                    return "".join(lines)
            raise AssertionError("".join(lines))
        finally:
            watchdog.cancel()

    def get(self, path: str) -> tuple[int, bytes]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
            return answer.status, answer.read()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        self.process.communicate(timeout=PATIENCE)
        return self.process.returncode

    def family(self) -> list[psutil.Process]:
        return family(self.folder)


def family(folder: Path) -> list[psutil.Process]:
    """Return every process whose command or environment names this folder."""
    processes = []
    for process in psutil.process_iter(["status"]):
        if process.info["status"] == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
            continue
        try:
            text = " ".join(process.cmdline()) + " ".join(process.environ().values())
        except psutil.Error:
            continue
        if str(folder) in text:
            processes.append(process)
    return processes


def start(folder: Path, port: int, **more: str) -> Run:
    settings = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}}
    settings |= {
        "ENVIRONMENT": "development",
        "DATA_DIR": str(folder),
        "PORT": str(port),
        "WEB_PROCESSES": "2",
        "PYTHONUNBUFFERED": "1",
        **more,
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "run"],
        cwd=env.ROOT,
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Run(folder, port, process)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return one folder for all these tests: the first start creates the data, the others use it."""
    folder = tmp_path_factory.mktemp("run") / "data"
    yield folder
    for process in family(folder):
        process.kill()


def test_run_serves_and_ends_cleanly_and_a_second_run_keeps_the_data(folder: Path) -> None:
    first = start(folder, free_port())
    banner = first.wait_banner()
    base = f"http://localhost:{first.port}"
    for text in (f"{base}/api/v1", f"{base}/docs", f"{base}/admin/", "API key   wk_", "Login     "):
        assert text in banner
    data = json.loads(first.get(f"/api/v1/woki/discover?{TOUR}")[1])
    assert data["slotMinutes"] == 15
    booking = urllib.request.Request(
        f"http://127.0.0.1:{first.port}/api/v1/woki/bookings",
        json.dumps(
            {
                "restaurantId": "R1",
                "sectorId": "S1",
                "partySize": 4,
                "durationMinutes": 90,
                "date": "2025-10-22",
            }
        ).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(booking, timeout=PATIENCE) as answer:
        new_booking = json.loads(answer.read())
    assert len(first.family()) > 5
    assert first.end(signal.SIGTERM) == 0
    assert first.family() == []

    second = start(folder, first.port)
    assert "manage.py changepassword host" in second.wait_banner()
    assert (
        json.loads(second.get(f"/api/v1/woki/bookings/{new_booking['id']}")[1])["tableIds"]
        == new_booking["tableIds"]
    )
    assert second.end(signal.SIGINT) == 0
    assert second.family() == []


def test_dead_web_process_is_replaced(folder: Path) -> None:
    run = start(folder, free_port())
    run.wait_banner()
    workers = [process for process in run.family() if "wokibrain.serve" in process.cmdline()]
    assert len(workers) == 2
    before = {process.pid for process in workers}
    for process in workers:
        process.kill()

    def replaced() -> bool:
        now = {process.pid for process in run.family() if "wokibrain.serve" in process.cmdline()}
        return len(now) == 2 and not now & before

    assert until(replaced)
    # Requests sent meanwhile wait in the socket that the supervisor holds, and are answered.
    assert run.get("/health/live")[0] == 200
    assert run.end(signal.SIGTERM) == 0


def test_killed_supervisor_leaves_no_processes_and_the_next_start_works(folder: Path) -> None:
    run = start(folder, free_port())
    run.wait_banner()
    run.process.kill()
    run.process.wait()
    assert until(lambda: run.family() == [], timeout=PATIENCE)
    again = start(folder, run.port)
    again.wait_banner()
    assert again.get("/health/live")[0] == 200
    assert again.end(signal.SIGTERM) == 0


def test_taken_port_is_reported_in_one_line_and_nothing_starts(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = start(folder, port)
        output, _ = run.process.communicate(timeout=PATIENCE)
    assert run.process.returncode == 1
    assert (
        output
        == f"wokibrain: port {port} is taken; stop what uses it, or choose another with PORT={port + 1}\n"
    )
    assert not (folder / "postgres").exists()


def test_second_run_on_the_same_port_is_refused_too(folder: Path) -> None:
    run = start(folder, free_port())
    run.wait_banner()
    twin = start(folder, run.port)
    output, _ = twin.process.communicate(timeout=PATIENCE)
    assert (twin.process.returncode, output.count("\n")) == (1, 1)
    assert run.get("/health/live")[0] == 200
    assert run.end(signal.SIGTERM) == 0


def test_another_command_starts_the_servers_while_it_runs(folder: Path) -> None:
    settings = {key: value for key, value in os.environ.items() if key not in {"DATABASE_URL", "REDIS_URL"}}
    result = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=env.ROOT,
        env=settings | {"ENVIRONMENT": "development", "DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert (folder / "postgres" / "PG_VERSION").exists()
    assert until(lambda: family(folder) == [])


def test_the_banner_follows_however_late_the_web_server_answers(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    statuses = [503, 503, 503]

    class SlowStart(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop() if statuses else 200)
            self.end_headers()

    monkeypatch.setattr(run, "FIRST_ANSWER_SECONDS", 0.0)
    with HTTPServer(("127.0.0.1", 0), SlowStart) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        run.announce(Supervisor([]), f"http://127.0.0.1:{server.server_port}", [])
        server.shutdown()
    output = "".join(capfd.readouterr())
    assert output.count("wokibrain: the web server does not answer yet; see its output above\n") == 1
    assert "WokiBrain is running" in output.partition("does not answer yet")[2]
