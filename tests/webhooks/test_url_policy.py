"""P13: no URL that leads to a private address is accepted or connected to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import pytest
from pytest_django import Settings

from tests.ports import free_port
from tests.webhooks import support
from tests.webhooks.support import Receiver
from webhooks import http_client, sender
from webhooks.http_client import Client, Trouble
from webhooks.models import Attempt, Delivery
from webhooks.url_policy import Address, Refused, check_url, may_connect

REFUSED = [
    # private IPv4, in the usual form
    "https://127.0.0.1/", "https://127.1.2.3/", "https://10.0.0.1/", "https://172.16.0.1/", "https://172.31.255.255/",
    "https://192.168.1.1/", "https://169.254.169.254/latest/meta-data/", "https://100.64.0.1/", "https://0.0.0.0/",
    "https://255.255.255.255/", "https://224.0.0.1/", "https://198.18.0.1/", "https://192.0.0.1/", "https://192.0.2.1/",
    "https://240.0.0.1/", "https://192.88.99.1/", "https://203.0.113.7/",
    # decimal, octal, hex, short, mixed, padded
    "https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://0x7f.1/", "https://127.1/",
    "https://127.0.1/", "https://0177.0.0.1/", "https://0x7f.0x0.0x0.0x1/", "https://127.0.0.01/", "https://0/",
    "https://127.0.0.1.5/", "https://4294967296/", "https://0x/", "https://1.2.3.256/", "https://8.8.8.010/",
    # names
    "https://localhost/", "https://LOCALHOST/", "https://a.localhost/", "https://printer.local/", "https://redis/",
    "https://metadata.google.internal/", "https://db.corp/", "https://router.lan/", "https://x.home.arpa/",
    "https://example.com./", "https://127.0.0.1./", "https://localhost./", "https://-a.example.com/",
    "https://a..example.com/", "https://a_b.example.com/", f"https://{'a' * 64}.com/", f"https://{'a.' * 130}com/",
    # IPv6
    "https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/", "https://[fc00::1]/", "https://[fd12::1]/", "https://[ff02::1]/", "https://[::127.0.0.1]/",
    "https://[64:ff9b::127.0.0.1]/", "https://[64:ff9b::a9fe:a9fe]/", "https://[64:ff9b:1::1]/", "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/", "https://[2001:db8::1]/", "https://[fec0::1]/", "https://[::ffff:0:127.0.0.1]/",
    "https://[100::1]/", "https://[1::1]/", "https://[::1/", "https://::1/", "https://[127.0.0.1]/", "https://[v1.x]/",
    # userinfo, odd ports, odd parts
    "https://user@example.com/", "https://user:pass@example.com/", "https://example.com@127.0.0.1/",
    "https://127.0.0.1#@example.com/", "https://example.com#fragment", "https://example.com:22/", "https://example.com:25/",
    "https://example.com:0/", "https://example.com:65536/", "https://example.com:/", "https://example.com:6379/",
    "https://example.com:443443/", "https://example.com:+443/", "https://example.com:9200/", "https://example.com:0443/",
    # other schemes, and non-URLs
    "ftp://example.com/", "file:///etc/passwd", "gopher://example.com/", "javascript:alert(1)", "//example.com/",
    "example.com", "https:/example.com/", "https:///example.com/", "https://", "https://?x", "http:example.com", "",
    # parsers disagree about these
    "https://example.com\\@127.0.0.1/", "https://127.0.0.1\\.example.com/", "https://example.com/\r\nX: y",
    "https://exa mple.com/", " https://example.com/", "https://example.com/ ", "https://example.com/\x00", "https://ⓔxample.com/",
    "https://127。0。0。1/", "https://１２７.0.0.1/", "https://example.com/ñ", "https://%31%32%37.0.0.1/", "https://example.com/\t",
    "https://münchen.example/", "https://" + "a" * 1990 + ".example.com/",
]  # fmt: skip
ACCEPTED = [
    "https://example.com", "https://example.com/", "HTTPS://Example.COM/Hooks?a=b&c=%20", "https://hooks.example.co.uk:8443/x",
    "https://xn--mnchen-3ya.example/", "https://93.184.216.34/", "https://[2606:2800:220:1:248:1893:25c8:1946]/",
    "https://example.com:443/", "http://example.com:80/", "https://a-b.c1.example.com/~x/@y/(z)",
    "https://[64:ff9b::5db8:d822]/",
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_url_of_a_private_or_invalid_address_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        check_url(url)


def test_the_refused_urls_cover_enough_shapes() -> None:
    assert len(set(REFUSED)) >= 100


@pytest.mark.parametrize("url", ACCEPTED)
def test_ordinary_url_is_accepted(url: str) -> None:
    check_url(url)


def test_production_requires_https(settings: Settings) -> None:
    settings.PRODUCTION = True
    check_url("https://example.com/")
    with pytest.raises(Refused, match="https"):
        check_url("http://example.com/")


@pytest.mark.parametrize(
    "inside", ["http://127.0.0.1:9999/", "http://localhost:9999/", "http://[::1]:9999/", "http://10.1.2.3/"]
)
def test_development_may_allow_private_networks(settings: Settings, inside: str) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    check_url(inside)


@pytest.mark.parametrize(
    "inside",
    [
        "http://169.254.169.254/",
        "http://2130706433/",
        "http://0.0.0.0/",
        "http://[fe80::1]/",
        "http://u@127.0.0.1/",
    ],
)
def test_some_addresses_are_refused_even_in_development(settings: Settings, inside: str) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    with pytest.raises(Refused):
        check_url(inside)


@pytest.mark.parametrize("scoped", ["fe80::1%eth0", "2606:4700::1%1"])
def test_address_with_a_zone_is_never_connected_to(scoped: str) -> None:
    assert may_connect(ip_address(scoped)) is False


@contextmanager
def connections() -> Iterator[list[Any]]:
    """Collect every address to which this process connects."""
    addresses: list[Any] = []
    watching = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "socket.connect" and isinstance(arguments[1], tuple):
            addresses.append(arguments[1])

    sys.addaudithook(hook)
    try:
        yield addresses
    finally:
        watching = False


def post(url: str, *answers: list[str]) -> tuple[http_client.Outcome, int]:
    """Make one delivery to ``url`` with a resolver that returns these addresses in turn."""
    lookups = 0

    async def resolver(host: str, port: int) -> list[Address]:
        nonlocal lookups
        lookups += 1
        return [ip_address(text) for text in answers[min(lookups, len(answers)) - 1]]

    async def run() -> http_client.Outcome:
        client = Client(timeout=5, resolver=resolver)
        return await client.post(url, headers={}, body=b"{}")

    return asyncio.run(run()), lookups


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"], ["93.184.216.34", "10.0.0.1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["fe80::1"],
        ["169.254.169.254"], [],
    ],
)  # fmt: skip
def test_host_name_of_a_private_address_is_never_connected_to(answer: list[str]) -> None:
    with connections() as addresses:
        outcome, _ = post("http://rebinding.example.com/", answer)
    assert (outcome.status, outcome.trouble, addresses) == (None, Trouble.REFUSED, [])


@pytest.mark.parametrize("url", [url for url in REFUSED if url.isascii()])
def test_deliveries_to_a_refused_url_are_not_sent(url: str) -> None:
    """Even if it came into the table by another way, or under other settings."""
    with connections() as addresses:
        outcome, lookups = post(url, ["93.184.216.34"])
    assert (outcome.trouble, lookups, addresses) == (Trouble.REFUSED, 0, [])


def test_name_is_resolved_once_and_its_checked_address_connected_to(
    private: None, settings: Settings
) -> None:
    with Receiver() as receiver, connections() as addresses:
        port = int(receiver.url.rpartition(":")[2].partition("/")[0])
        outcome, lookups = post(f"http://rebinding.example.com:{port}/hook", ["127.0.0.1"], ["10.0.0.1"])
    assert (outcome.status, lookups) == (200, 1)
    assert addresses == [("127.0.0.1", port)]
    assert receiver.requests[0].headers["host"] == f"rebinding.example.com:{port}"


@pytest.mark.django_db
def test_name_that_resolves_differently_the_second_time_is_refused_at_delivery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([[ip_address("93.184.216.34")], [ip_address("127.0.0.1")]])
    monkeypatch.setattr(http_client, "addresses_of", lambda host, port: next(answers))
    assert http_client.addresses_of("rebinding.example.com", 80) == [ip_address("93.184.216.34")]
    support.webhook("http://rebinding.example.com/")
    support.publish_event()
    with connections() as addresses:
        sender.drain()
    assert addresses == []
    assert Attempt.objects.get().error == "address_refused"
    assert Delivery.objects.get().status == "PENDING"


def test_canary_without_the_check_a_connection_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary: the same DNS rebinding without the protection."""
    monkeypatch.setattr(http_client, "may_connect", lambda address: True)
    port = free_port()
    with connections() as addresses:
        post(f"http://rebinding.example.com:{port}/", ["127.0.0.1"])
    assert addresses == [("127.0.0.1", port)]


def test_redirect_to_a_private_address_is_not_followed(private: None) -> None:
    with Receiver() as canary, Receiver() as receiver:
        receiver.answer = support.Answer(302, {"Location": canary.url})
        outcome, _ = post(receiver.url, ["127.0.0.1"])
    assert (outcome.status, outcome.ok, canary.requests) == (302, False, [])


def test_proxy_settings_of_the_environment_are_ignored(
    private: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        outcome, _ = post(receiver.url, ["127.0.0.1"])
    assert (outcome.status, len(receiver.requests), proxy.requests) == (200, 1, [])
