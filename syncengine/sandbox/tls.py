"""HTTPS with the sandbox's own certificate authority; public clients refuse plain HTTP."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec


class Files(NamedTuple):
    """Where the certificates lie."""

    ca: Path
    certificate: Path
    key: Path
    clients: Path
    """Authority of client certificates."""
    clients_key: Path


def files(directory: Path) -> Files:
    """The certificates of a sandbox, made at its first start with TLS."""
    found = Files(*(directory / name for name in ("ca.pem", "server.pem", "server.key", "clients.pem", "clients.key")))
    if not all(path.exists() for path in found[:3]):
        _make_server(found)
    if not all(path.exists() for path in found[3:]):
        authority, key = _authority("syncengine sandbox client CA")
        _write(found.clients_key, _private(key), 0o600)
        _write(found.clients, _public(authority), 0o644)
    return found


def client(directory: Path, name: str) -> tuple[Path, Path]:
    """A certificate that the sandbox accepts, and its key; the seed says whose login that common name is."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.x509.oid import ExtendedKeyUsageOID

    found = files(directory)
    authority = x509.load_pem_x509_certificate(found.clients.read_bytes())
    signer: Any = serialization.load_pem_private_key(found.clients_key.read_bytes(), None)
    certificate, key = _issue(name, authority, signer, ExtendedKeyUsageOID.CLIENT_AUTH, [])
    made = directory / f"client-{name}.pem", directory / f"client-{name}.key"
    _write(made[1], _private(key), 0o600)
    _write(made[0], _public(certificate), 0o644)
    return made


def _make_server(files: Files) -> None:
    # heavy to import, and only the first start with TLS needs it
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    ca, ca_key = _authority("syncengine sandbox CA")
    names = [
        x509.DNSName("localhost"),
        x509.DNSName("api.localhost"),
        x509.DNSName("oauth.localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    certificate, key = _issue("localhost", ca, ca_key, ExtendedKeyUsageOID.SERVER_AUTH, names)
    _write(files.key, _private(key), 0o600)
    _write(files.certificate, _public(certificate), 0o644)
    _write(files.ca, _public(ca), 0o644)


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _authority(called: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    start = datetime.now(UTC) - timedelta(days=1)
    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(called))
        .issuer_name(_name(called))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return made, key


def _issue(
    called: str,
    authority: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
    purpose: x509.ObjectIdentifier,
    names: Sequence[x509.GeneralName],
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    start = datetime.now(UTC) - timedelta(days=1)
    key = ec.generate_private_key(ec.SECP256R1())
    draft = (
        x509.CertificateBuilder()
        .subject_name(_name(called))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        # clients refuse server certificates that live much longer than this
        .not_valid_after(start + timedelta(days=800))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if names:
        draft = draft.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return draft.sign(signer, hashes.SHA256()), key


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    pem = serialization.Encoding.PEM
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _public(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
