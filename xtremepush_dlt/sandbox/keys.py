"""The public keys of OAuth clients: which forms, algorithms and sizes are taken (reference 2.2)."""

from __future__ import annotations

from datetime import datetime, timezone

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

RSA_BITS = {"RS256": 2048, "RS384": 4096, "RS512": 8192}
"""The least size of an RSA key by algorithm."""

CURVES = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
"""The curve by algorithm: one each, because the signature's algorithm fixes it (RFC 7518)."""

PublicKey = RSAPublicKey | EllipticCurvePublicKey


class BadKey(Exception):  # noqa: N818  # an answer to a client, not an error of the sandbox
    """The registered key cannot be used now, or not with this algorithm."""


def read_key(pem: str, now: float) -> PublicKey:
    """The public key of a client.

    Args:
        pem: An SPKI public key or an X.509 certificate.
        now: Unix time, at which a certificate must be valid.

    Raises:
        BadKey: The certificate is not valid at this time, or the key is of another kind.
        ValueError: The text is neither of the two.
    """
    if "BEGIN CERTIFICATE" in pem:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        moment = datetime.fromtimestamp(now, timezone.utc)
        if moment < certificate.not_valid_before_utc:
            raise BadKey("The certificate of the client is not valid yet.")
        if moment > certificate.not_valid_after_utc:
            raise BadKey("The certificate of the client has expired.")
        key = certificate.public_key()
    else:
        key = load_pem_public_key(pem.encode())  # type: ignore[assignment]  # narrowed below
    if isinstance(key, (RSAPublicKey, EllipticCurvePublicKey)):
        return key
    raise BadKey("The key of the client is neither RSA nor elliptic curve.")


def check_algorithm(algorithm: object, key: PublicKey) -> str:
    """The algorithm of a signature, when it is one that is taken with this key.

    Raises:
        BadKey: The algorithm is not taken, or the key is not of its kind, size or curve.
    """
    name = str(algorithm)
    if name in RSA_BITS and isinstance(key, RSAPublicKey):
        if key.key_size < RSA_BITS[name]:
            raise BadKey(f"{name} needs an RSA key of at least {RSA_BITS[name]} bits.")
    elif name in CURVES and isinstance(key, EllipticCurvePublicKey):
        if key.curve.name != CURVES[name]:
            raise BadKey(f"{name} needs a key on the curve {CURVES[name]}.")
    else:
        allowed = ", ".join([*RSA_BITS, *CURVES])
        raise BadKey(f"The algorithm does not fit the key; {allowed} are taken.")
    return name
