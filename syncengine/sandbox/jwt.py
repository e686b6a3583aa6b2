"""JSON Web Tokens, as far as the JWT bearer grant needs them: RFC 7515 signatures, the claims as they stand."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import orjson

_RSA, _EC, _HMAC = "RS", "ES", "HS"
ALGORITHMS = tuple(f"{kind}{bits}" for kind in (_RSA, _EC, _HMAC) for bits in (256, 384, 512))


class JwtError(ValueError):
    """A token that proves nothing."""


def claims(token: str, key: str) -> dict[str, Any]:
    """The claims of a token whose signature is right; `key` is a PEM, or for HS the shared secret."""
    try:
        head, body, signature = token.split(".")
        header, found = orjson.loads(_decode(head)), orjson.loads(_decode(body))
        given = _decode(signature)
    except ValueError as fault:
        raise JwtError("not a token") from fault
    if not isinstance(header, dict) or not isinstance(found, dict):
        raise JwtError("not a token")
    algorithm = str(header.get("alg"))
    if algorithm not in ALGORITHMS:
        raise JwtError(f"algorithm {algorithm}")
    _verify(algorithm, key, f"{head}.{body}".encode(), given)
    return found


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _verify(algorithm: str, key: str, message: bytes, signature: bytes) -> None:
    # heavy to import, and only this grant needs it
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    kind, bits = algorithm[:2], algorithm[2:]
    if kind == _HMAC:
        if "-----BEGIN" in key:
            # a public key is known to everybody: taken as a shared secret it would let anybody in
            raise JwtError("a public key is no shared secret")
        if not hmac.compare_digest(hmac.digest(key.encode(), message, f"sha{bits}"), signature):
            raise JwtError("wrong signature")
        return
    digest: hashes.HashAlgorithm = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[bits]
    try:
        if "CERTIFICATE" in key:
            from cryptography import x509

            public: Any = x509.load_pem_x509_certificate(key.encode()).public_key()
        else:
            public = serialization.load_pem_public_key(key.encode())
    except ValueError as fault:
        raise JwtError("the client's key is no PEM") from fault
    try:
        if kind == _RSA and isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, message, padding.PKCS1v15(), digest)
            return
        if kind == _EC and isinstance(public, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
            public.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))
            return
    except InvalidSignature as fault:
        raise JwtError("wrong signature") from fault
    raise JwtError(f"the client's key is not for {algorithm}")
