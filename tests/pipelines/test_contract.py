"""The contract: each kind of credentials with each action, from the row to the ledger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from tests.conftest import QUICK_POLLS
from tests.pipelines.access import KINDS, ON_THE_WIRE, SEGMENT, every_kind
from xtremepush_dlt import (
    delete,
    delivery_report,
    identify,
    ledger,
    track,
    xtremepush_adapter,
)
from xtremepush_dlt.exceptions import (
    ConfigurationError,
    CredentialsRefusedError,
    EndpointRefusedError,
    TooManyUndeliveredError,
)
from xtremepush_dlt.sandbox import Faults

if TYPE_CHECKING:
    from tests.conftest import Desk, MakeDesk

pytestmark = pytest.mark.usefixtures("dlt_home")

DELETION_ON = {**QUICK_POLLS, "delete_path": "/api/external/delete/profile"}
AT = "2026-07-01T10:00:00.125+00:00"

ROWS = [{"user_id": f"u{n}", "at": AT, "n": n} for n in range(3)]


class Action(NamedTuple):
    """One of the three actions, and where its calls go on each route."""

    action: Any
    external: str
    segment: str
    label: str


ACTIONS = {
    "identify": Action(
        identify(attributes=["n"]),
        "/api/external/import/profile",
        "/api/integration/segment/handle",
        "identify",
    ),
    "track": Action(
        track("order", timestamp="at", properties=["n"]),
        "/api/external/hit/event",
        "/api/integration/segment/handle",
        "track order",
    ),
    "delete": Action(
        delete(user_id="user_id"),
        "/api/external/delete/profile",
        "/api/integration/segment/delete",
        "delete",
    ),
}

kinds = pytest.mark.parametrize("kind", KINDS)
actions = pytest.mark.parametrize("of", ACTIONS)


def table(of: str, rows: Any = None) -> Any:
    """Three rows with one action."""
    resource = dlt.resource(ROWS if rows is None else rows, name="people", primary_key="n")
    return xtremepush_adapter(resource, ACTIONS[of].action)


@pytest.fixture
def project(make_desk: MakeDesk) -> Desk:
    """A project that takes every kind of credentials."""
    return make_desk(every_kind())


def calls(desk: Desk) -> list[Any]:
    """The requests, but for tokens and questions about tasks."""
    return [
        one for one in desk.sandbox.requests if "/oauth/" not in one.path and "task" not in one.path
    ]


@actions
@kinds
def test_each_kind_of_credentials_delivers_each_action(kind: str, of: str, project: Desk) -> None:
    pipeline = project.pipeline(credentials=KINDS[kind], assumptions=DELETION_ON)
    pipeline.run(table(of))

    # what arrived
    sandbox, action = project.sandbox, ACTIONS[of]
    if of == "identify":
        assert sandbox.profiles == {f"u{n}": {"n": n} for n in range(3)}
    elif of == "track":
        seen = {(event.user_id, event.event, event.value["n"]) for event in project.events}
        assert seen == {(f"u{n}", "order", n) for n in range(3)}
        assert len(project.events) == 3
    else:
        assert sorted(str(one.user_id) for one in sandbox.deletions) == ["u0", "u1", "u2"]
    assert (of == "track") == bool(sandbox.events)
    assert (of == "delete") == bool(sandbox.deletions)

    # how it travelled
    single = kind == "segment_api_key"
    path = action.segment if single else action.external
    assert {one.path for one in calls(project)} == {path}
    assert len(calls(project)) == (3 if single or of == "delete" else 1)
    assert {one.credentials for one in calls(project)} == {ON_THE_WIRE[kind]}
    assert sandbox.tokens_issued == (1 if ON_THE_WIRE[kind] == ("bearer",) else 0)

    # what is said about it
    report = delivery_report(pipeline)
    assert report.complete
    assert [(of_table.table, of_table.action) for of_table in report.actions] == [
        ("people", action.label)
    ]
    assert (report.offered, report.count("delivered")) == (3, 3)

    # what is remembered of it
    sent = list(ledger(pipeline).deliveries.arrow().to_pylist())
    assert {row["endpoint"] for row in sent} == {f"{sandbox.url}{path}"}
    assert sum(row["row_count"] for row in sent) == 3
    assert {(row["table_name"], row["action"]) for row in sent} == {("people", action.label)}
    assert {row["outcome"] for row in sent} == {"delivered"}
    assert list(ledger(pipeline).undelivered.arrow().to_pylist()) == []


@actions
@kinds
def test_a_row_that_is_refused_is_in_the_ledger_and_its_neighbours_arrive(
    kind: str, of: str, project: Desk
) -> None:
    project.sandbox.set_faults(Faults(poison_users=frozenset({"u1"})))
    pipeline = project.pipeline(credentials=KINDS[kind], assumptions=DELETION_ON)
    pipeline.run(table(of))
    report = delivery_report(pipeline)
    assert (report.count("delivered"), report.count("rejected")) == (2, 1)
    (row,) = ledger(pipeline).undelivered.arrow().to_pylist()
    assert (row["user_id"], row["outcome"], row["call"]) == ("u1", "rejected", of)
    assert row["status"] in (200, 400)
    assert "u1" in row["payload"]


@actions
@kinds
def test_no_secret_is_in_report_ledger_or_journal(kind: str, of: str, project: Desk) -> None:
    pipeline = project.pipeline(
        credentials=KINDS[kind], assumptions=DELETION_ON, ledger_payloads="all"
    )
    pipeline.run(table(of))
    written = str(delivery_report(pipeline)) + repr(pipeline.destination)
    written += "".join(
        path.read_text(encoding="utf-8", errors="replace")
        for path in project.home.rglob("*")
        if path.is_file()
    )
    secrets = [
        value for name, value in KINDS[kind].items() if name not in ("client_id", "private_key")
    ]
    secrets += ["PRIVATE KEY", "Bearer ", "Basic "]
    assert [secret for secret in secrets if secret in written] == []


# --- errors that a person can act on --------------------------------------------------------------


def refusal(desk: Desk, error: type[BaseException], cause: Any, of: str, **settings: Any) -> str:
    """What a run says that ends with an error; it keeps its rows."""
    pipeline = desk.pipeline(**{"assumptions": DELETION_ON, **settings})
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(table(of))
    assert pipeline.has_pending_data
    assert (desk.sandbox.profiles, desk.events, desk.sandbox.deletions) == ({}, [], [])
    said = str(cause(raised, error))
    assert said in str(raised.value)
    return said


@actions
@pytest.mark.parametrize(
    ("credentials", "named"),
    [
        ({"app_token": "wr0ng"}, "`app_token`"),
        ({"segment_api_key": "wr0ng"}, "`segment_api_key`"),
        # the key of one kind in the place of another
        ({"app_token": SEGMENT["segment_api_key"]}, "`app_token`"),
        ({"segment_api_key": "sandbox-token"}, "An app token is no Segment API key"),
    ],
)
def test_a_wrong_key_or_one_of_another_kind_names_the_setting_and_loses_nothing(
    credentials: dict[str, str], named: str, of: str, project: Desk, cause: Any
) -> None:
    said = refusal(project, CredentialsRefusedError, cause, of, credentials=credentials)
    for part in ("401", named, "`api_endpoint`", "Nothing is lost"):
        assert part in said
    assert not [value for value in credentials.values() if value in said]
    # mended, the rows arrive
    good = {name: KINDS[name][name] for name in credentials}
    pipeline = project.pipeline(credentials=good, assumptions=DELETION_ON)
    pipeline.run()
    assert delivery_report(pipeline).count("delivered") == 3


@pytest.mark.parametrize("of", ["identify", "track"])
@kinds
def test_an_endpoint_with_a_path_of_its_own_names_the_setting(
    kind: str, of: str, project: Desk, cause: Any
) -> None:
    wrong = f"{project.sandbox.url}/dashboard"
    said = refusal(
        project, EndpointRefusedError, cause, of, credentials=KINDS[kind], api_endpoint=wrong
    )
    for part in ("404", "`api_endpoint`", "Nothing is lost"):
        assert part in said


@pytest.mark.parametrize("endpoint", ["eu", "US", " eu "])
def test_a_region_with_a_segment_key_is_refused_with_where_the_endpoint_is_found(
    endpoint: str, project: Desk, cause: Any
) -> None:
    with pytest.raises(Exception, match=r"\w") as raised:
        project.deliver(table("track"), credentials=SEGMENT, api_endpoint=endpoint)
    said = str(cause(raised, ConfigurationError))
    for part in ("`api_endpoint`", "`segment_api_key`", "Settings > Integrations > Segment"):
        assert part in said
    assert project.sandbox.requests == []


def test_a_slash_at_the_end_of_the_endpoint_does_no_harm(project: Desk) -> None:
    endpoint = f"{project.sandbox.url}/"
    project.deliver(table("track"), credentials=SEGMENT, api_endpoint=endpoint)
    assert {one.path for one in project.sandbox.requests} == {"/api/integration/segment/handle"}


# --- what the Segment route makes of answers ------------------------------------------------------


@actions
@pytest.mark.parametrize("fault", [429, 500, 503, 502, "reset_before", "reset_after", "html"])
def test_trouble_is_met_by_sending_again_with_the_same_message_id(
    fault: int | str, of: str, project: Desk
) -> None:
    project.sandbox.set_faults(Faults(plan=(fault,)))
    report = project.deliver(table(of), credentials=SEGMENT, retry_patience=30, max_connections=1)
    assert (report.count("delivered"), report.retries) == (3, 1)
    sent = [one.body["messageId"] for one in calls(project)]
    assert len(sent) == 4
    assert sent[0] == sent[1]
    assert len({*sent}) == 3


def test_a_refusal_under_http_200_is_a_rejected_row(project: Desk) -> None:
    project.sandbox.set_faults(Faults(plan=("success_false",)))
    report = project.deliver(table("track"), credentials=SEGMENT, max_connections=1)
    assert (report.count("delivered"), report.count("rejected")) == (2, 1)
    assert len(project.events) == 2


@pytest.mark.parametrize("of", ["identify", "delete"])
def test_with_hold_calls_that_change_nothing_twice_are_sent_again_all_the_same(
    of: str, project: Desk
) -> None:
    project.sandbox.set_faults(Faults(plan=("reset_after",)))
    report = project.deliver(
        table(of), credentials=SEGMENT, on_unknown="hold", retry_patience=30, max_connections=1
    )
    assert (report.count("delivered"), report.count("unknown")) == (3, 0)


def test_with_hold_an_event_without_an_answer_is_unknown_and_not_sent_again(project: Desk) -> None:
    project.sandbox.set_faults(Faults(plan=("reset_after",)))
    pipeline = project.pipeline(
        credentials=SEGMENT, on_unknown="hold", retry_patience=30, max_connections=1
    )
    pipeline.run(table("track"))
    report = delivery_report(pipeline)
    assert (report.count("delivered"), report.count("unknown")) == (2, 1)
    assert len(project.events) == len(calls(project)) == 3
    (row,) = ledger(pipeline).undelivered.arrow().to_pylist()
    assert (row["outcome"], row["call"]) == ("unknown", "track")


@pytest.mark.parametrize("deliver_many", [1, 16])
def test_a_run_in_which_too_much_is_refused_stops(
    deliver_many: int, project: Desk, cause: Callable[..., Any]
) -> None:
    project.sandbox.set_faults(Faults(poison_users=frozenset(f"u{n}" for n in range(0, 400, 2))))
    rows = [{"user_id": f"u{n}", "at": AT, "n": n} for n in range(400)]
    pipeline = project.pipeline(
        credentials=SEGMENT, max_undelivered=0.2, max_connections=deliver_many
    )
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(table("track", rows))
    assert "HTTP 400" in str(cause(raised, TooManyUndeliveredError))
    assert len(calls(project)) < 400
