"""The private key of OAuth 2.0: read, checked against the documented minimum, ready to sign."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from xtremepush_dlt.exceptions import ConfigurationError

RSA_BITS: Mapping[str, int] = {"RS512": 8192, "RS384": 4096, "RS256": 2048}
"""Smallest RSA keys in bits, the strongest algorithm first (reference, section 2.2)."""

CURVES: Mapping[str, str] = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
"""Curves of the EC algorithms: P-256, P-384, P-521 (reference, section 2.2)."""

_WHERE = "in [destination.xtremepush.credentials]"
_NEEDED = (
    "Xtremepush takes RSA keys of at least 2048 bits (RS256), 4096 (RS384) or 8192 (RS512), and EC "
    "keys on the curves P-256 (ES256), P-384 (ES384) or P-521 (ES512)"
)

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class SigningKey:
    """A private key and the algorithm that it signs with.

    Args:
        key: The key.
        algorithm: The algorithm, which fits the key.
    """

    def __init__(self, key: _PrivateKey, algorithm: str) -> None:
        self._key = key
        self.algorithm = algorithm

    def sign(self, claims: Mapping[str, Any], key_id: str | None) -> str:
        """A signed JWT.

        Args:
            claims: Its claims.
            key_id: Its `kid`, or None.
        """
        headers = {"kid": key_id} if key_id else None
        return jwt.encode(dict(claims), self._key, self.algorithm, headers)

    def __repr__(self) -> str:
        """Without the key."""
        return f"SigningKey({self.algorithm})"


# dlt resolves the credentials for each job, and a large key takes its time
@lru_cache(maxsize=16)
def signing_key(
    pem: str, passphrase: str | None = None, algorithm: str | None = None
) -> SigningKey:
    """Reads a private key.

    Args:
        pem: The key as PEM text; line breaks may be written as backslash and n, as in an
            environment variable.
        passphrase: What it is encrypted with, if it is.
        algorithm: The algorithm to sign with; None for the strongest that the key allows.

    Raises:
        ConfigurationError: If the key cannot be read or does not fit the algorithm; it names the
            setting and never the key.
    """
    chosen = algorithm.strip().upper() if algorithm else None
    if chosen is not None and chosen not in {*RSA_BITS, *CURVES}:
        raise ConfigurationError(
            f"`algorithm` {_WHERE} is not one of {', '.join([*RSA_BITS, *CURVES])}. Leave it out "
            "to have it follow from `private_key`."
        )
    key = _read(pem, passphrase)
    signing = SigningKey(key, _algorithm(key, chosen))
    _prove(key, signing)
    return signing


def _read(pem: str, passphrase: str | None) -> _PrivateKey:
    text = pem.strip() if "\n" in pem.strip() else pem.strip().replace("\\n", "\n")
    if "-----BEGIN" not in text:
        raise ConfigurationError(
            f"`private_key` {_WHERE} is not a key in PEM form: it must be the text of the file, "
            "from its line `-----BEGIN PRIVATE KEY-----` on, not the name of the file."
        )
    if "PRIVATE KEY-----" not in text:
        raise ConfigurationError(
            f"`private_key` {_WHERE} is a public key or a certificate. That one is uploaded to "
            "Xtremepush; here the private key is needed that belongs to it."
        )
    secret = passphrase.encode() if passphrase else None
    try:
        # checking the primes of 8192 bits takes seconds; the key proves itself by signing
        key: Any = load_pem_private_key(text.encode(), secret, unsafe_skip_rsa_key_validation=True)
    except TypeError:
        # raised for nothing but a password too much or too little
        problem = (
            "is set, but `private_key` is not encrypted. Remove it"
            if secret
            else "is not set, but `private_key` is encrypted. Set it"
        )
        raise ConfigurationError(f"`private_key_passphrase` {_WHERE} {problem}.") from None
    except (ValueError, UnsupportedAlgorithm):
        # what the library says may quote the text
        hint = (
            "Check `private_key_passphrase`, and that the text is whole"
            if secret
            else "Check that the text is whole, with its line breaks"
        )
        raise ConfigurationError(f"`private_key` {_WHERE} cannot be read. {hint}.") from None
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        raise ConfigurationError(f"`private_key` {_WHERE} is neither RSA nor EC. {_NEEDED}.")
    return key


def _algorithm(key: _PrivateKey, chosen: str | None) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        kind = f"an RSA key of {key.key_size} bits"
        fitting = [name for name, bits in RSA_BITS.items() if key.key_size >= bits]
    else:
        kind = f"an EC key on the curve {key.curve.name}"
        fitting = [name for name, curve in CURVES.items() if key.curve.name == curve]
    if not fitting:
        raise ConfigurationError(f"`private_key` {_WHERE} is {kind}. {_NEEDED}.")
    if chosen is not None and chosen not in fitting:
        raise ConfigurationError(
            f"`private_key` {_WHERE} is {kind}, which does not fit `algorithm`, {chosen}. "
            f"{_NEEDED}. Leave `algorithm` out to have it follow from the key."
        )
    return chosen or fitting[0]


def _prove(key: _PrivateKey, signing: SigningKey) -> None:
    """Makes a signature and verifies it: the parts of a damaged key do not fit each other."""
    token = signing.sign({}, None)
    try:
        jwt.decode(token, key.public_key(), algorithms=[signing.algorithm])
    except (jwt.InvalidTokenError, InvalidSignature):
        raise ConfigurationError(
            f"`private_key` {_WHERE} is damaged: what it signs cannot be verified."
        ) from None
