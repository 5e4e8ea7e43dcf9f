"""The embedded servers: start, share, stop, and recover from every kind of sudden end."""

import fcntl
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from tests.waiting import until
from wokibrain import embedded
from wokibrain.core import env
from wokibrain.embedded import lease

NOBODY = 65_534
BOTH = (
    "import sys; from pathlib import Path; from wokibrain import embedded;"
    "lease = embedded.Lease(Path(sys.argv[1]), eval(sys.argv[2]) if sys.argv[2:] else None);"
)


def using(
    folder: Path, *, then: str = "sys.stdin.readline(); lease.release()", names: str = "None"
) -> subprocess.Popen[str]:
    """Run another process that uses the servers until its input ends."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"{BOTH} lease.take(); print('taken', flush=True); {then}",
            str(folder),
            names,
        ],
        cwd=env.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "taken\n"
    return process


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def pids(folder: Path) -> list[int | None]:
    return [server.pid for server in embedded.servers(folder)]


def running(folder: Path) -> list[bool]:
    return [server.running() for server in embedded.servers(folder)]


def leftovers(folder: Path) -> list[int]:
    """Return the pid of every process whose command names the folder."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and str(folder) in " ".join(process.info["cmdline"] or [])
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "data"
    for server in embedded.servers(tmp_path / "data"):
        server.stop()


def write(folder: Path, value: str) -> None:
    postgres, cache = embedded.servers(folder)
    with psycopg.connect(postgres.url) as connection:
        connection.execute("create table if not exists kept (value text)")
        connection.execute("insert into kept values (%s)", [value])
    client = redis.Redis.from_url(cache.url)
    client.rpush("kept", value)
    client.close()


def read(folder: Path) -> tuple[list[str], list[bytes]]:
    postgres, cache = embedded.servers(folder)
    with psycopg.connect(postgres.url) as connection:
        rows = [row[0] for row in connection.execute("select value from kept order by value")]
    client = redis.Redis.from_url(cache.url)
    items = client.lrange("kept", 0, -1)
    client.close()
    assert isinstance(items, list)
    return rows, sorted(items)


def test_stop_and_start_keeps_the_data(folder: Path) -> None:
    leave_first = using(folder)
    write(folder, "one")
    leave(leave_first)
    assert running(folder) == [False, False]
    assert leftovers(folder) == []
    second = using(folder)
    assert read(folder) == (["one"], [b"one"])
    leave(second)


def test_servers_run_until_the_last_user_leaves(folder: Path) -> None:
    first, second = using(folder), using(folder)
    before = pids(folder)
    leave(first)
    assert running(folder) == [True, True]
    assert pids(folder) == before
    leave(second)
    assert running(folder) == [False, False]


def test_checking_for_users_does_not_count_as_use(folder: Path) -> None:
    """The last user waits for the servers' end; several users may leave at once."""
    folder.mkdir(exist_ok=True)
    server = embedded.servers(folder)[0]

    def look() -> bool:
        return any(lease._in_use(folder, server) for _ in range(1000))

    with ThreadPoolExecutor(3) as pool:
        assert [future.result() for future in [pool.submit(look) for _ in range(3)]] == [False] * 3
    with lease._lock(folder, server, "users") as user:
        assert lease._try(user, fcntl.LOCK_SH)
        assert lease._in_use(folder, server)


def test_concurrent_starts_share_one_pair_of_servers(folder: Path) -> None:
    say = "print([server.pid for server in embedded.servers(lease.folder)], flush=True)"
    code = f"{BOTH} lease.take(); {say}; sys.stdin.readline(); lease.release()"
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            cwd=env.ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    lines = {starter.stdout.readline() for starter in starters if starter.stdout}
    assert lines == {f"{pids(folder)}\n"}
    for starter in starters:
        leave(starter)
    assert leftovers(folder) == []


def test_servers_stop_when_their_user_is_killed(folder: Path) -> None:
    user = using(folder)
    write(folder, "one")
    user.kill()
    user.wait()
    assert until(lambda: leftovers(folder) == [])
    again = using(folder)
    assert read(folder) == (["one"], [b"one"])
    leave(again)


def test_the_next_start_recovers_from_a_killed_keeper(folder: Path) -> None:
    user = using(folder)
    write(folder, "one")
    postgres = embedded.servers(folder)[0].pid
    assert postgres is not None
    os.kill(psutil.Process(postgres).ppid(), signal.SIGKILL)
    again = using(folder)
    assert read(folder) == (["one"], [b"one"])
    leave(again)
    leave(user)
    assert until(lambda: leftovers(folder) == [])


def test_killed_server_is_restarted(folder: Path) -> None:
    user = using(folder)
    write(folder, "one")
    for server in embedded.servers(folder):
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert until(lambda server=server, pid=pid: server.pid not in (None, pid) and server.running())  # type: ignore[misc]
    assert read(folder) == (["one"], [b"one"])
    leave(user)


def test_stale_pid_file_with_the_pid_of_another_process(folder: Path) -> None:
    leave(using(folder))
    # The pid of this test is that of a living process other than Postgres.
    stale = folder / "postgres" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{folder / 'postgres'}\n1\n5432\n\n\n\nready\n", encoding="utf-8")
    user = using(folder)
    assert running(folder) == [True, True]
    leave(user)


def test_interrupted_first_start_is_repeated(folder: Path) -> None:
    (folder / "postgres.new").mkdir(parents=True)
    (folder / "postgres.new" / "PG_VERSION").write_text("18\n", encoding="utf-8")
    user = using(folder)
    assert running(folder) == [True, True]
    leave(user)


def test_a_long_path_or_spaces_move_the_sockets_elsewhere(tmp_path: Path) -> None:
    for name in ("x" * 120, "with space"):
        folder = tmp_path / name
        user = using(folder)
        write(folder, "one")
        assert read(folder) == (["one"], [b"one"])
        sockets = [server.sockets for server in embedded.servers(folder)]
        assert all(len(str(path)) < 80 and " " not in str(path) for path in sockets)
        leave(user)
        assert [path.exists() for path in sockets] == [False, False]


def test_sockets_are_found_whatever_a_processs_temp_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / name))
        monkeypatch.setattr(tempfile, "tempdir", None)
        sockets.append([server.sockets for server in embedded.servers(tmp_path / ("x" * 120))])
    assert sockets[0] == sockets[1]


def closed_to_others() -> bool:
    """Return whether an ordinary user cannot run this Python."""
    python = Path(sys.executable).resolve()
    return not all(
        path.stat().st_mode & stat.S_IXOTH for path in (python, *python.parents, *env.ROOT.parents)
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(closed_to_others(), reason="Python or the checkout is closed to other users")
def test_root_uses_the_data_of_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory(prefix="wokibrain-user-") as name:
        os.chown(name, NOBODY, NOBODY)
        folder = Path(name) / "data"
        say = "lease.take(); print([server.running() for server in embedded.servers(lease.folder)])"
        result = subprocess.run(
            [sys.executable, "-c", f"{BOTH} {say}", str(folder)],
            cwd=env.ROOT,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.stdout == "[True, True]\n", result.stderr
        assert until(lambda: leftovers(folder) == [])
        user = using(folder)
        assert running(folder) == [True, True]
        leave(user)
        assert {path.stat().st_uid for path in (folder / "postgres").iterdir()} == {NOBODY}


def test_private_pair_is_frozen_killed_and_restarted_in_place(tmp_path: Path) -> None:
    postgres = embedded.Postgres(tmp_path / "pg", durable=False, options={"max_connections": "20"})
    cache = embedded.Redis(tmp_path / "redis", durable=False)
    try:
        postgres.start()
        cache.start()
        with psycopg.connect(postgres.url) as connection:
            row = connection.execute(
                "select current_setting('fsync'), current_setting('max_connections')"
            ).fetchone()
            assert row == ("off", "20")
        for server in (postgres, cache):
            first = server.pid
            server.pause()
            # The listen queue still accepts connections, which makes a frozen server worse than a dead one.
            assert server.running()
            server.resume()
            server.kill()
            assert server.pid is None
            assert not server.running()
            server.start()
            assert server.pid != first
            assert server.running()
    finally:
        cache.stop()
        postgres.stop()
    assert leftovers(tmp_path) == []


def test_socket_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "pg").symlink_to(tmp_path)
    with pytest.raises(embedded.EmbeddedError, match="belongs to another user"):
        embedded.Postgres(tmp_path / "pg").start()


def test_a_dead_servers_socket_file_is_recognized(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert embedded.answers(path)
    assert path.exists()
    assert not embedded.answers(path)


def test_only_requested_servers_are_started_and_stopped(folder: Path) -> None:
    cache = using(folder, names='["redis-server"]')
    assert running(folder) == [False, True]
    both = using(folder)
    write(folder, "one")
    leave(cache)
    assert running(folder) == [True, True]
    assert read(folder) == (["one"], [b"one"])
    leave(both)
    assert running(folder) == [False, False]
    assert leftovers(folder) == []


@pytest.mark.parametrize(
    ("environment", "runs"),
    [
        ({}, [True, True]),
        ({"DATABASE_URL": "postgresql://u@db.example/d"}, [False, True]),
        ({"REDIS_URL": "redis://cache.example/0"}, [True, False]),
        (
            {"DATABASE_URL": "postgresql://u@db.example/d", "REDIS_URL": "redis://cache.example/0"},
            [False, False],
        ),
    ],
)
def test_an_external_server_is_not_started(
    folder: Path, environment: dict[str, str], runs: list[bool]
) -> None:
    say = (
        "from wokibrain import embedded\n"
        "with embedded.running(): print([server.running() for server in embedded.servers()])"
    )
    urls = {"DATABASE_URL": "", "REDIS_URL": ""}
    result = subprocess.run(
        [sys.executable, "-c", say],
        cwd=env.ROOT,
        env=os.environ | {"DATA_DIR": str(folder)} | urls | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == f"{runs}\n", result.stderr
    assert leftovers(folder) == []


@pytest.mark.parametrize(
    ("says", "builtin"),
    [
        ("initdb (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", False),
        ("initdb (PostgreSQL) 16.3", False),
        ("initdb (PostgreSQL) 17.5 (Ubuntu 17.5-1.pgdg24.04+1)", True),
        ("initdb (PostgreSQL) 18beta1", True),
    ],
)
def test_an_older_postgres_gets_no_unsupported_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, builtin: bool
) -> None:
    arguments_file = tmp_path / "arguments"
    initdb = tmp_path / "initdb"
    initdb.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{says}" || echo "$@" > "{arguments_file}"\n')
    initdb.chmod(0o755)
    folder = tmp_path / "postgres"
    folder.mkdir()
    monkeypatch.setattr(embedded.postgres, "postgres_binary", lambda _: initdb)
    embedded.Postgres(folder).prepare(None)
    arguments = arguments_file.read_text().split()
    assert "--locale=C.UTF-8" in arguments
    assert ("--locale-provider=builtin" in arguments) is builtin
