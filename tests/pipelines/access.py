"""The kinds of credentials, as the sandbox takes them and as a user gives them."""

from __future__ import annotations

from collections.abc import Mapping

from tests.keys import pem
from tests.sandbox.signing import private_key, spki
from xtremepush_dlt.sandbox import OAuthClient, SandboxSettings

SECRET = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
SEGMENT = {"segment_api_key": "sandbox-segment-key"}


def signed(kind: str = "P-256", **more: str) -> dict[str, str]:
    """Credentials with a private key."""
    return {"client_id": "signer", "private_key": pem(kind), **more}


def signer(public_key: str, scopes: frozenset[str] | None = None) -> SandboxSettings:
    """A project whose only client ID has a public key."""
    client = OAuthClient("signer", public_key=public_key, scopes=scopes)
    return SandboxSettings(oauth_clients=(client,))


KINDS: Mapping[str, dict[str, str]] = {
    "app_token": {"app_token": "sandbox-token"},
    "client_secret": SECRET,
    "private_key": signed(),
    "segment_api_key": SEGMENT,
}
"""Credentials of each kind that `every_kind` takes."""

ON_THE_WIRE = {
    "app_token": ("apptoken",),
    "client_secret": ("bearer",),
    "private_key": ("bearer",),
    "segment_api_key": ("basic",),
}
"""What the sandbox has seen of each kind, in a request."""


def every_kind() -> SandboxSettings:
    """A project that takes each of `KINDS`, and no other."""
    secret = OAuthClient("sandbox-client", "sandbox-secret")
    key = OAuthClient("signer", public_key=spki(private_key("P-256")))
    return SandboxSettings(oauth_clients=(secret, key))
