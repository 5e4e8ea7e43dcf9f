"""Which processes keep metrics, and whose are added up."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

from tests.processes import api_servers, manage, private_services

HEALTH = re.compile(r'^http_requests_total\{method="GET",route="health",status="200"\} (\S+)$', re.MULTILINE)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_one_web_process_reports_all_and_commands_leave_no_files(tmp_path: Path) -> None:
    with private_services() as services:
        manage("status", environment=services.environment | {"DATA_DIR": str(tmp_path)})
        assert not (tmp_path / "metrics").exists()
        with api_servers(2, services=services) as api:
            for url, times in zip(api.urls, (2, 3), strict=True):
                for _ in range(times):
                    get(f"{url}/health")
            assert [HEALTH.findall(get(f"{url}/metrics")) for url in api.urls] == [["5.0"], ["5.0"]]
