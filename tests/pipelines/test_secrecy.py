"""Promises about secrets and personal data: what is written down, and where it is not."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import pytest

from tests.keys import pem
from tests.sandbox.signing import private_key, spki
from xtremepush_dlt import delivery_report, identify, track, xtremepush, xtremepush_adapter
from xtremepush_dlt.credentials import XtremepushCredentials
from xtremepush_dlt.sandbox import Faults, OAuthClient, SandboxSettings

if TYPE_CHECKING:
    from tests.conftest import BareServer, Configure, Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home", "loud_logs")

TOKEN = "tok-5Zq9-marker"
MARKS = [
    "id-9Xq1-marker",
    "mail-9Xq2-marker",
    "353859876123",
    "plan-9Xq4-marker",
    "sku-9Xq5-marker",
    "when-9Xq6-marker",
]


@pytest.fixture
def loud_logs(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything that anybody logs is captured, dlt's own logger included."""
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "DEBUG")
    caplog.set_level(logging.DEBUG)
    of_dlt = logging.getLogger("dlt")
    before = of_dlt.level
    of_dlt.addHandler(caplog.handler)
    of_dlt.setLevel(logging.DEBUG)
    yield
    of_dlt.removeHandler(caplog.handler)
    of_dlt.setLevel(before)


def marked() -> list[Any]:
    """Two tables with a mark in every field, in rows that are sound and rows that are not."""
    user, email, phone, plan, sku, when = MARKS
    customers = [
        {
            "user_id": user,
            "email": f"{email}@example.com",
            "phone": f"+{phone}",
            "email_subscription": 1,
            "sms_subscription": 1,
            "plan": plan,
        },
        {
            "user_id": f"{user}-2",
            "email": f"{email} is none",
            "phone": f"0{phone}",
            "email_subscription": 1,
            "sms_subscription": 1,
            "plan": plan * 20,
        },
    ]
    orders = [
        {"user_id": user, "at": "2026-01-01", "sku": sku},
        {"user_id": user, "at": when, "sku": sku},
        {"user_id": None, "at": "2026-01-01", "sku": sku},
    ]
    at: Any = {"at": {"data_type": "text"}}
    return [
        xtremepush_adapter(dlt.resource(customers, name="customers"), identify()),
        xtremepush_adapter(
            dlt.resource(orders, name="orders", columns=at), track("order", timestamp="at")
        ),
    ]


def texts_of_run(
    desk: Desk,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    **settings: Any,
) -> dict[str, str]:
    """Everything that a run says or writes outside its load packages, by where."""
    said: dict[str, str] = {}
    pipeline = desk.pipeline(**{"credentials": {"app_token": TOKEN}, **settings})
    try:
        info = pipeline.run(marked())
        said["load info"] = f"{info}{info!r}{json.dumps(info.asdict(), default=str)}"
    except Exception as error:  # noqa: BLE001  # whatever it is, its texts are looked at
        link: BaseException | None = error
        while link is not None:
            said["exception"] = said.get("exception", "") + f"{link}{link!r}{vars(link)!r}"
            link = link.__cause__
    trace: Any = pipeline.last_trace
    said["trace"] = f"{trace}{trace!r}{json.dumps(trace.asdict(), default=str)}"
    said["report"] = f"{delivery_report(pipeline)}"
    said["repr of the report"] = f"{delivery_report(pipeline)!r}"
    said["pipeline"] = f"{pipeline}{pipeline!r}{pipeline.destination}{pipeline.destination!r}"
    said["state"] = json.dumps(pipeline.state, default=str)
    said["logs"] = "\n".join(f"{record.getMessage()}{record.exc_text}" for record in caplog.records)
    captured = capfd.readouterr()
    said["output"] = captured.out + captured.err
    for path in desk.home.rglob("*"):
        said["names of files"] = said.get("names of files", "") + str(path.relative_to(desk.home))
        inside = path.relative_to(desk.home).parts
        # pipelines/<name>/load and /normalize: what was extracted lies there, by dlt's design
        if path.is_file() and not {"load", "normalize"} & set(inside[2:3]):
            said[str(path)] = path.read_bytes().decode("utf-8", "replace")
    return said


def assert_silent(said: dict[str, str], marks: list[str]) -> None:
    """No mark stands anywhere."""
    assert said["logs"], "nothing was logged, so nothing was proved"
    found = {(mark, where) for where, text in said.items() for mark in marks if mark in text}
    assert found == set()


@pytest.fixture
def marked_desk(make_desk: MakeDesk) -> Desk:
    """A desk whose sandbox accepts the marked token."""
    return make_desk(SandboxSettings(app_token=TOKEN))


def test_a_run_that_succeeds_tells_nobody_a_token_or_a_customers_value(
    marked_desk: Desk, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    said = texts_of_run(marked_desk, caplog, capfd)
    assert len(marked_desk.events) == 1
    assert "exception" not in said
    assert_silent(said, [TOKEN, *MARKS])


@pytest.mark.parametrize(
    ("faults", "settings"),
    [
        (Faults(plan=(401,)), {}),
        (Faults(plan=(403,)), {}),
        (Faults(plan=(404,)), {}),
        (Faults(outage_requests=100), {}),
        (Faults(), {"api_endpoint": "http://no-such-host.invalid"}),
    ],
    ids=["401", "403", "404", "503", "no host"],
)
def test_a_run_that_fails_tells_nobody_a_token_or_a_customers_value(
    faults: Faults,
    settings: dict[str, Any],
    make_desk: MakeDesk,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")
    desk = make_desk(SandboxSettings(app_token=TOKEN), faults)
    said = texts_of_run(desk, caplog, capfd, retry_patience=0.0, **settings)
    assert said["exception"]
    assert_silent(said, [TOKEN, *MARKS])


@pytest.mark.parametrize("status", [400, 401, 200, 422])
def test_a_server_that_quotes_the_request_is_not_repeated(
    status: int,
    bare_server: BareServer,
    desk: Desk,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def quote(path: str, body: bytes) -> tuple[int, bytes]:
        sent = json.loads(body)
        quoted = f"cannot process {json.dumps(sent)}"
        reply = {"success": False, "code": status, "message": quoted, "errors": [quoted]}
        return status, json.dumps(reply).encode()

    bare_server.answer = quote
    said = texts_of_run(desk, caplog, capfd, api_endpoint=bare_server.url)
    assert bare_server.bodies
    assert_silent(said, [TOKEN, *MARKS])


def test_the_token_is_in_no_file_at_all(
    marked_desk: Desk, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    texts_of_run(marked_desk, caplog, capfd)
    files = [path for path in marked_desk.home.rglob("*") if path.is_file()]
    assert any(path.name == "xtremepush_journal.jsonl" for path in files)
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def credentials_object() -> XtremepushCredentials:
    """Credentials as a user may make them."""
    credentials = XtremepushCredentials()
    credentials.app_token = TOKEN
    return credentials


@pytest.mark.parametrize("make", [lambda: {"app_token": TOKEN}, credentials_object])
def test_neither_destination_nor_credentials_print_the_token(make: Any) -> None:
    destination = xtremepush(api_endpoint="eu", credentials=make())
    config = destination.configuration(destination.spec())
    assert config.credentials.app_token == TOKEN
    pipeline = dlt.pipeline("crm_sync", destination=destination, pipelines_dir="pipelines")
    for thing in (destination, config, config.credentials, credentials_object(), pipeline):
        for text in (str(thing), repr(thing), f"{thing}", f"{[thing]}", f"{ {'a': thing} }"):
            assert TOKEN not in text


def test_a_token_from_toml_is_printed_by_nothing(configure: Configure) -> None:
    configure(
        '[destination.xtremepush]\napi_endpoint = "eu"\n'
        f'[destination.xtremepush.credentials]\napp_token = "{TOKEN}"\n'
    )
    pipeline = dlt.pipeline("crm_sync", destination="xtremepush", pipelines_dir="pipelines")
    destination = pipeline.destination
    config: Any = destination.configuration(destination.spec())
    assert config.credentials.app_token == TOKEN
    assert TOKEN not in f"{pipeline!r}{destination!r}{config!r}{config}{config.credentials!r}"


def test_the_client_and_what_it_holds_do_not_print_the_token(marked_desk: Desk) -> None:
    pipeline = marked_desk.pipeline(credentials={"app_token": TOKEN})
    pipeline.run(marked())
    client = pipeline._get_destination_clients()[0]
    assert TOKEN not in f"{client}{client!r}{client.config}{client.config!r}"


def test_a_report_after_a_refusal_tells_status_and_count_but_no_value(
    marked_desk: Desk,
) -> None:
    marked_desk.sandbox.set_faults(poison_users=frozenset({MARKS[0]}), poison_named=True)
    report = marked_desk.deliver(*marked(), credentials={"app_token": TOKEN})
    assert report.count("rejected") == 2
    assert "400" in str(report)
    assert not [mark for mark in MARKS if mark in f"{report}{report!r}"]


def test_file_names_of_a_run_hold_no_customers_value(marked_desk: Desk) -> None:
    marked_desk.deliver(*marked(), credentials={"app_token": TOKEN})
    names = " ".join(str(path) for path in Path(marked_desk.home).rglob("*"))
    assert not [mark for mark in [TOKEN, *MARKS] if mark in names]


# --- OAuth 2.0 ------------------------------------------------------------------------------------

SECRET = "sec-7Wq3-marker"
PASSPHRASE = "pass-7Wq4-marker"
BY_SECRET = {"client_id": "client", "client_secret": SECRET}
BY_KEY = {
    "client_id": "client",
    "private_key": pem("P-256", PASSPHRASE),
    "private_key_passphrase": PASSPHRASE,
}
SECRETS = [SECRET, PASSPHRASE, *pem("P-256", PASSPHRASE).splitlines()[1:-1]]
JWT = "eyJhbGciOiJFUzI1NiIs"  # how one begins that is signed with ES256
both_grants = pytest.mark.parametrize("credentials", [BY_SECRET, BY_KEY], ids=["secret", "key"])


@pytest.fixture
def oauth_desk(make_desk: MakeDesk) -> Desk:
    """A desk whose sandbox knows the client with the marked secrets."""
    client = OAuthClient("client", SECRET, spki(private_key("P-256")))
    return make_desk(SandboxSettings(oauth_clients=(client,)))


def tokens_of(desk: Desk) -> list[str]:
    """The access tokens that the sandbox has issued."""
    return [*desk.sandbox._app.office._tokens]


@both_grants
def test_a_run_under_oauth_tells_nobody_a_secret_a_key_or_a_token(
    credentials: dict[str, str],
    oauth_desk: Desk,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    said = texts_of_run(oauth_desk, caplog, capfd, credentials=credentials)
    assert len(oauth_desk.events) == 1
    assert "exception" not in said
    assert len(tokens_of(oauth_desk)) == 1
    secrets = [*SECRETS, *tokens_of(oauth_desk)]
    assert_silent(said, [*secrets, JWT, *MARKS])
    files = [path for path in oauth_desk.home.rglob("*") if path.is_file()]
    assert not [p for p in files for secret in secrets if secret.encode() in p.read_bytes()]


@both_grants
@pytest.mark.parametrize(
    ("paths", "plan"),
    [
        (("/oauth/",), (400,)),
        (("/oauth/",), (401,)),
        (("/oauth/",), (404,)),
        (("/oauth/",), (503,) * 9),
        (("/external/",), (401,) * 9),
        (("/external/",), (403,) * 9),
    ],
    ids=str,
)
def test_a_failure_under_oauth_tells_nobody_a_secret_a_key_or_a_token(
    credentials: dict[str, str],
    paths: tuple[str, ...],
    plan: tuple[int, ...],
    oauth_desk: Desk,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOAD__RAISE_ON_MAX_RETRIES", "1")
    oauth_desk.sandbox.set_faults(Faults(paths=paths, plan=plan))
    said = texts_of_run(oauth_desk, caplog, capfd, retry_patience=0.0, credentials=credentials)
    assert said["exception"]
    assert_silent(said, [*SECRETS, *tokens_of(oauth_desk), JWT, *MARKS])


@both_grants
def test_a_token_endpoint_that_quotes_the_request_is_not_repeated(
    credentials: dict[str, str],
    bare_server: BareServer,
    desk: Desk,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def quote(path: str, body: bytes) -> tuple[int, bytes]:
        said = body.decode()
        return 400, json.dumps({"error": said, "error_description": said, "message": said}).encode()

    bare_server.answer = quote
    said = texts_of_run(desk, caplog, capfd, api_endpoint=bare_server.url, credentials=credentials)
    assert bare_server.bodies
    assert_silent(said, [*SECRETS, JWT, *MARKS])


@both_grants
def test_neither_destination_nor_client_print_what_oauth_needs(
    credentials: dict[str, str], oauth_desk: Desk
) -> None:
    from xtremepush_dlt.shared import shared

    pipeline = oauth_desk.pipeline(credentials=credentials)
    pipeline.run(marked())
    client = pipeline._get_destination_clients()[0]
    config: Any = client.config
    secrets = [*SECRETS, *tokens_of(oauth_desk)]
    for thing in (pipeline.destination, client, config, config.credentials, vars(shared)):
        text = f"{thing}{thing!r}"
        assert not [secret for secret in secrets if secret in text]


def test_secrets_from_toml_are_masked_in_the_trace(oauth_desk: Desk, configure: Configure) -> None:
    configure(
        f'[destination.xtremepush]\napi_endpoint = "{oauth_desk.sandbox.url}"\n'
        '[destination.xtremepush.credentials]\nclient_id = "client"\n'
        f"private_key = '''{BY_KEY['private_key']}'''\n"
        f'private_key_passphrase = "{PASSPHRASE}"\n'
    )
    pipeline = dlt.pipeline("crm_sync", destination="xtremepush", pipelines_dir="pipelines")
    pipeline.run(marked())
    trace: Any = pipeline.last_trace
    resolved = [value for value in trace.resolved_config_values if value.key.startswith("private_")]
    assert len(resolved) >= 2
    text = f"{trace}{trace!r}{json.dumps(trace.asdict(), default=str)}"
    assert not [secret for secret in SECRETS if secret in text]
