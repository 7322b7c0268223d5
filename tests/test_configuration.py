"""Promises about settings: what is asked for, what is refused, what takes effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.common.configuration.exceptions import ConfigurationException

from xtremepush_dlt import identify, track, xtremepush, xtremepush_adapter
from xtremepush_dlt.exceptions import ConfigurationError, InvalidActionError

if TYPE_CHECKING:
    from tests.conftest import BareServer, Configure, Desk

pytestmark = pytest.mark.usefixtures("dlt_home")

TOKEN = "tok-3fa9-marker"
# without their types, for what a type checker would have caught
untyped_identify: Any = identify
untyped_track: Any = track
untyped_xtremepush: Any = xtremepush


def events(count: int) -> Any:
    """Some events of as many users."""
    rows = [{"user_id": f"u{n}", "at": "2026-01-01T00:00:00Z", "n": n} for n in range(count)]
    return xtremepush_adapter(dlt.resource(rows, name="orders"), track("order", timestamp="at"))


def run(destination: Any, desk: Desk, data: Any = None) -> None:
    """Run a small pipeline."""
    pipeline = dlt.pipeline(
        "crm_sync", destination=destination, pipelines_dir=str(desk.pipelines_dir)
    )
    pipeline.run(events(1) if data is None else data)


def test_a_missing_token_is_reported_with_the_keys_that_dlt_tried(
    desk: Desk, configure: Configure
) -> None:
    configure(f'[destination.xtremepush]\napi_endpoint = "{desk.sandbox.url}"\n')
    with pytest.raises(Exception, match="APP_TOKEN") as raised:
        run("xtremepush", desk)
    assert "DESTINATION__XTREMEPUSH__CREDENTIALS__APP_TOKEN" in str(raised.value)
    assert desk.sandbox.requests == []


def test_a_missing_endpoint_is_reported_with_the_keys_that_dlt_tried(
    desk: Desk, configure: Configure
) -> None:
    configure(f'[destination.xtremepush.credentials]\napp_token = "{TOKEN}"\n')
    with pytest.raises(Exception, match="API_ENDPOINT") as raised:
        run("xtremepush", desk)
    assert "DESTINATION__XTREMEPUSH__API_ENDPOINT" in str(raised.value)
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("event_batchsize", "event_batch_size"),
        ("api_endpont", "api_endpoint"),
        ("max_conections", "max_connections"),
        ("credential", "credentials"),
    ],
)
def test_a_misspelled_keyword_of_the_factory_is_an_error_that_names_the_right_one(
    wrong: str, right: str
) -> None:
    with pytest.raises(TypeError, match=f"`{wrong}`.*`{right}`"):
        untyped_xtremepush(**{wrong: 10})


def test_a_misspelled_key_in_the_credentials_is_an_error_without_the_value() -> None:
    with pytest.raises(TypeError, match="app_tokn") as raised:
        xtremepush(api_endpoint="eu", credentials={"app_tokn": TOKEN})
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: untyped_identify(user_idd="id"),
        lambda: untyped_identify(emial="email"),
        lambda: untyped_track("order", timestamp="at", propertys=["a"]),
        lambda: untyped_track("order", user_id="id"),
        lambda: untyped_track(timestamp="at"),
    ],
)
def test_a_misspelled_or_missing_keyword_of_an_action_is_an_error(
    call: Callable[[], object],
) -> None:
    with pytest.raises(TypeError):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: untyped_identify(user_id=7),
        lambda: untyped_identify(email_subscription=2),
        lambda: untyped_identify(attributes="plan"),
        lambda: untyped_identify(attributes={"email": "mail"}),
        lambda: untyped_identify(when={}),
        # a condition richer than equality, which must not be read as a list of its keys
        lambda: untyped_identify(when={"amount": {">": 5}}),
        lambda: untyped_identify(when="status"),
        lambda: untyped_identify(nulls="erase"),
        lambda: untyped_track("", timestamp="at"),
        lambda: untyped_track("order", timestamp=None),
        lambda: untyped_track("order", timestamp="at", when=["status"]),
    ],
)
def test_an_argument_that_can_never_work_is_an_error_at_once(call: Callable[[], object]) -> None:
    with pytest.raises(InvalidActionError):
        call()


def test_the_adapter_takes_nothing_but_actions_and_at_least_one() -> None:
    rows = dlt.resource([{"user_id": 1}], name="customers")
    with pytest.raises(InvalidActionError, match="identify"):
        xtremepush_adapter(rows)
    with pytest.raises(InvalidActionError, match="identify"):
        xtremepush_adapter(rows, {"user_id": "id"})  # type: ignore[arg-type]  # the slip to catch


def test_capabilities_of_dlt_stay_keywords_of_the_factory() -> None:
    snake = xtremepush(naming_convention="snake_case")
    assert snake.capabilities().naming_convention == "snake_case"
    assert xtremepush().capabilities().naming_convention == "direct"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("event_batch_size", 0),
        ("profile_batch_size", -1),
        ("max_request_bytes", 0),
        ("max_connections", 0),
        ("retry_patience", -1.0),
        ("api_endpoint", "mars"),
        ("api_endpoint", ""),
        ("api_endpoint", "ftp://example.com"),
        ("assumptions", {"event_pth": "/x"}),
        ("known_attributes", {"tier": "colour"}),
        ("assumptions", {"oauth_encoding": "xml"}),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name_before_the_first_request(
    setting: str, value: Any, desk: Desk, cause: Any
) -> None:
    with pytest.raises(Exception, match=r"\w") as raised:
        run(desk.destination(**{setting: value}), desk)
    error = cause(raised, ConfigurationError)
    wrong = next(iter(value)) if isinstance(value, dict) else setting
    assert wrong in str(error)
    assert desk.sandbox.requests == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [("on_invalid_value", "perhaps"), ("unknown_attributes", "no"), ("event_batch_size", "many")],
)
def test_a_setting_of_the_wrong_kind_is_refused_by_name(
    setting: str, value: str, desk: Desk, configure: Configure, cause: Any
) -> None:
    configure(
        f'[destination.xtremepush]\napi_endpoint = "{desk.sandbox.url}"\n{setting} = "{value}"\n'
        f'[destination.xtremepush.credentials]\napp_token = "{desk.sandbox.app_token}"\n'
    )
    with pytest.raises(Exception, match=setting) as raised:
        run("xtremepush", desk)
    cause(raised, ConfigurationException)
    assert desk.sandbox.requests == []


def test_settings_from_toml_take_effect(desk: Desk, configure: Configure) -> None:
    configure(
        f'[destination.xtremepush]\napi_endpoint = "{desk.sandbox.url}"\nevent_batch_size = 2\n'
        "max_connections = 1\n"
        f'[destination.xtremepush.credentials]\napp_token = "{desk.sandbox.app_token}"\n'
    )
    run("xtremepush", desk, events(5))
    assert [len(post.body["events"]) for post in desk.posts("hit")] == [2, 2, 1]


def test_an_argument_beats_the_configuration(desk: Desk, configure: Configure) -> None:
    configure("[destination.xtremepush]\nevent_batch_size = 2\n")
    run(desk.destination(event_batch_size=5), desk, events(5))
    assert len(desk.posts("hit")) == 1


def test_assumptions_about_the_api_can_be_set_in_toml(
    bare_server: BareServer, desk: Desk, configure: Configure
) -> None:
    paths: list[str] = []

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        paths.append(path)
        return 200, b'{"success":true}'

    bare_server.answer = answer
    configure(
        f'[destination.xtremepush]\napi_endpoint = "{bare_server.url}"\n'
        '[destination.xtremepush.assumptions]\nevent_path = "/api/external/hit/events"\n'
        '[destination.xtremepush.credentials]\napp_token = "x"\n'
    )
    run("xtremepush", desk)
    assert paths == ["/api/external/hit/events"]


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu", "https://external-api.xtremepush.com"),
        ("us", "https://api.us.xtremepush.com"),
        ("https://api.eu.xtremepush.com/", "https://api.eu.xtremepush.com"),
        ("https://api.eu.xtremepush.com/api/external", "https://api.eu.xtremepush.com"),
    ],
)
def test_the_endpoint_is_a_region_or_a_url_and_is_shown_as_the_location(
    region: str, host: str
) -> None:
    destination = xtremepush(api_endpoint=region, credentials={"app_token": TOKEN})
    pipeline = dlt.pipeline("crm_sync", destination=destination, pipelines_dir="pipelines")
    resolved = destination.configuration(destination.spec())
    assert str(resolved) == host
    assert resolved.fingerprint() == host
    assert TOKEN not in f"{pipeline}{pipeline!r}"


def test_every_setting_says_what_it_is_in_a_docstring() -> None:
    import ast
    import inspect

    from xtremepush_dlt import configuration, credentials

    trees = [ast.parse(inspect.getsource(module)) for module in (configuration, credentials)]
    classes = {n.name: n for tree in trees for n in tree.body if isinstance(n, ast.ClassDef)}
    for name in ("XtremepushCredentials", "XtremepushClientConfiguration"):
        body = classes[name].body
        for node, following in zip(body, [*body[1:], None], strict=True):
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            setting = node.target.id
            if setting.startswith("_") or setting == "destination_type":
                continue
            described = isinstance(following, ast.Expr) and isinstance(
                following.value, ast.Constant
            )
            assert described, f"{name}.{setting} has no docstring"
            assert f"{setting}:" in (xtremepush.__init__.__doc__ or "") or (
                name == "XtremepushCredentials"
            ), f"xtremepush() does not describe `{setting}`"
