"""The destination class that dlt and the user see."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dlt.common.destination import (
    AnyDestination,
    Destination,
    DestinationCapabilitiesContext,
)

from xtremepush_dlt.configuration import (
    TLedgerPayloads,
    TOnInvalidValue,
    TOnUnknown,
    TUnknownAttributes,
    XtremepushClientConfiguration,
)
from xtremepush_dlt.credentials import XtremepushCredentials, credentials_from
from xtremepush_dlt.ledger.companion import LedgerDestination

if TYPE_CHECKING:
    from xtremepush_dlt.job_client import XtremepushClient


class xtremepush(Destination[XtremepushClientConfiguration, "XtremepushClient"]):  # noqa: N801  # dlt's factories are lower-case: the class is the destination's name
    """Delivers rows to Xtremepush as identify and track calls."""

    spec = XtremepushClientConfiguration

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        # typed-jsonl keeps decimals, dates and UUIDs apart from text
        caps = DestinationCapabilitiesContext.generic_capabilities("typed-jsonl")
        caps.supported_loader_file_formats = ["typed-jsonl", "parquet"]
        caps.supported_merge_strategies = ["upsert"]
        caps.supported_replace_strategies = []
        caps.supports_ddl_transactions = False
        caps.supports_transactions = False
        # attribute and property names are the user's own
        caps.naming_convention = "direct"
        # nested data stays with its row: it becomes a JSON property, not a child table
        caps.max_table_nesting = 0
        # two files of one table side by side would let a user's calls overtake each other
        caps.loader_parallelism_strategy = "table-sequential"
        return caps

    @property
    def client_class(self) -> type[XtremepushClient]:
        """The job client; imported late because dlt imports this module in every process."""
        from xtremepush_dlt.job_client import XtremepushClient

        return XtremepushClient

    @property
    def destination_type(self) -> str:
        """The importable name, so that lineage and stored settings find this class again."""
        return "xtremepush_dlt.xtremepush"

    def __init__(
        self,
        api_endpoint: str | None = None,
        credentials: XtremepushCredentials | Mapping[str, Any] | None = None,
        event_batch_size: int | None = None,
        profile_batch_size: int | None = None,
        max_request_bytes: int | None = None,
        max_connections: int | None = None,
        retry_patience: float | None = None,
        requests_per_second: float | None = None,
        on_unknown: TOnUnknown | None = None,
        max_undelivered: float | None = None,
        on_invalid_value: TOnInvalidValue | None = None,
        ledger: str | AnyDestination | None = None,
        ledger_payloads: TLedgerPayloads | None = None,
        known_attributes: Mapping[str, str] | None = None,
        unknown_attributes: TUnknownAttributes | None = None,
        assumptions: Mapping[str, Any] | None = None,
        destination_name: str | None = None,
        environment: str | None = None,
        **capabilities: Any,
    ) -> None:
        """Configures the destination; what is left out comes from dlt's configuration.

        Args:
            api_endpoint: `eu`, `us` or a URL. Required here or in the configuration.
            credentials: One kind of credentials, as a dict or as `XtremepushCredentials`:
                `{"app_token": "..."}`, `{"client_id": "...", "client_secret": "..."}`,
                `{"client_id": "...", "private_key": "..."}` or `{"segment_api_key": "..."}`.
                What is missing of that kind comes from the configuration.
            event_batch_size: Events in one request; default 1000.
            profile_batch_size: Profiles in one request; default 10000.
            max_request_bytes: Bytes of one request's body; default 4 MiB.
            max_connections: Requests under way at once; default 8.
            retry_patience: Seconds for which a request is tried again; default 300.
            requests_per_second: Requests per second at the most; default: no limit.
            on_unknown: `resend` (default) or `hold`, for events without an answer.
            max_undelivered: Share of rows that may fail before the run stops; default 0.1.
            on_invalid_value: `omit` (default) or `reject`.
            ledger: Destination that keeps state and account, by name or as an object; default
                `filesystem`; `none` switches it off.
            ledger_payloads: `undelivered` (default), `all` or `none`.
            known_attributes: Attributes that the project has, name -> type; default: none listed.
            unknown_attributes: `warn` (default) or `error`, for attributes not listed there and
                values that do not fit.
            assumptions: Overrides of what is assumed about the API, by name.
            destination_name: Name of the destination, and of its section in the configuration.
            environment: Environment of the destination, as in dlt.
            **capabilities: Capabilities of dlt to override, such as `naming_convention`.

        Raises:
            TypeError: If a keyword is neither a setting nor a capability.
            ConfigurationError: If the credentials are of several kinds.
        """
        _refuse_unknown(capabilities)
        if isinstance(credentials, Mapping):
            # an object cannot be printed with its token; a dict would be, by dlt's __repr__
            credentials = credentials_from(credentials)
        elif isinstance(credentials, str):
            # it would be printed by dlt's __repr__, and tells not which kind it is
            raise TypeError(
                'xtremepush(credentials=...) takes a dict such as {"app_token": "..."}, not a text.'
            )
        super().__init__(
            api_endpoint=api_endpoint,
            credentials=credentials,
            event_batch_size=event_batch_size,
            profile_batch_size=profile_batch_size,
            max_request_bytes=max_request_bytes,
            max_connections=max_connections,
            retry_patience=retry_patience,
            requests_per_second=requests_per_second,
            on_unknown=on_unknown,
            max_undelivered=max_undelivered,
            on_invalid_value=on_invalid_value,
            ledger=LedgerDestination(ledger) if isinstance(ledger, Destination) else ledger,
            ledger_payloads=ledger_payloads,
            known_attributes=known_attributes,
            unknown_attributes=unknown_attributes,
            assumptions=assumptions,
            destination_name=destination_name,
            environment=environment,
            **capabilities,
        )


def _refuse_unknown(keywords: Mapping[str, Any]) -> None:
    """Dlt only warns about an unknown keyword and drops it; a misspelled setting must not pass."""
    settings = [
        name for name in inspect.signature(xtremepush.__init__).parameters if name != "self"
    ]
    known = {*XtremepushClientConfiguration.get_resolvable_fields()} | {
        *DestinationCapabilitiesContext.get_resolvable_fields()
    }
    for name in keywords:
        if name not in known:
            close = difflib.get_close_matches(name, [*settings, *known], n=1)
            hint = f" Did you mean `{close[0]}`?" if close else ""
            raise TypeError(f"xtremepush() got an unexpected keyword argument `{name}`.{hint}")


xtremepush.register()
