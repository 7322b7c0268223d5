"""`dlt xtremepush ...`, as a user types it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dlt
import pytest
import requests

from tests.conftest import Configure, Desk, MakeDesk
from tests.ledger.conftest import wipe
from xtremepush_dlt import identify, track, xtremepush_adapter
from xtremepush_dlt.sandbox import Faults

DLT = Path(sys.executable).with_name("dlt")
BAD, CITY = "u-bad", "Ballybofey"


def dlt_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DLT, "xtremepush", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def shop(make_desk: MakeDesk, configure: Configure) -> Desk:
    """A sandbox that one user's calls are refused by, in the configuration of a project."""
    desk = make_desk(faults=Faults(poison_users=frozenset({BAD})))
    configure(f"""
        [destination.xtremepush]
        api_endpoint = "{desk.sandbox.url}"
        max_undelivered = 1.0
        [destination.xtremepush.credentials]
        app_token = "{desk.sandbox.app_token}"
    """)
    return desk


def people() -> Any:
    rows = [{"user_id": BAD, "city": CITY}, {"user_id": "u-good", "city": CITY}, {"city": CITY}]
    return xtremepush_adapter(dlt.resource(rows, name="people"), identify())


def visits() -> Any:
    @dlt.resource(name="visits")
    def rows(after: Any = dlt.sources.incremental("id")) -> Any:  # noqa: B008  # dlt's way
        yield [{"id": n, "user_id": BAD, "at": "2026-01-01T00:00:00Z"} for n in (1, 2)]

    return xtremepush_adapter(rows(), track("visit", timestamp="at", event_id="id"))


@pytest.fixture
def synced(shop: Desk) -> Desk:
    pipeline = dlt.pipeline("crm_sync", destination="xtremepush")
    pipeline.run([people(), visits()])
    pipeline.deactivate()
    return shop


def without_blanks(text: str) -> str:
    return re.sub(r" +", " ", text)


def test_undelivered_lists_reasons_and_counts_and_no_value_of_a_customer(synced: Desk) -> None:
    done = dlt_command("undelivered", "crm_sync")
    assert (done.returncode, done.stderr) == (0, "")
    told = without_blanks(done.stdout)
    assert re.search(r"people identify invalid user_id: missing 1 .* 0\n", told)
    assert re.search(r"people identify rejected HTTP 400 1 .* 1\n", told)
    assert re.search(r"visits track visit rejected HTTP 400 2 .* 2\n", told)
    assert "3 rows can be replayed" in told
    assert BAD not in told
    assert CITY not in told


def test_undelivered_names_users_and_events_when_it_is_asked_for_rows(synced: Desk) -> None:
    done = dlt_command("undelivered", "crm_sync", "--rows", "2")
    assert done.returncode == 0
    told = without_blanks(done.stdout)
    assert len(re.findall(rf"visits track visit {BAD} [12] .* rejected: HTTP 400", told)) == 2
    assert CITY not in told


def test_replay_sends_again_once_and_says_so(synced: Desk) -> None:
    assert "would be replayed" in dlt_command("replay", "crm_sync", "--dry-run").stdout
    synced.sandbox.set_faults(Faults())
    done = dlt_command("replay", "crm_sync", "--table", "visits")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 visits (track visit)" in done.stdout
    assert "Outcome: 2 delivered." in done.stdout
    assert [event.value["id"] for event in synced.events] == [1, 2]

    done = dlt_command("replay", "crm_sync")
    assert "Outcome: 1 delivered." in done.stdout
    again = dlt_command("replay", "crm_sync")
    assert again.returncode == 0
    assert again.stdout.startswith("There is nothing to replay.\nInvalid, and cannot be replayed")
    assert len(synced.events) == 2
    assert "3 rows were replayed since." in dlt_command("undelivered", "crm_sync").stdout


def test_a_new_machine_needs_nothing_but_the_configuration(synced: Desk) -> None:
    wipe(synced)
    assert "3 rows can be replayed" in dlt_command("undelivered", "crm_sync").stdout
    synced.sandbox.set_faults(Faults())
    assert "Outcome: 3 delivered." in dlt_command("replay", "crm_sync").stdout
    # and the pipeline still restores its cursors there
    dlt.pipeline("crm_sync", destination="xtremepush").run(visits())
    assert len(synced.events) == 2


def test_a_destination_of_another_name_can_be_given(shop: Desk, configure: Configure) -> None:
    configure(f"""
        [destination.xp_eu]
        destination_type = "xtremepush"
        api_endpoint = "{shop.sandbox.url}"
        max_undelivered = 1.0
        [destination.xp_eu.credentials]
        app_token = "{shop.sandbox.app_token}"
    """)
    pipeline = dlt.pipeline("crm_sync", destination=dlt.destination("xp_eu"))
    pipeline.run(people())
    pipeline.deactivate()
    assert "1 row can be replayed" in dlt_command("undelivered", "crm_sync").stdout
    wipe(shop)
    done = dlt_command("undelivered", "crm_sync", "--destination", "xp_eu")
    assert "1 row can be replayed" in done.stdout


def test_a_pipeline_that_nobody_knows_is_an_error_and_leaves_nothing_behind(shop: Desk) -> None:
    for operation in ("undelivered", "replay"):
        done = dlt_command(operation, "crm_sink")
        assert done.returncode == 1
        assert "No pipeline `crm_sink`" in done.stderr
        assert "Traceback" not in done.stderr
    assert not [*shop.home.rglob("crm_sink*")]


def test_a_refusal_is_told_in_its_own_words_with_status_1(synced: Desk) -> None:
    synced.sandbox.set_faults(Faults(plan=(401, 401)))
    done = dlt_command("replay", "crm_sync")
    assert done.returncode == 1
    assert "answered HTTP 401" in done.stderr.splitlines()[-1]
    assert BAD not in done.stdout + done.stderr
    synced.sandbox.set_faults(Faults())
    done = dlt_command("replay", "crm_sync")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("A replay that was cut short was resumed now.")
    assert len(synced.events) == 2


def test_a_pipeline_to_another_destination_has_no_ledger_to_look_into(dlt_home: Path) -> None:
    dlt.pipeline("other", destination="duckdb").run([{"id": 1}], table_name="rows")
    done = dlt_command("undelivered", "other")
    assert done.returncode == 1
    assert "has no ledger: its destination is not Xtremepush" in done.stderr


def test_an_operation_that_does_not_exist_has_status_2(dlt_home: Path) -> None:
    assert dlt_command("resend", "crm_sync").returncode == 2
    assert dlt_command("undelivered", "crm_sync", "--rows", "0").returncode == 2
    assert dlt_command("sandbox", "--port", "many").returncode == 2


@pytest.mark.skipif(sys.platform == "win32", reason="processes are ended otherwise there")
def test_sandbox_serves_until_it_is_told_to_stop(dlt_home: Path) -> None:
    command = [str(DLT), "xtremepush", "sandbox", "--port", "0", "--quiet", "--app-token", "mine"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            reply = requests.get(f"{url}/_sandbox/profiles", timeout=10)
            assert reply.status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_sandbox_says_what_to_install_where_its_extra_is_missing(
    dlt_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a package that cannot be imported stands before the installed one
    (dlt_home / "starlette.py").write_text(
        "raise ModuleNotFoundError('No module named starlette', name='starlette')"
    )
    monkeypatch.setenv("PYTHONPATH", str(dlt_home))
    done = dlt_command("sandbox", "--port", "0")
    assert done.returncode == 2
    assert 'pip install "xtremepush-dlt[sandbox]"' in done.stderr.replace("\n", " ")


def test_the_entry_point_costs_a_pipeline_nothing_and_knows_both_command_lines(
    dlt_home: Path,
) -> None:
    script = """
        import sys
        from xtremepush_dlt.__plugins__ import plug_cli_xtremepush as plug
        heavy = [name for name in sys.modules if name.startswith("xtremepush_dlt.")]
        print([n for n in heavy if n.endswith((".cli", ".job_client", ".run"))], plug("airflow"))
        print(plug("dlt") is plug("dlthub") is not None)
    """
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(line[8:] for line in script.splitlines())],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["[] None", "True"]


def test_the_command_is_where_the_tests_look_for_it() -> None:
    assert shutil.which(DLT) is not None
