"""The settings and credentials of the destination, as dlt resolves them."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Final, Literal, Optional

from dlt.common.configuration import configspec
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.destination.client import DestinationClientConfiguration

from xtremepush_dlt.credentials import CredentialsMissingError, XtremepushCredentials
from xtremepush_dlt.exceptions import ConfigurationError
from xtremepush_dlt.ledger.companion import (
    DEFAULT_LEDGER,
    Companion,
    LedgerDestination,
    companion_of,
)
from xtremepush_dlt.mapping.known_attributes import KnownAttributes
from xtremepush_dlt.routes.assumptions import (
    REGIONS,
    ExternalApiAssumptions,
    OAuthAssumptions,
    SegmentAssumptions,
    endpoint_url,
)
from xtremepush_dlt.setting_checks import check_choice, check_count, check_number, check_table

# `Optional[...]` instead of `X | None` in this module: dlt reads these annotations at run time.

TOnInvalidValue = Literal["omit", "reject"]
TOnUnknown = Literal["resend", "hold"]
TLedgerPayloads = Literal["none", "undelivered", "all"]
TUnknownAttributes = Literal["warn", "error"]


@configspec
class XtremepushClientConfiguration(DestinationClientConfiguration):
    """Settings of `[destination.xtremepush]`."""

    destination_type: Final[str] = dataclasses.field(  # type: ignore[misc]  # dlt's own idiom: Final overrides a plain field
        default="xtremepush_dlt.xtremepush", init=False, repr=False, compare=False
    )
    credentials: XtremepushCredentials = None  # type: ignore[assignment]  # dlt: None means "must be configured"
    """The credentials of the Xtremepush project: `app_token`, or `client_id` with `client_secret`
    or `private_key`, or `segment_api_key`. They choose the way in."""

    api_endpoint: str = None  # type: ignore[assignment]  # dlt: None means "must be configured"
    """`eu`, `us` or a URL such as `https://api.eu.xtremepush.com`. Required and without a default,
    because a hit sent to the wrong region fails silently (reference, section 13.1)."""

    event_batch_size: int = 1000
    """Events in one `hit/event` request. Default 1000: what Xtremepush recommends at most
    (reference, section 5.2)."""

    profile_batch_size: int = 10000
    """Profiles in one `import/profile` request. Default 10000: what Xtremepush recommends at most
    (reference, section 4)."""

    max_request_bytes: int = 4 * 1024 * 1024
    """Bytes of the body of one request, uncompressed. Default 4 MiB: an assumption, because
    Xtremepush documents no limit (reference, section 10)."""

    max_connections: int = 8
    """Requests under way at once, and so the number of lanes on which rows are delivered side by
    side. Default 8: an assumption, because Xtremepush documents no limit (reference, section 10).
    1 sends one request after the other."""

    retry_patience: float = 300.0
    """Seconds for which a request is tried again after 429, 5xx or a lost connection, before the
    error goes to dlt and its own retry takes over. Default 300: an assumption, because nothing is
    documented about outages (reference, section 10)."""

    requests_per_second: Optional[float] = None
    """Requests per second at the most, over all pipelines of the process that use the credential.
    Default: no limit but the server's own, because none is documented (reference, section 10)."""

    on_unknown: TOnUnknown = "resend"
    """What becomes of events that were sent and not answered (connection lost, or killed in
    between): `resend` (default, at least once) or `hold` (at most once; the rows are `unknown`).
    Profiles are always sent again, which changes nothing."""

    max_undelivered: float = 0.1
    """Share of the rows that may be invalid, rejected or unknown before the run is stopped, judged
    once 100 rows are settled. Default 0.1; 1 switches it off."""

    on_invalid_value: TOnInvalidValue = "omit"
    """What becomes of a row with a value that breaks its rule, other than the identifier, the
    event name and the timestamp: `omit` (default) leaves the value out, sends the row and counts
    the omission in the report; `reject` makes the row `invalid`."""

    ledger: Any = DEFAULT_LEDGER
    """The dlt destination that keeps the pipeline's state and the account of what was sent, in a
    dataset `xtremepush_ledger`: a name or type such as `duckdb`, configured in its own section.
    Default `filesystem`: a folder in dlt's local directory, unless `[destination.filesystem]`
    has a `bucket_url`. `none` keeps nothing beyond this machine."""

    ledger_payloads: TLedgerPayloads = "undelivered"
    """Which calls the ledger keeps word for word: those that were not delivered (default), `all`
    (also the body of every request, without the credential), or `none`."""

    known_attributes: Optional[dict[str, str]] = None
    """Attributes that the project has, name -> type: `string`, `number`, `integer`, `boolean`,
    `date` or `array`. Xtremepush ignores others without a word (reference, section 7); with this
    they are reported before sending. Default: none listed, nothing reported."""

    unknown_attributes: TUnknownAttributes = "warn"
    """What becomes of an attribute that `known_attributes` does not list, and of a value that does
    not fit its type: `warn` (default) logs the attribute, sends the value and counts it in the
    report; `error` stops the run for the attribute and makes the row `invalid` for the value."""

    assumptions: Optional[dict[str, Any]] = None
    """Overrides of what is assumed about Xtremepush, by name: see `ExternalApiAssumptions`,
    `OAuthAssumptions` and `SegmentAssumptions` in `xtremepush_dlt.routes.assumptions`."""

    __recommended_sections__: ClassVar[tuple[str, str]] = ("destination", "xtremepush")

    def on_resolved(self) -> None:
        """Checks every value, so that a slip is found before the first row is read.

        Raises:
            ConfigurationError: If a setting has a value that cannot work.
        """
        for setting in (
            "event_batch_size",
            "profile_batch_size",
            "max_request_bytes",
            "max_connections",
        ):
            check_count(setting, getattr(self, setting))
        check_number("retry_patience", self.retry_patience, 0)
        check_number("max_undelivered", self.max_undelivered, 0, 1)
        if self.requests_per_second is not None:
            # one a day: less would be a slip
            check_number("requests_per_second", self.requests_per_second, 1 / 86400)
        check_choice("on_unknown", self.on_unknown, TOnUnknown)
        check_choice("on_invalid_value", self.on_invalid_value, TOnInvalidValue)
        check_choice("ledger_payloads", self.ledger_payloads, TLedgerPayloads)
        check_choice("unknown_attributes", self.unknown_attributes, TUnknownAttributes)
        check_table("known_attributes", self.known_attributes)
        check_table("assumptions", self.assumptions)
        endpoint_url(self.api_endpoint)
        if (
            self.credentials.kind == "segment_api_key"
            and self.api_endpoint.strip().lower() in REGIONS
        ):
            raise ConfigurationError(
                f"`api_endpoint` is `{self.api_endpoint}`, but with `segment_api_key` it has to be "
                "the API Endpoint that Xtremepush shows beside the key under Settings > "
                "Integrations > Segment: a URL."
            )
        self.external_api()
        self.known()
        self.oauth()
        self.segment()
        if not isinstance(self.ledger, (str, LedgerDestination)):
            raise ConfigurationError(
                "`ledger` of the Xtremepush destination is the name of a dlt destination, or "
                "`none`."
            )

    def companion(self) -> Companion | None:
        """The destination that holds the ledger; None if there is to be none.

        Kept, because dlt hands one configuration to all jobs, and looks its settings up in the
        main thread only.

        Raises:
            ConfigurationError: If `ledger` names no destination that can hold one.
        """
        # not a field of the configuration, so dlt neither resolves nor prints it
        kept = vars(self)
        if "_companion" not in kept:
            kept["_companion"] = companion_of(self.ledger)
        companion: Companion | None = kept["_companion"]
        return companion

    def on_partial(self) -> None:
        """Says which credentials there are to choose from, where none is set.

        Raises:
            CredentialsMissingError: If they are missing; dlt reports what else is.
        """
        missing = self.__exception__
        if isinstance(missing, ConfigFieldMissingException) and "credentials" in missing.fields:
            raise CredentialsMissingError(missing)

    def external_api(self) -> ExternalApiAssumptions:
        """What is assumed about the External API, with the user's overrides applied.

        Raises:
            ConfigurationError: If an override names no assumption.
        """
        return ExternalApiAssumptions.with_overrides(self.assumptions or {})

    def known(self) -> Optional[KnownAttributes]:
        """The attributes that the project has; None if the user listed none.

        Raises:
            ConfigurationError: If one has a type that does not exist.
        """
        if self.known_attributes is None:
            return None
        return KnownAttributes(self.known_attributes, strict=self.unknown_attributes == "error")

    def segment(self) -> SegmentAssumptions:
        """What is assumed about the Segment route, with the user's overrides applied.

        Raises:
            ConfigurationError: If an override names no assumption.
        """
        return SegmentAssumptions.with_overrides(self.assumptions or {})

    def oauth(self) -> OAuthAssumptions:
        """What is assumed about OAuth 2.0, with the user's overrides applied.

        Raises:
            ConfigurationError: If an override names no assumption.
        """
        return OAuthAssumptions.with_overrides(self.assumptions or {})

    def fingerprint(self) -> str:
        """The address that is sent to: two configurations with one address are one place."""
        return endpoint_url(self.api_endpoint) if self.api_endpoint else ""

    def __str__(self) -> str:
        """The address that is sent to; dlt prints it as the location of the destination."""
        return self.fingerprint() or "xtremepush"
