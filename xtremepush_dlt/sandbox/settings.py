"""The switches of the sandbox: how this Xtremepush behaves where the reference is not sure."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

SYSTEM_ATTRIBUTES = frozenset(
    {
        "email",
        "email_subscription",
        "mobile_number",
        "mobile_subscription",
        "sms_subscription",
        "whatsapp_number",
        "whatsapp_subscription",
        "language",
        "timezone",
        "avatar_url",
    }
)
"""Attributes that every project has (reference 7; the full table is unknown)."""

AttributeType = Literal["string", "number", "integer", "date", "array", "boolean"]
"""The types of attributes (reference 7)."""

TASK_ID_PLACES = ("data.task_id", "data.id", "model.id", "task_id", "id")

SCOPES = {
    "import/profile": "import",
    "hit/event": "hit",
    "delete/profile": "delete",
    "delete-personal-data/profile": "delete",
    "list/profile": "list",
    "list/task": "list",
    "info/profile": "info",
    "info/task": "info",
}
"""The scope that a call needs. List, Info and Delete are rows of the scope table, the calls that
they cover and the other names are an assumption (reference 2.3)."""


@dataclass(frozen=True)
class OAuthClient:
    """A client id of the project, with a secret or a public key or both (reference 2.2).

    Attributes:
        client_id: The id, which is also the issuer of the client's assertions.
        client_secret: For the grant `client_credentials`.
        public_key: For signed assertions: an SPKI public key or an X.509 certificate, in PEM.
        scopes: Values of `scope_names` that it may use; None: all of them.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    public_key: str | None = field(default=None, repr=False)
    scopes: frozenset[str] | None = None


@dataclass(frozen=True)
class SandboxSettings:
    """How the sandbox behaves. Numbers in comments are sections of the API reference.

    The defaults follow the reference, and where it is silent its suggestion for an emulator (15).
    """

    # The project and its access (2.1, 10).
    app_token: str = "sandbox-token"
    api_enabled: bool = True  # False: 403, API access is not enabled for the account (10)
    foreign_tokens: tuple[str, ...] = ("other-region-token",)  # valid, but of another region
    foreign_token: Literal["refuse", "silent"] = "refuse"  # 401, or 200 and nothing stored (13.1)
    endpoints_off: tuple[str, ...] = ()  # e.g. "info/task": answered with 410 (10)
    max_body_bytes: int | None = None  # over it: 413 (10: no figure is known)
    errors_as: Literal["list", "keyed"] = "list"  # `errors` of items: list, or keyed by row (4)
    errors_name_items: bool = True  # False: `errors` do not say which item is bad (4, 5.2)

    # OAuth 2.0 (2.2, 2.3).
    oauth_clients: tuple[OAuthClient, ...] = (OAuthClient("sandbox-client", "sandbox-secret"),)
    token_seconds: float = 3600.0  # how long an access token is valid
    # What `expires_in` says: the true life in whole seconds, another number, or nothing.
    token_expires_in: Literal["true", "omit"] | int = "true"
    token_encodings: tuple[str, ...] = ("form", "json")  # of the token request
    assertion_claims: tuple[str, ...] = ("iss", "iat", "exp")  # without one: invalid_grant
    assertion_seconds: int | None = 3600  # the longest life of an assertion
    check_audience: bool = True  # False: `aud` of an assertion may hold anything, or be absent
    assertion_audience: str | None = None  # None: the URL of the token endpoint
    scope_names: Mapping[str, str] = field(default_factory=lambda: dict(SCOPES))  # by call (2.3)

    # The Segment integration (3).
    segment_api_key: str = "sandbox-segment-key"
    segment_unknown_members: Literal["refuse", "ignore"] = "refuse"  # Segment sends no others
    segment_dedup: bool = False  # True: a `messageId` that was seen before changes nothing

    # The project's attributes, and values that do not fit (4, 7).
    # Custom attributes, with a type or without (None); no mapping: every attribute exists.
    known_attributes: Mapping[str, AttributeType | None] | None = None
    unknown_attributes: Literal["warn", "refuse"] = "warn"  # ignored with a warning, or 400 (4)
    nulls: Literal["keep", "clear"] = "keep"  # what a null does to the stored value (4)
    empty_strings: Literal["keep", "clear"] = "keep"  # and what "" does (4)
    long_strings: Literal["truncate", "fail"] = "truncate"  # over the maximum (7)
    max_string_length: int = 101  # (7)
    invalid_values: Literal["fail", "warn"] = "fail"  # import: the row fails, or only the value (7)

    # Profile import (4).
    async_from_rows: int = 100  # from here an import answers 202 with a task (4)
    max_import_rows: int | None = None  # over it: 400 (4: 10,000 is advice)
    missing_subscription: Literal["refuse", "warn"] = "refuse"  # e-mail column without its flag (4)
    empty_subscription: Literal["allow", "fail"] = "allow"  # e-mail set, its flag null: row (4)
    duplicate_kept: Literal["first", "last", "none"] = "first"  # of one user's rows (4)
    # How a synchronous import tells of failed rows (4): 200 with `errors`, 200 with the counters
    # in `data` only, 200 with success:false and `errors`, or 400 with nothing stored.
    sync_row_failures: Literal["errors", "data", "success_false", "refuse"] = "errors"

    # Tasks (6).
    task_id_at: str = "data.task_id"  # one of TASK_ID_PLACES (4)
    task_info_at: Literal["model", "data"] = "model"  # (6)
    task_start_seconds: float = 0.0  # how long a task stays New
    task_seconds: float = 0.05  # how long it then stays Executing
    failed_rows_state: Literal["Error", "Completed"] = "Error"  # a task with failed rows (13.7)
    task_state_codes: Mapping[str, int | str] | None = None  # state name -> `status` sent (6)

    # Event hits (5).
    strict_timestamps: bool = True  # False: other forms are read as ISO 8601 or Unix time (5.1)
    # A bad event in a batch (5.2): nothing is stored and 400; the rest is stored and 200 with
    # `errors`; or, the nasty one, 400 although the rest was stored.
    bad_event: Literal["refuse_all", "accept_rest", "refuse_but_store_rest"] = "refuse_all"
    max_events: int = 1000  # advice (5.2)
    over_max_events: Literal["accept", "refuse"] = "accept"
    consent_manager: bool = False  # off: `consent_preferences` are ignored (5.1, 9.4)

    # The deletion of profiles by the External API, which is an assumption as a whole (9.3).
    delete_call: Literal["delete/profile", "delete-personal-data/profile"] = "delete/profile"
    delete_by: Literal["user_id", "id"] = "user_id"  # the member that names the profile
    delete_by_task: bool = True  # 202 and a task; False: 200 and deleted at once
    delete_unknown: Literal["accept", "refuse"] = "accept"  # a profile that is not there: 404

    # The sandbox itself.
    keep_bodies: bool = True  # False: requests are kept without their bodies, for long runs

    def __post_init__(self) -> None:
        if self.task_id_at not in TASK_ID_PLACES:
            raise ValueError(
                f"task_id_at is {self.task_id_at!r}; use one of {', '.join(TASK_ID_PLACES)}."
            )

    def task_id_members(self, task: int) -> dict[str, object]:
        """The id of a task as a member of the envelope, at its place."""
        outer, _, inner = self.task_id_at.partition(".")
        return {outer: {inner: task} if inner else task}

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> SandboxSettings:
        """Build settings from plain JSON values, as the command line gets them."""
        return build(cls, values)


_T = TypeVar("_T")


def build(cls: type[_T], values: Mapping[str, object]) -> _T:
    """Make a dataclass from JSON values; a wrong name or kind is a `ValueError` that says so."""
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # a dataclass by contract
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ValueError(f"{cls.__name__} has no {unknown[0]!r}; it has: {', '.join(names)}.")
    hints = get_type_hints(cls)
    return cls(**{name: _fit(name, hints[name], value) for name, value in values.items()})


def _fit(name: str, hint: Any, value: Any) -> Any:
    """A JSON value as the type of the field it is for."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        if value is None and type(None) in args:
            return None
        return _fit_any(name, [arg for arg in args if arg is not type(None)], value)
    if origin is Literal and value in args:
        return value
    if is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return build(hint, value)
    if origin in (tuple, frozenset) and isinstance(value, (list, tuple, set, frozenset)):
        return origin(_fit(name, args[0], item) for item in value)
    if origin is Mapping and isinstance(value, Mapping):
        # JSON has string keys only, so {"429": 0.1} stands for {429: 0.1}.
        key_type = int if args[0] is int else str
        return {key_type(key): _fit(name, args[1], item) for key, item in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint:
        return value
    raise ValueError(f"{name} cannot be {value!r}; it is {_named(hint)}.")


def _fit_any(name: str, hints: list[Any], value: Any) -> Any:
    for hint in hints:
        with contextlib.suppress(ValueError):
            return _fit(name, hint, value)
    wanted = " or ".join(_named(hint) for hint in hints)
    raise ValueError(f"{name} cannot be {value!r}; it is {wanted}.")


def _named(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
