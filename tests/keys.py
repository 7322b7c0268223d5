"""Private keys as the text that a user would put into the configuration."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from tests.sandbox.signing import private_key

ALGORITHMS = {
    "RS256": "2048",
    "RS384": "4096",
    "RS512": "8192",
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
}
"""Algorithm -> the smallest key for it, by the names of `tests.sandbox.signing`."""


@cache
def pem(kind: str, passphrase: str | None = None, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    """A private key in PEM."""
    how: KeySerializationEncryption = (
        BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    )
    return private_key(kind).private_bytes(Encoding.PEM, form, how).decode()
