"""Promises about OAuth 2.0, through real pipelines: both grants, renewal, and errors to act on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from tests.keys import ALGORITHMS, pem
from tests.pipelines.access import SECRET, signed, signer
from tests.sandbox.signing import certificate, private_key, spki
from xtremepush_dlt import delivery_report, identify, track, xtremepush_adapter
from xtremepush_dlt.exceptions import (
    ConfigurationError,
    CredentialsRefusedError,
    EndpointRefusedError,
    XtremepushUnavailableError,
)
from xtremepush_dlt.sandbox import Faults, SandboxSettings

if TYPE_CHECKING:
    from tests.conftest import Configure, Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home")

TOKEN_PATH = "/api/oauth/token"


def customers(count: int = 3) -> Any:
    """Profiles of some users."""
    rows = [{"user_id": f"u{n}", "n": n} for n in range(count)]
    return xtremepush_adapter(dlt.resource(rows, name="customers"), identify())


def orders(count: int = 3) -> Any:
    """Events of as many users."""
    rows = [{"user_id": f"u{n}", "at": "2026-01-01", "n": n} for n in range(count)]
    return xtremepush_adapter(dlt.resource(rows, name="orders"), track("order", timestamp="at"))


def assert_delivered(desk: Desk, table: str, count: int = 3) -> None:
    """Each row arrived, and each once."""
    if table == "customers":
        assert desk.sandbox.profiles == {f"u{n}": {"n": n} for n in range(count)}
    else:
        assert Counter(event.value["n"] for event in desk.events) == Counter(range(count))


TABLES = {"customers": customers, "orders": orders}
tables = pytest.mark.parametrize("table", TABLES)


# --- the contract ---------------------------------------------------------------------------------


@tables
@pytest.mark.parametrize("public", [spki, certificate])
@pytest.mark.parametrize(("algorithm", "kind"), ALGORITHMS.items())
def test_a_private_key_delivers(
    algorithm: str, kind: str, public: Any, table: str, make_desk: MakeDesk
) -> None:
    desk = make_desk(signer(public(private_key(kind))))
    report = desk.deliver(TABLES[table](), credentials=signed(kind, algorithm=algorithm))
    assert report.count("delivered") == 3
    assert_delivered(desk, table)
    assert desk.sandbox.tokens_issued == 1


@pytest.mark.parametrize("encoding", ["form", "json"])
def test_the_encoding_of_the_token_request_is_one_setting(
    encoding: str, make_desk: MakeDesk
) -> None:
    desk = make_desk(SandboxSettings(token_encodings=(encoding,)))
    assumed = {"oauth_encoding": encoding}
    assert desk.deliver(orders(), credentials=SECRET, assumptions=assumed).count("delivered") == 3


def test_credentials_and_assumptions_may_come_from_toml(
    make_desk: MakeDesk, configure: Configure
) -> None:
    desk = make_desk(signer(spki(private_key("P-384"))))
    configure(
        f'[destination.xtremepush]\napi_endpoint = "{desk.sandbox.url}"\n'
        '[destination.xtremepush.assumptions]\noauth_audience = "{endpoint}/api/oauth/token"\n'
        "[destination.xtremepush.credentials]\n"
        f'client_id = "signer"\nprivate_key = """\n{pem("P-384", "open sesame")}"""\n'
        'private_key_passphrase = "open sesame"\nkey_id = "key-1"\n'
    )
    pipeline = dlt.pipeline("crm_sync", destination="xtremepush", pipelines_dir="pipelines")
    pipeline.run(orders())
    assert_delivered(desk, "orders")


def test_a_large_import_is_followed_to_its_end_under_oauth(desk: Desk) -> None:
    report = desk.deliver(customers(250), credentials=SECRET)
    assert report.count("delivered") == 250
    assert_delivered(desk, "customers", 250)
    assert desk.posts("task")


# --- one token, renewed ---------------------------------------------------------------------------


def test_sixteen_lanes_fetch_one_token(desk: Desk) -> None:
    desk.deliver(orders(400), credentials=SECRET, event_batch_size=5, max_connections=16)
    assert_delivered(desk, "orders", 400)
    assert desk.sandbox.tokens_issued == 1


def test_several_pipelines_of_a_process_share_one_token(desk: Desk) -> None:
    for name in ("crm_sync", "shop_sync", "crm_sync"):
        desk.deliver(customers(), name=name, credentials=SECRET)
    assert desk.sandbox.tokens_issued == 1


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(30.0, 1), (1.0, "omit")],
    ids=["whose end is told", "whose end is not told"],
)
def test_a_token_that_ends_in_the_middle_of_a_run_is_renewed(
    seconds: float, told: Any, make_desk: MakeDesk
) -> None:
    settings = SandboxSettings(token_seconds=seconds, token_expires_in=told)
    desk = make_desk(settings, Faults(latency=0.05))
    start = time.monotonic()
    report = desk.deliver(orders(200), credentials=SECRET, event_batch_size=2, max_connections=2)
    assert time.monotonic() - start > 1.5, "too quick for a token to end"
    assert report.count("delivered") == 200
    assert_delivered(desk, "orders", 200)
    assert desk.sandbox.tokens_issued >= 2
    refused = [post for post in desk.posts("hit") if post.status == 401]
    # who is told the end renews before it, and needs no refusal to learn of it
    assert bool(refused) == (told == "omit")


def test_a_token_that_is_revoked_in_the_middle_of_a_run_is_renewed_once(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk(faults=Faults(latency=0.02))

    def revoke() -> None:
        end = time.monotonic() + 20
        while len(desk.posts("hit")) < 20 and time.monotonic() < end:
            time.sleep(0.01)
        desk.sandbox.revoke_tokens()

    revoking = threading.Thread(target=revoke)
    revoking.start()
    report = desk.deliver(orders(400), credentials=SECRET, event_batch_size=2, max_connections=8)
    revoking.join()
    assert report.count("delivered") == 400
    assert_delivered(desk, "orders", 400)
    assert desk.sandbox.tokens_issued == 2
    assert 1 <= len([post for post in desk.posts("hit") if post.status == 401]) <= 8


# --- errors that a person can act on --------------------------------------------------------------


def refusal(desk: Desk, kind: type[BaseException], cause: Any, **settings: Any) -> str:
    """What a run says that ends with an error; it keeps its rows."""
    pipeline = desk.pipeline(**settings)
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(orders())
    said = str(cause(raised, kind))
    assert said in str(raised.value)
    assert pipeline.has_pending_data
    assert desk.events == []
    return said


def assert_named(said: str, *parts: str) -> None:
    assert [part for part in parts if part not in said] == []


def test_a_wrong_secret_names_the_settings_to_check(desk: Desk, cause: Any) -> None:
    wrong = {**SECRET, "client_secret": "wr0ng"}
    said = refusal(desk, CredentialsRefusedError, cause, credentials=wrong)
    assert_named(said, "401", "token endpoint", "`client_id`", "`client_secret`", "`api_endpoint`")
    assert "wr0ng" not in said
    assert desk.posts("hit") == []


def test_a_wrong_key_names_the_settings_to_check(make_desk: MakeDesk, cause: Any) -> None:
    desk = make_desk(signer(spki(private_key("P-384"))))
    said = refusal(desk, CredentialsRefusedError, cause, credentials=signed("2048"))
    assert_named(said, "`invalid_grant`", "`private_key`", "`client_id`", "public key", "clock")


def test_a_client_id_that_nobody_knows_names_the_settings_to_check(desk: Desk, cause: Any) -> None:
    said = refusal(desk, CredentialsRefusedError, cause, credentials=signed())
    assert_named(said, "`invalid_client`", "`private_key`", "`client_id`")


def test_an_expired_certificate_of_the_client_is_among_what_is_to_be_checked(
    make_desk: MakeDesk, cause: Any
) -> None:
    expired = certificate(private_key("P-256"), begins=-7200, ends=-3600)
    said = refusal(make_desk(signer(expired)), CredentialsRefusedError, cause, credentials=signed())
    assert_named(said, "certificate", "expired", "Settings > Integrations > API Integration")


def test_a_certificate_that_expires_after_the_token_was_given_is_told_too(
    make_desk: MakeDesk, cause: Any
) -> None:
    expiring = certificate(private_key("P-256"), ends=2.0)
    desk = make_desk(signer(expiring))
    desk.deliver(customers(), credentials=signed())
    time.sleep(2.1)
    said = refusal(desk, CredentialsRefusedError, cause, credentials=signed())
    assert_named(said, "certificate", "expired")


@pytest.mark.parametrize(
    ("lacking", "call", "rows"),
    [("hit", "hit/event", 3), ("import", "import/profile", 3), ("list", "list/task", 250)],
)
def test_a_missing_scope_is_named_with_the_place_to_tick_it(
    lacking: str, call: str, rows: int, make_desk: MakeDesk, cause: Any
) -> None:
    scopes = frozenset({"hit", "import", "list"} - {lacking})
    desk = make_desk(signer(spki(private_key("P-256")), scopes))
    pipeline = desk.pipeline(credentials=signed())
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run([customers(rows), orders(rows)])
    said = str(cause(raised, CredentialsRefusedError))
    assert_named(said, "403", "scope", f"`{call}`", "Settings > Integrations > API Integration")
    assert desk.sandbox.tokens_issued == 1


def test_a_token_path_that_nobody_serves_names_endpoint_and_path(desk: Desk, cause: Any) -> None:
    assumed = {"oauth_token_path": "/oauth2/token"}
    said = refusal(desk, EndpointRefusedError, cause, credentials=SECRET, assumptions=assumed)
    assert_named(said, "404", "token endpoint", "`/oauth2/token`", "`api_endpoint`")


def test_an_endpoint_with_a_path_of_its_own_names_the_setting(desk: Desk, cause: Any) -> None:
    said = refusal(
        desk,
        EndpointRefusedError,
        cause,
        credentials=SECRET,
        api_endpoint=f"{desk.sandbox.url}/dashboard",
    )
    assert_named(said, "404", "`api_endpoint`")


def test_a_key_that_is_too_small_is_refused_before_any_request(desk: Desk, cause: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"`private_key`.*2048 bits.*`algorithm`"):
        desk.pipeline(credentials=signed("2048", algorithm="RS512"))
    assert desk.sandbox.requests == []


def test_a_token_endpoint_that_is_busy_is_asked_again(make_desk: MakeDesk) -> None:
    desk = make_desk(faults=Faults(paths=(TOKEN_PATH,), plan=(503, 429, "reset_after", "html")))
    report = desk.deliver(orders(), credentials=SECRET, retry_patience=60)
    assert report.count("delivered") == 3
    assert_delivered(desk, "orders")


def test_a_token_endpoint_that_stays_busy_ends_the_patience(
    make_desk: MakeDesk, cause: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")
    desk = make_desk(faults=Faults(paths=(TOKEN_PATH,), outage_requests=1000))
    said = refusal(desk, XtremepushUnavailableError, cause, credentials=SECRET)
    assert_named(said, "503", "token endpoint")


@pytest.mark.parametrize("fault", [400, 404, 503])
def test_events_that_had_no_token_are_not_in_doubt_and_are_sent_later(
    fault: int, make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")
    desk = make_desk(faults=Faults(paths=(TOKEN_PATH,), plan=(fault,)))
    settings: dict[str, Any] = {
        "credentials": SECRET,
        "on_unknown": "hold",
        "retry_patience": 0.0,
    }
    pipeline = desk.pipeline(**settings)
    with pytest.raises(PipelineStepFailed):
        pipeline.run(orders())
    desk.pipeline(**settings).run()
    assert delivery_report(pipeline).count("delivered") == 3
    assert delivery_report(pipeline).count("unknown") == 0
    assert_delivered(desk, "orders")
