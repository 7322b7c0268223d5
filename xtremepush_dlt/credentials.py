"""The credentials of the destination: exactly one of the kinds that Xtremepush knows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Optional

from dlt.common.configuration import configspec
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.configuration.specs.base_configuration import CredentialsConfiguration
from dlt.common.typing import ConfigValueSentinel, TSecretStrValue

from xtremepush_dlt.exceptions import ConfigurationError

if TYPE_CHECKING:
    from xtremepush_dlt.routes.signing import SigningKey

# `Optional[...]` instead of `X | None` in this module: dlt reads these annotations at run time.

TCredentialsKind = Literal["app_token", "client_secret", "private_key", "segment_api_key"]

KINDS = (
    "The Xtremepush destination needs exactly one kind of credentials, in "
    "[destination.xtremepush.credentials]:\n"
    "  * app token: `app_token`; in Xtremepush under Settings > Integrations > API Integration\n"
    "  * OAuth 2.0: `client_id` with `client_secret`, or `client_id` with `private_key`; made in "
    "the same place, and the only kind that projects created after mid-2026 have\n"
    "  * Segment API key: `segment_api_key`; in Xtremepush under Settings > Integrations > Segment"
)
"""The kinds, and where each is found (reference, sections 2 and 3)."""

_KEY_SETTINGS = ("private_key_passphrase", "key_id", "algorithm")
"""What only counts beside `private_key`."""


class CredentialsMissingError(ConfigurationError, ConfigFieldMissingException):
    """Nothing is set: what there is to choose from, and the keys that dlt tried.

    Args:
        missing: What dlt raised.
    """

    def __init__(self, missing: ConfigFieldMissingException) -> None:
        ConfigFieldMissingException.__init__(self, missing.config, missing.traces)

    def __str__(self) -> str:
        return f"No credentials are set.\n{KINDS}\n{ConfigFieldMissingException.__str__(self)}"


@configspec
class XtremepushCredentials(CredentialsConfiguration):
    """What proves to Xtremepush who is calling: one kind, and nothing of another."""

    app_token: TSecretStrValue = None  # type: ignore[assignment]  # required for dlt, so that `dlt init` writes it; `on_partial` takes the other kinds
    """The project's app token: Settings > Integrations > API Integration in Xtremepush."""

    client_id: Optional[str] = None
    """The client ID of OAuth 2.0: Settings > Integrations > API Integration in Xtremepush."""

    client_secret: Optional[TSecretStrValue] = None
    """The secret of the client ID; this or `private_key`."""

    private_key: Optional[TSecretStrValue] = None
    """The private key as PEM text, whose public half is uploaded for the client ID. RSA of 2048
    bits or more, or EC on P-256, P-384 or P-521 (reference, section 2.2)."""

    private_key_passphrase: Optional[TSecretStrValue] = None
    """What the private key is encrypted with. Default: it is not."""

    key_id: Optional[str] = None
    """The `kid` of the signed JWT. Default: the client ID, an assumption (`oauth_key_id`)."""

    algorithm: Optional[str] = None
    """RS256, RS384, RS512, ES256, ES384 or ES512. Default: the strongest that the key allows."""

    segment_api_key: Optional[TSecretStrValue] = None
    """The API key of the Segment integration: Settings > Integrations > Segment in Xtremepush."""

    @property
    def kind(self) -> TCredentialsKind | None:
        """The setting that tells which kind this is; None as long as there is none."""
        for kind in _PROOFS:
            if self._has(kind):
                return kind
        return None

    def is_whole(self) -> bool:
        """Whether nothing has to be looked up: a kind is there with all that it needs."""
        if any(isinstance(self[name], ConfigValueSentinel) for name in self):
            return False
        if self.kind == "private_key" and "ENCRYPTED" in str(self.private_key):
            return self._has("client_id") and self._has("private_key_passphrase")
        return self.kind is not None and (self.kind not in _OAUTH or self._has("client_id"))

    def on_resolved(self) -> None:
        """Checks that there is exactly one kind, and that a private key can sign.

        Raises:
            ConfigurationError: If there is none, half a kind, or more than one; or if the private
                key cannot be used.
        """
        for name in self:
            value: Any = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise ConfigurationError(f"`{name}` of the credentials must be text.")
            if isinstance(value, str):
                # a secret that is mounted as a file ends with a line feed
                self[name] = value.strip()
        self._check_one_kind()
        if self.kind == "private_key":
            self.signing_key()

    def on_partial(self) -> None:
        """Takes the kinds other than the app token, which dlt takes for missing.

        Raises:
            ConfigurationError: As `on_resolved`, unless nothing at all is set: dlt then reports
                the keys that it tried.
        """
        if any(self._has(name) for name in self):
            self.resolve()

    def signing_key(self) -> SigningKey:
        """The private key, ready to sign.

        Raises:
            ConfigurationError: If it cannot be read, or not be used with the algorithm.
        """
        # only who signs pays for the import
        from xtremepush_dlt.routes.signing import signing_key

        return signing_key(
            str(self.private_key), self.private_key_passphrase or None, self.algorithm or None
        )

    def digest(self) -> str:
        """Tells one credential from another without being one."""
        parts = [f"{name}={getattr(self, name) or ''}" for name in sorted(self)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def __str__(self) -> str:
        """Names the kind of credential, never its value: dlt prints it as a location."""
        kind = self.kind
        if kind is None:
            return "no credentials"
        return f"client_id with {kind}" if kind in _OAUTH else kind

    __repr__ = __str__

    def _check_one_kind(self) -> None:
        found = [kind for kind in _PROOFS if self._has(kind)]
        if len(found) > 1:
            names = ", ".join(f"`{name}`" for name in found)
            raise ConfigurationError(
                f"{names} are set, which are several kinds of credentials. Leave one and remove "
                "the others; dlt also looks for them in the environment, in "
                f"[destination.credentials] and in [credentials].\n{KINDS}"
            )
        if self._has("client_id") and not {*found} & {*_OAUTH}:
            raise ConfigurationError(
                "`client_id` is set, but neither `client_secret` nor `private_key`"
                + (f", and `{found[0]}` is a kind of its own" if found else "")
                + f".\n{KINDS}"
            )
        if {*found} & {*_OAUTH} and not self._has("client_id"):
            raise ConfigurationError(f"`{found[0]}` is set, but `client_id` is not.\n{KINDS}")
        for name in _KEY_SETTINGS:
            if self._has(name) and not self._has("private_key"):
                raise ConfigurationError(
                    f"`{name}` is set, but `private_key` is not, and it belongs to it.\n{KINDS}"
                )
        if not found:
            raise ConfigurationError(f"No credentials are set, or they are empty.\n{KINDS}")

    def _has(self, name: str) -> bool:
        value: Any = getattr(self, name)
        return bool(value.strip()) if isinstance(value, str) else value is not None


_OAUTH: tuple[TCredentialsKind, ...] = ("client_secret", "private_key")
_PROOFS: tuple[TCredentialsKind, ...] = ("app_token", *_OAUTH, "segment_api_key")


def credentials_from(values: Mapping[str, Any]) -> XtremepushCredentials:
    """Credentials as an argument: a whole kind stands alone, half a kind is filled in by dlt.

    Args:
        values: A dict, or credentials; they are copied.

    Raises:
        TypeError: If a key is unknown.
        ConfigurationError: If there are several kinds, or the private key cannot be used.
    """
    known = XtremepushCredentials.get_resolvable_fields()
    credentials = XtremepushCredentials()
    for key, value in values.items():
        if key not in known:
            raise TypeError(
                f"xtremepush() got credentials with an unknown key `{key}`. "
                f"Known are: {', '.join(sorted(known))}."
            )
        credentials[key] = value
    if credentials.is_whole():
        # dlt would fill it up from the configuration, and so mix two kinds
        credentials.resolve()
    return credentials
