"""The sandbox as a thread, as a process, and its control endpoints."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox.client import Caller
from xtremepush_dlt import sandbox as package
from xtremepush_dlt.sandbox import Faults, OAuthClient, Sandbox, SandboxSettings
from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox


def test_two_sandboxes_run_side_by_side(make_xtremepush_sandbox: MakeSandbox) -> None:
    one, two = make_xtremepush_sandbox(), make_xtremepush_sandbox()
    Caller(one).load(1)

    assert (len(one.profiles), len(two.profiles)) == (1, 0)


def test_what_was_kept_can_be_read_after_the_end() -> None:
    with Sandbox() as sandbox:
        Caller(sandbox).load(1)
    sandbox.stop()

    assert list(sandbox.profiles) == ["user-0"]
    with pytest.raises(requests.ConnectionError):
        Caller(sandbox).load(1)


def test_a_port_that_is_taken_is_an_error_at_the_start(xtremepush_sandbox: Sandbox) -> None:
    port = int(xtremepush_sandbox.url.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        Sandbox(port=port).start()


def test_tasks_and_overlaps_can_be_read_after_the_end() -> None:
    with Sandbox(SandboxSettings(task_seconds=30)) as sandbox:
        caller = Caller(sandbox)
        caller.load(100)
        caller.load(1)
        (running,) = sandbox.tasks

    assert sandbox.tasks == [running]
    assert running.state == "Executing"
    assert [overlap.users for overlap in sandbox.overlaps] == [("user-0",)]


def test_reset_forgets_all_but_settings_and_faults(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(
        SandboxSettings(task_seconds=30), Faults(paths=("hit/",), statuses={503: 1.0})
    )
    caller = Caller(sandbox)
    caller.load(100)
    caller.hit()
    sandbox.reset()

    assert sandbox.state["requests"] == sandbox.state["tasks_running"] == 0
    assert caller.hit().status_code == 503
    assert sandbox.requests[0].number == 1


def test_the_control_endpoints_show_what_the_handle_shows(xtremepush_sandbox: Sandbox) -> None:
    caller = Caller(xtremepush_sandbox)
    caller.load(100)
    xtremepush_sandbox.wait_for_tasks()
    caller.hit("user-5", value={"a": 1})
    caller.hit("user-6")

    def get(name: str, **params: Any) -> Any:
        url = f"{xtremepush_sandbox.url}/_sandbox/{name}"
        reply = requests.get(url, params=params, timeout=5)
        assert reply.status_code == 200
        return reply.json()

    assert get("health") == {"ok": True}
    assert get("state") == xtremepush_sandbox.state
    assert get("profiles") == xtremepush_sandbox.profiles
    assert get("profiles", user_id="user-5") == {"user-5": {"first_name": "Sam"}}
    assert [event["user_id"] for event in get("events", limit=1, offset=1)] == ["user-6"]
    assert [event["value"] for event in get("events", user_id="user-5")] == [{"a": 1}]
    assert [record["status"] for record in get("requests")] == [202, 200, 200]
    assert [task["state"] for task in get("tasks")] == ["Completed"]
    assert get("overlaps") == []
    caller.post("delete/profile", user_id="user-6")
    xtremepush_sandbox.wait_for_tasks()
    assert [(one["user_id"], one["existed"]) for one in get("deletions")] == [("user-6", True)]


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_faults_are_set_over_http_and_leave_the_control_endpoints_alone(
    xtremepush_sandbox: Sandbox, method: str
) -> None:
    url = xtremepush_sandbox.url + "/_sandbox/faults"
    wanted = {"statuses": {"503": 1}, "poison_users": ["a"], "retry_after": 1}

    assert requests.request(method, url, json=wanted, timeout=5).status_code == 200

    assert xtremepush_sandbox.faults == Faults(
        statuses={503: 1.0}, poison_users=frozenset({"a"}), retry_after=1.0
    )
    assert Caller(xtremepush_sandbox).hit().status_code == 503
    assert requests.get(url, timeout=5).json()["statuses"] == {"503": 1.0}
    assert requests.post(xtremepush_sandbox.url + "/_sandbox/reset", timeout=5).ok


@pytest.mark.parametrize("wrong", [{"statusses": {}}, {"latency": "long"}, [], {"html": 2}])
def test_wrong_faults_are_refused_and_change_nothing(
    xtremepush_sandbox: Sandbox, wrong: object
) -> None:
    url = xtremepush_sandbox.url + "/_sandbox/faults"

    assert requests.put(url, json=wrong, timeout=5).status_code == 400
    assert xtremepush_sandbox.faults == Faults()


def test_settings_of_a_wrong_name_or_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="has no 'task_second'"):
        SandboxSettings.from_mapping({"task_second": 1})
    with pytest.raises(ValueError, match="nulls cannot be 'drop'"):
        SandboxSettings.from_mapping({"nulls": "drop"})
    with pytest.raises(ValueError, match="task_id_at"):
        SandboxSettings.from_mapping({"task_id_at": "elsewhere"})
    with pytest.raises(ValueError, match="OAuthClient has no 'id'"):
        SandboxSettings.from_mapping({"oauth_clients": [{"id": "a"}]})
    clients = [{"client_id": "a", "scopes": ["hit"]}, {"client_id": "b", "client_secret": "c"}]
    assert SandboxSettings.from_mapping({"oauth_clients": clients}).oauth_clients == (
        OAuthClient("a", scopes=frozenset({"hit"})),
        OAuthClient("b", "c"),
    )
    assert SandboxSettings.from_mapping({"known_attributes": {"a": None, "b": "date"}}) == (
        SandboxSettings(known_attributes={"a": None, "b": "date"})
    )


def test_bodies_are_left_out_when_told_to(make_xtremepush_sandbox: MakeSandbox) -> None:
    sandbox = make_xtremepush_sandbox(SandboxSettings(keep_bodies=False))
    Caller(sandbox).hit()

    assert sandbox.requests[0].body is None
    assert sandbox.requests[0].size > 0


def test_a_request_is_logged_without_any_customer_value(
    xtremepush_sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caller = Caller(xtremepush_sandbox)
    caller.hit("private-user", "private-event", timestamp="private-time")
    caller.post("import/private-model")
    caller.hit("private-user", value="private-value")

    lines = [record.getMessage() for record in caplog.records if "sandbox" in record.name]
    assert len(lines) == 3
    assert "POST /api/external/hit/event 200" in lines[2]
    assert "private" not in "".join(lines)


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "xtremepush_dlt.sandbox", "--port", "0"]
    options = ["--app-token", "my-token", "--settings", "async_from_rows=2", "nulls=clear"]
    with subprocess.Popen(
        [*command, *options, "--faults", "hang_seconds=60", 'plan=["ok", "hang"]'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        yield running
        running.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_its_url_and_credentials_and_ends_cleanly_on_a_signal(
    process: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    credentials = [process.stdout.readline().split() for _ in range(3)]
    assert credentials == [
        ["app_token", "my-token"],
        ["client_id", "sandbox-client,", "client_secret", "sandbox-secret"],
        ["segment_api_key", "sandbox-segment-key"],
    ]
    body = {"apptoken": "my-token", "columns": ["user_id"], "rows": [["a"], ["b"]]}
    path = url + "/api/external/import/profile"
    assert requests.post(path, json=body, timeout=5).status_code == 202
    with pytest.raises(requests.ReadTimeout):
        requests.post(path, json=body, timeout=0.2)

    began = time.monotonic()
    process.send_signal(number)
    out, errors = process.communicate(timeout=5)

    assert process.returncode == 0
    assert time.monotonic() - began < 2.0
    assert out == ""
    assert "POST /api/external/import/profile 202" in errors
    assert "Traceback" not in errors


def test_a_wrong_option_of_the_process_is_told_in_a_line() -> None:
    command = [sys.executable, "-m", "xtremepush_dlt.sandbox", "--settings", "nulls=drop"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)

    assert done.returncode == 2
    assert "nulls cannot be 'drop'" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_extra_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in list(sys.modules):
        if name == "uvicorn" or name.startswith(("uvicorn.", "xtremepush_dlt.sandbox.server")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    with pytest.raises(ImportError, match=r'pip install "xtremepush-dlt\[sandbox\]"'):
        package.__getattr__("Sandbox")


def test_the_plugin_is_imported_without_the_extra() -> None:
    code = (
        "import sys; import xtremepush_dlt.sandbox.pytest_plugin, xtremepush_dlt.sandbox;"
        "print(sorted({'starlette', 'uvicorn', 'h11', 'jwt', 'cryptography'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )

    assert done.stdout.strip() == "[]"
