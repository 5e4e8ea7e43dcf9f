"""The address of the client behind trusted proxies."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.conf import settings

Address = IPv4Address | IPv6Address
MAX_HOPS = 20
"""Entries of X-Forwarded-For that are read, from the right; the client can add any number."""


def client_address(meta: Mapping[str, Any]) -> str:
    """Return the client's address; for IPv6 its /64 network, which belongs to one subscriber.

    X-Forwarded-For is believed as far as TRUSTED_PROXIES wrote it: read from the right, the first address that is
    not one of theirs. Returns ``unknown`` where the server gives no address.
    """
    return _client(meta.get("REMOTE_ADDR", ""), meta.get("HTTP_X_FORWARDED_FOR", ""), _proxies())


def _proxies() -> tuple[str, ...]:
    return tuple(settings.TRUSTED_PROXIES)


@lru_cache(maxsize=4096)
def _client(remote: str, forwarded: str, proxies: tuple[str, ...]) -> str:
    networks = _networks(proxies)
    last = _parsed(remote)
    if last is None:
        return "unknown"
    if networks and forwarded:
        for hop in reversed(forwarded.split(",")[-MAX_HOPS:]):
            if not any(last in network for network in networks):
                break
            address = _parsed(hop.strip())
            if address is None:
                break
            last = address
    if isinstance(last, IPv6Address):
        return str(ip_network((last, 64), strict=False))
    return str(last)


@lru_cache(maxsize=8)
def _networks(proxies: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(proxy, strict=False) for proxy in proxies)


def _parsed(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
