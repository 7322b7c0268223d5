"""Keys, certificates and assertions as a user of signed JWTs would make them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from xtremepush_dlt.sandbox import OAuthClient, Sandbox

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_CURVES: dict[str, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}


@cache
def private_key(kind: str) -> PrivateKey:
    """A key of a curve such as `P-256`, or an RSA key of so many bits."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    if kind == "8192":
        return _published_key()
    return rsa.generate_private_key(65537, int(kind))


def _published_key() -> rsa.RSAPrivateKey:
    """A key of 8192 bits from two published primes; to make one of its own takes up to a minute."""
    # The primes of 4096 bits of RFC 3526 and RFC 7919, from the digits of pi and of e.
    unit = 1 << 4096  # 130 bits more than are used
    pi = 16 * _arctan_of_inverse(5, unit) - 4 * _arctan_of_inverse(239, unit)
    e = term = unit
    for n in range(1, 1000):
        term //= n
        e += term
    p, q = (
        2**4096 - 2**4032 - 1 + (((digits >> 130) + offset) << 64)
        for digits, offset in ((pi, 240904), (e, 5736041))
    )
    d = pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p,
        q,
        d,
        d % (p - 1),
        d % (q - 1),
        pow(q, -1, p),
        rsa.RSAPublicNumbers(65537, p * q),
    )
    # The check of the primes is what takes the time.
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _arctan_of_inverse(x: int, unit: int) -> int:
    total = term = unit // x
    n, sign = 3, -1
    while term:
        term //= x * x
        total += sign * (term // n)
        n, sign = n + 2, -sign
    return total


def spki(key: PrivateKey) -> str:
    """The public key in PEM."""
    form = PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(Encoding.PEM, form).decode()


def certificate(key: PrivateKey, begins: float = -60.0, ends: float = 3600.0) -> str:
    """A certificate in PEM, valid between two times in seconds from now."""
    now = datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "crm sync")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=now + timedelta(seconds=begins),
        not_valid_after=now + timedelta(seconds=ends),
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def assertion(sandbox: Sandbox, key: PrivateKey, algorithm: str = "ES256", **changes: Any) -> str:
    """A signed assertion that is in order but for the `changes`; None leaves a claim out."""
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": "signing-client",
        "aud": f"{sandbox.url}/api/oauth/token",
        "iat": now,
        "exp": now + 300,
        **changes,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm)


def signing_client(public_key: str) -> OAuthClient:
    """A client without a secret."""
    return OAuthClient("signing-client", public_key=public_key)
