"""Promises about credentials: exactly one kind, and what is said when it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.common.configuration.exceptions import ConfigFieldMissingException

from tests.keys import pem
from xtremepush_dlt import track, xtremepush, xtremepush_adapter
from xtremepush_dlt.credentials import KINDS, XtremepushCredentials
from xtremepush_dlt.exceptions import ConfigurationError

if TYPE_CHECKING:
    from tests.conftest import Configure, Desk

pytestmark = pytest.mark.usefixtures("dlt_home")

KEY = pem("P-256")
WHOLE: dict[str, dict[str, str]] = {
    "app_token": {"app_token": "tok-marker"},
    "client_secret": {"client_id": "c1-marker", "client_secret": "sec-marker"},
    "private_key": {"client_id": "c1-marker", "private_key": KEY},
    "segment_api_key": {"segment_api_key": "seg-marker"},
}
Resolve = Callable[[dict[str, str]], XtremepushCredentials]


@pytest.fixture(params=["argument", "object", "toml", "environment"])
def resolve(
    request: pytest.FixtureRequest, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> Resolve:
    """Resolves credentials as dlt does, wherever they come from."""

    def from_(values: dict[str, str]) -> XtremepushCredentials:
        given: Any = None
        if request.param == "argument":
            given = values
        elif request.param == "object":
            given = XtremepushCredentials()
            given.update(values)
        elif request.param == "toml":
            lines = [f"{name} = '''{value}'''" for name, value in values.items()]
            configure("\n".join(["[destination.xtremepush.credentials]", *lines]))
        else:
            for name, value in values.items():
                key = f"DESTINATION__XTREMEPUSH__CREDENTIALS__{name.upper()}"
                monkeypatch.setenv(key, value.replace("\n", "\\n"))
        # a Segment key has no region
        destination = xtremepush(api_endpoint="https://api.example.com", credentials=given)
        return destination.configuration(destination.spec()).credentials

    return from_


def said(error: BaseException) -> str:
    """What is said, which must not hold a value."""
    text = f"{error}{error!r}"
    for value in (value for values in WHOLE.values() for value in values.values()):
        assert value not in text
    return str(error)


@pytest.mark.parametrize("kind", WHOLE)
def test_each_kind_alone_is_taken_and_named_and_never_printed(kind: str, resolve: Resolve) -> None:
    credentials = resolve(WHOLE[kind])
    assert credentials.kind == kind
    assert kind in str(credentials)
    printed = f"{credentials}{credentials!r}{[credentials]}"
    assert not [value for value in WHOLE[kind].values() if value in printed]


@pytest.mark.parametrize(
    "kinds",
    [
        ("app_token", "client_secret"),
        ("app_token", "segment_api_key"),
        ("client_secret", "private_key"),
        ("client_secret", "segment_api_key"),
        ("app_token", "private_key", "segment_api_key"),
    ],
    ids="+".join,
)
def test_several_kinds_are_refused_by_name_with_the_kinds_that_there_are(
    kinds: tuple[str, ...], resolve: Resolve
) -> None:
    values = {name: value for kind in kinds for name, value in WHOLE[kind].items()}
    with pytest.raises(ConfigurationError) as raised:
        resolve(values)
    text = said(raised.value)
    assert KINDS in text
    assert all(f"`{kind}`" in text.split("\n")[0] for kind in kinds)


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ({"client_id": "c1-marker"}, "neither `client_secret` nor `private_key`"),
        ({"client_secret": "sec-marker"}, "`client_secret` is set, but `client_id` is not"),
        ({"private_key": KEY}, "`private_key` is set, but `client_id` is not"),
        ({"key_id": "k"}, "`key_id` is set, but `private_key` is not"),
        ({**WHOLE["client_secret"], "algorithm": "RS256"}, "`algorithm` is set, but"),
        ({**WHOLE["app_token"], "private_key_passphrase": "p"}, "`private_key_passphrase` is set"),
        ({"client_id": "c1-marker", "app_token": "tok-marker"}, "`app_token` is a kind of its own"),
    ],
)
def test_half_a_kind_is_refused_with_what_is_missing_and_the_kinds_that_there_are(
    values: dict[str, str], first: str, resolve: Resolve
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        resolve(values)
    text = said(raised.value)
    assert first in text
    assert KINDS in text


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_blank_token_is_none(blank: str, resolve: Resolve) -> None:
    with pytest.raises(ConfigurationError, match="No credentials are set"):
        resolve({"app_token": blank})


def test_the_kinds_are_told_with_the_places_where_each_is_found() -> None:
    for part in ("app token", "OAuth 2.0", "Segment API key", "[destination.xtremepush.cred"):
        assert part in KINDS
    assert KINDS.count("Settings > Integrations") == 2


def test_no_credentials_at_all_list_the_kinds_and_the_keys_that_dlt_tried(
    desk: Desk, configure: Configure, cause: Any
) -> None:
    configure(f'[destination.xtremepush]\napi_endpoint = "{desk.sandbox.url}"\n')
    rows = xtremepush_adapter(
        dlt.resource([{"user_id": 1, "at": "2026-01-01"}], name="orders"),
        track("order", timestamp="at"),
    )
    pipeline = dlt.pipeline("crm_sync", destination="xtremepush", pipelines_dir="pipelines")
    with pytest.raises(Exception, match=r"\w") as raised:
        pipeline.run(rows)
    for text in (str(raised.value), str(cause(raised, ConfigurationError))):
        assert KINDS in text
        assert "DESTINATION__XTREMEPUSH__CREDENTIALS__APP_TOKEN" in text
    # what reads dlt's errors goes on to understand it
    cause(raised, ConfigFieldMissingException)
    assert desk.sandbox.requests == []


def test_a_missing_endpoint_is_reported_beside_missing_credentials() -> None:
    destination = xtremepush()
    with pytest.raises(ConfigurationError) as raised:
        destination.configuration(destination.spec())
    assert KINDS in str(raised.value)
    assert "DESTINATION__XTREMEPUSH__API_ENDPOINT" in str(raised.value)


def test_a_whole_kind_as_an_argument_beats_another_kind_in_the_configuration(
    configure: Configure,
) -> None:
    configure('[destination.xtremepush.credentials]\napp_token = "tok-marker"\n')
    destination = xtremepush(api_endpoint="eu", credentials=WHOLE["client_secret"])
    resolved = destination.configuration(destination.spec()).credentials
    assert resolved.kind == "client_secret"
    assert "app_token" not in {name for name, value in resolved.items() if value is not None}


@pytest.mark.parametrize("missing", [{}, {"client_secret": dlt.secrets.value}])
def test_half_a_kind_as_an_argument_is_filled_in_from_the_configuration(
    missing: dict[str, Any], configure: Configure
) -> None:
    configure('[destination.xtremepush.credentials]\nclient_secret = "sec-marker"\n')
    destination = xtremepush(api_endpoint="eu", credentials={"client_id": "c1", **missing})
    resolved = destination.configuration(destination.spec()).credentials
    assert (resolved.client_id, resolved.client_secret) == ("c1", "sec-marker")


def test_the_passphrase_of_a_key_as_an_argument_may_be_in_the_configuration(
    configure: Configure,
) -> None:
    configure('[destination.xtremepush.credentials]\nprivate_key_passphrase = "open sesame"\n')
    given = {"client_id": "c1", "private_key": pem("P-256", "open sesame")}
    destination = xtremepush(api_endpoint="eu", credentials=given)
    resolved = destination.configuration(destination.spec()).credentials
    assert resolved.signing_key().algorithm == "ES256"


def test_a_key_that_cannot_sign_is_refused_when_the_settings_are_read(resolve: Resolve) -> None:
    with pytest.raises(ConfigurationError, match="`algorithm`"):
        resolve({**WHOLE["private_key"], "algorithm": "RS256"})


def test_credentials_that_differ_have_digests_that_differ_and_show_nothing() -> None:
    digests = set()
    for values in (*WHOLE.values(), {**WHOLE["private_key"], "key_id": "k2"}):
        credentials = XtremepushCredentials()
        credentials.update(values)
        digests.add(credentials.digest())
        assert not [value for value in values.values() if value in credentials.digest()]
    assert len(digests) == 5
