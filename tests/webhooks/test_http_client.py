"""A POST over TLS, and host names that do not resolve."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.ports import free_port
from tests.waiting import PATIENCE
from tests.webhooks import support
from webhooks import http_client
from webhooks.http_client import Client, Outcome, Trouble
from webhooks.url_policy import Address

pytestmark = pytest.mark.usefixtures("private")
NAME = "hooks.example.com"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a self-signed certificate for NAME, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    x509_certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        x509_certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@contextmanager
def tls_server(certificate: Path, names: list[str | None]) -> Iterator[int]:
    """Run a TLS server; ``names`` collects the names in SNI and the Host headers of clients."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            names.append(self.headers["Host"])
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def post(
    url: str,
    tls: ssl.SSLContext | None = None,
    resolver: http_client.Resolver | None = None,
    timeout: float = 10,
) -> Outcome:
    async def here(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.1")]

    async def run() -> Outcome:
        client = Client(timeout=timeout, resolver=resolver or here, tls=tls)
        return await client.post(url, headers={}, body=b"{}")

    return asyncio.run(run())


def test_pinned_connection_keeps_the_name_in_sni_certificate_and_host(certificate: Path) -> None:
    names: list[str | None] = []
    with tls_server(certificate, names) as port:
        outcome = post(f"https://{NAME}:{port}/", ssl.create_default_context(cafile=str(certificate)))
    assert (outcome.status, outcome.trouble) == (204, None)
    assert names == [NAME, f"{NAME}:{port}"]


def test_certificate_of_an_untrusted_authority_is_refused(certificate: Path) -> None:
    with tls_server(certificate, []) as port:
        outcome = post(f"https://{NAME}:{port}/")
    assert (outcome.status, outcome.trouble) == (None, Trouble.TLS)


def test_certificate_of_another_name_is_refused(certificate: Path) -> None:
    with tls_server(certificate, []) as port:
        outcome = post(
            f"https://other.example.com:{port}/", ssl.create_default_context(cafile=str(certificate))
        )
    assert (outcome.status, outcome.trouble) == (None, Trouble.TLS)


def test_https_to_a_server_without_tls_has_its_own_error() -> None:
    with support.Receiver() as receiver:
        outcome = post(receiver.url.replace("http:", "https:").replace("127.0.0.1", NAME))
    assert (outcome.status, outcome.trouble) == (None, Trouble.TLS)


def test_closed_port_is_a_connection_error() -> None:
    assert post(f"http://{NAME}:{free_port()}/").trouble is Trouble.CONNECT


def test_unknown_host_name_is_a_name_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(host: str, port: int) -> list[Address]:
        raise OSError("no such name")

    monkeypatch.setattr(http_client, "addresses_of", fail)
    assert post("http://nowhere.example.com/", resolver=http_client.resolve).trouble is Trouble.DNS


def test_name_server_that_hangs_counts_against_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    answers: list[str] = []

    def hang(host: str, port: int) -> list[Address]:
        ended.wait(PATIENCE)
        answers.append(host)
        return []

    monkeypatch.setattr(http_client, "addresses_of", hang)

    async def run() -> Outcome:
        client = Client(timeout=0.2)
        return await client.post("http://slow.example.com/", headers={}, body=b"{}")

    outcome = asyncio.run(run())
    assert not answers, "the name server still hangs"
    ended.set()
    assert outcome.trouble is Trouble.TIMEOUT


def test_response_counts_if_the_deadline_passes_while_the_connection_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def close_late(_: object) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(http_client._Stream, "aclose", close_late)
    more_than_is_read = support.Answer(body=b"x" * 2 * http_client.MAX_BODY_BYTES)
    with support.Receiver(more_than_is_read) as receiver:
        outcome = post(receiver.url.replace("127.0.0.1", NAME), timeout=1)
    assert (outcome.status, outcome.trouble) == (200, None)


def test_lookups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "_lookups", threading.BoundedSemaphore(1))
    http_client._lookups.acquire()
    assert post("http://busy.example.com/", resolver=http_client.resolve).trouble is Trouble.DNS


def test_localhost_is_resolved_by_the_system() -> None:
    async def run() -> list[Address]:
        return await http_client.resolve("localhost", 80)

    assert ip_address("127.0.0.1") in asyncio.run(run())
