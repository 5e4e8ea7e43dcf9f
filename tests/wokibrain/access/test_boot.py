"""P18: production refuses to start with any unsafe setting, and names it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SAFE = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "s3cr3t-Key-of-our-own-with-more-than-fifty-characters!",
    "JWT_SECRET": "another-secret-of-our-own-for-tokens-0123456789",
    "ADMIN_SECRET": "a-third-secret-of-our-own-for-set-up-0123456789",
    "WEBHOOK_SECRET_KEYS": "a-fourth-secret-of-our-own-for-webhooks-0123456789",
    "ALLOWED_HOSTS": "book.example.com",
    "DATABASE_URL": "postgresql://app:pw@db.internal.example/wokibrain",
    "REDIS_URL": "redis://redis.internal.example:6379/0",
}
UNSAFE = [
    ("DEBUG", "true"),
    ("SECRET_KEY", ""),
    ("SECRET_KEY", "too-short"),
    ("SECRET_KEY_FALLBACKS", "too-short"),
    ("SECRET_KEY_FALLBACKS", f"{SAFE['JWT_SECRET']}-before,development-only-secret-key-change-me"),
    ("JWT_SECRET", ""),
    ("JWT_SECRET", "too-short"),
    ("JWT_SECRET", SAFE["SECRET_KEY"]),
    ("ADMIN_SECRET", ""),
    ("ADMIN_SECRET", "too-short"),
    ("WEBHOOK_SECRET_KEYS", ""),
    ("WEBHOOK_SECRET_KEYS", "too-short"),
    ("ALLOWED_HOSTS", ""),
    ("ALLOWED_HOSTS", "*"),
    ("ALLOWED_HOSTS", "book.example.com,*"),
    ("CORS_ALLOWED_ORIGINS", "*"),
    ("DATABASE_URL", ""),
    ("REDIS_URL", ""),
    ("TRUSTED_PROXIES", "0.0.0.0/0"),
    ("TRUSTED_PROXIES", "::/0"),
    ("TRUSTED_PROXIES", "not-an-address"),
    ("PUBLIC_PERMISSIONS", "guest:read"),
    ("PUBLIC_PERMISSIONS", "booking:create,restaurant:update"),
    ("PUBLIC_PERMISSIONS", "no:such"),
    ("RATE_LIMIT_MAX", "0"),
    ("KAFKA_SASL_MECHANISM", "PLAIN"),
    ("KAFKA_SSL_CA", "/etc/ssl/kafka.pem"),
    ("KAFKA_SASL_USERNAME", "wokibrain"),
    ("KAFKA_SASL_PASSWORD", "hunter2hunter2"),
]


def boot(tmp_path: Path, changes: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment |= SAFE | {"DATA_DIR": str(tmp_path)} | changes
    program = arguments if arguments[:1] == ("-m",) else ("manage.py", *(arguments or ("check",)))
    return subprocess.run(
        [sys.executable, "-W", "ignore", *program],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_each_unsafe_setting_is_refused_by_name(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda setting: boot(tmp_path, dict([setting])), UNSAFE))
    for (name, value), process in zip(UNSAFE, ended, strict=True):
        assert process.returncode != 0, (name, value)
        (sentence,) = process.stderr.splitlines()
        assert sentence.startswith("wokibrain: "), (name, value, sentence)
        assert name in sentence, (name, value, sentence)


def test_safe_settings_start_and_pass_djangos_own_checks(tmp_path: Path) -> None:
    """The canary of the above, and `check --deploy` without a warning."""
    kafka = {
        "KAFKA_BROKERS": "kafka.internal.example:9093",
        "KAFKA_SSL": "true",
        "KAFKA_SSL_CA": "/etc/ssl/kafka.pem",
        "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "wokibrain",
        "KAFKA_SASL_PASSWORD": "hunter2hunter2",
    }
    for changes in ({}, kafka):
        process = boot(tmp_path, changes, "check", "--deploy", "--fail-level", "WARNING")
        assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("command", [["migrate"], ["shell", "-c", "pass"]])
def test_no_command_starts_with_an_unsafe_setting(tmp_path: Path, command: list[str]) -> None:
    process = boot(tmp_path, {"DEBUG": "true"}, *command)
    assert process.returncode != 0
    assert "DEBUG must be off" in process.stderr


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "value"), [("ADMIN_SECRET", "too-short"), ("WEB_THREADS", "many"), ("WEB_PROCESSES", "0")]
)
def test_the_web_server_does_not_start_with_an_unsafe_setting(
    tmp_path: Path, processes: str, name: str, value: str
) -> None:
    process = boot(tmp_path, {"WEB_PROCESSES": processes, "PORT": "0", name: value}, "-m", "wokibrain.serve")
    assert process.returncode == 1
    (sentence,) = process.stderr.splitlines()
    assert sentence.startswith("wokibrain: ")
    assert name in sentence


def test_refusals_to_start_reveal_no_secret(tmp_path: Path) -> None:
    process = boot(tmp_path, {"DEBUG": "true", "JWT_SECRET": "short-but-mine"})
    assert "JWT_SECRET" in process.stderr
    for value in ("short-but-mine", SAFE["SECRET_KEY"], ":pw@"):
        assert value not in process.stderr + process.stdout


HSTS = (
    "from django.conf import settings as s; print(s.SECURE_HSTS_SECONDS, s.SECURE_HSTS_INCLUDE_SUBDOMAINS, "
    "s.SECURE_HSTS_PRELOAD)"
)


@pytest.mark.parametrize(
    ("changes", "policy"),
    [
        ({}, "31536000 False False"),
        ({"HSTS_SUBDOMAINS": "1", "HSTS_PRELOAD": "1"}, "31536000 True True"),
        ({"HSTS_SUBDOMAINS": "1", "HSTS_PRELOAD": "1", "TLS": "0"}, "0 False False"),
    ],
)
def test_subdomains_are_bound_to_tls_only_if_configured(
    tmp_path: Path, changes: dict[str, str], policy: str
) -> None:
    assert boot(tmp_path, changes, "shell", "-v", "0", "-c", HSTS).stdout == f"{policy}\n"
