"""Where a webhook may point: rules for the text of URLs, and for the addresses that names resolve to.

The rules for URLs are narrow on purpose: text that two parsers might read differently is refused. They help the
person who types the URL. What protects the network is ``may_connect``, which the HTTP client asks for every
address that a name resolved to, at every attempt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from wokibrain.core.errors import Text

MAX_URL_LENGTH: Final = 2000
Address = IPv4Address | IPv6Address

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<rest>(?:/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)?(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*)?)",
    re.ASCII,
)
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
# Most resolvers read a host whose last label is a number as an address in one of many notations.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_INSIDE: Final = frozenset(
    {"localhost", "local", "localdomain", "internal", "intranet", "lan", "home", "corp", "arpa"}
)
_SERVICES: Final = frozenset(
    {
        1433,
        1521,
        2049,
        2375,
        2376,
        2379,
        3306,
        3389,
        5432,
        5672,
        5900,
        5984,
        6379,
        6443,
        8086,
        9042,
        9092,
        9200,
    }
    | {9300, 10250, 11211, 15672, 27017, 50070}
)
"""Ports above 1023 of services that are not web servers and that a request could harm or mislead."""


class Refused(Exception):
    """The URL or address is not accepted; ``reason`` is a sentence for people."""

    def __init__(self, reason: Text) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of an accepted URL. ``host`` has no brackets; ``literal`` is set if the host is an address."""

    scheme: str
    host: str
    port: int
    literal: Address | None


def check_url(url: str) -> Target:
    """Return where ``url`` points. Raises Refused for a malformed URL and for one that points to a private network."""
    if len(url) > MAX_URL_LENGTH:
        raise Refused(_("At most 2000 characters."))
    scheme, separator, rest = url.partition("://")
    authority = re.match(r"[^/?#]*", rest)
    # Scheme and host are case-insensitive; the rest is not.
    host_part = authority[0] if authority else ""
    parts = _URL.fullmatch(scheme.lower() + separator + host_part.lower() + rest[len(host_part) :])
    if parts is None:
        raise Refused(
            _(
                "Expected a URL such as https://example.com/hooks: http or https, an ASCII host, no user, no fragment."
            )
        )
    if parts["scheme"] == "http" and settings.PRODUCTION:
        raise Refused(_("Only https is accepted."))
    port = int(parts["port"] or (443 if parts["scheme"] == "https" else 80))
    if port > 65_535 or (port < 1024 and port not in (80, 443)) or port in _SERVICES:
        raise Refused(_("This port is not accepted."))
    host = parts["host"]
    literal = _literal(host)
    if literal is None:
        _check_name(host)
    elif not may_connect(literal):
        raise Refused(_("This address is not on the public internet."))
    return Target(parts["scheme"], host.strip("[]"), port, literal)


def _literal(host: str) -> Address | None:
    if not host.startswith("[") and not _NUMBER.fullmatch(host.rpartition(".")[2]):
        return None
    try:
        # Accepts IPv4 only as four plain decimal parts, and no zone.
        address = ip_address(host.strip("[]"))
    except ValueError:
        raise Refused(_("This address is not in its usual notation.")) from None
    if isinstance(address, IPv6Address) is not host.startswith("["):
        raise Refused(_("This address is not in its usual notation."))
    return address


def _check_name(host: str) -> None:
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused(_("This is not a valid host name."))
    if settings.WEBHOOK_ALLOW_PRIVATE:
        return
    if len(labels) < 2 or labels[-1] in _INSIDE:
        raise Refused(_("This name is not on the public internet."))


def _v6(*networks: str) -> tuple[IPv6Network, ...]:
    return tuple(IPv6Network(network) for network in networks)


_RELAY_6TO4: Final = ip_network("192.88.99.0/24")
_UNICAST_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
# Documentation, benchmarking, ORCHID and Teredo, of which Python versions disagree; 6to4, which hides an IPv4 address.
_SPECIAL_V6: Final = _v6("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")


def may_connect(address: Address) -> bool:
    """Return whether a delivery may go to this address.

    Public addresses are allowed; with WEBHOOK_ALLOW_PRIVATE this machine and private networks too; link-local,
    multicast and reserved addresses never are.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return may_connect(address.ipv4_mapped)
        if address in _NAT64:
            return may_connect(IPv4Address(int(address) & 0xFFFFFFFF))
    if _is_public(address):
        return True
    return bool(settings.WEBHOOK_ALLOW_PRIVATE) and _is_private(address)


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return address not in _RELAY_6TO4
    return address in _UNICAST_V6 and not any(address in network for network in _SPECIAL_V6)


_PRIVATE: Final = tuple(
    ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)


def _is_private(address: Address) -> bool:
    return any(address in network for network in _PRIVATE)
