"""Certificates for servers of the tests, and an authority that signs them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from wokibrain.core import clock


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority; ``path`` is its certificate, for clients to trust."""

    path: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def authority(path: Path) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Tests {path.stem}")
    certificate = _builder(name, name, key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    signed_certificate = certificate.sign(key, SHA256())
    path.write_bytes(signed_certificate.public_bytes(Encoding.PEM))
    return Authority(path, key, signed_certificate)


def server(path: Path, issuer: Authority) -> None:
    """Return a file with a key and a certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _builder(_name("127.0.0.1"), issuer.certificate.subject, key).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
    )
    signed_certificate = certificate.sign(issuer.key, SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + signed_certificate.public_bytes(Encoding.PEM))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = clock.now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
    )
