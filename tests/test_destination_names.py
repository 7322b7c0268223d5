"""Promises about the ways to name the destination, and about what naming it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import pytest
import tomlkit

from xtremepush_dlt import delivery_report, identify, xtremepush, xtremepush_adapter

if TYPE_CHECKING:
    from tests.conftest import Configure, Desk

pytestmark = pytest.mark.usefixtures("dlt_home")


def customers() -> Any:
    """One customer, wrapped as a user would."""
    rows = [{"user_id": "sam", "plan": "pro"}]
    return xtremepush_adapter(dlt.resource(rows, name="customers"), identify())


def settings_of(desk: Desk, name: str, extra: str = "") -> str:
    """The section of a destination in TOML."""
    return (
        f'[destination.{name}]\napi_endpoint = "{desk.sandbox.url}"\n{extra}\n'
        f'[destination.{name}.credentials]\napp_token = "{desk.sandbox.app_token}"\n'
    )


def run_with(destination: Any, desk: Desk) -> dlt.Pipeline:
    """Run a small pipeline, whose row must arrive."""
    pipeline = dlt.pipeline(
        "crm_sync", destination=destination, pipelines_dir=str(desk.pipelines_dir)
    )
    pipeline.run(customers())
    assert desk.sandbox.profiles == {"sam": {"plan": "pro"}}
    return pipeline


@pytest.mark.parametrize("name", ["xtremepush", "xtremepush_dlt.xtremepush"])
def test_a_name_as_a_string_finds_the_destination_and_its_settings(
    name: str, desk: Desk, configure: Configure
) -> None:
    configure(settings_of(desk, "xtremepush"))
    run_with(name, desk)


def test_the_imported_class_finds_its_settings(desk: Desk, configure: Configure) -> None:
    configure(settings_of(desk, "xtremepush"))
    run_with(xtremepush, desk)


def test_an_instance_brings_its_own_settings(desk: Desk) -> None:
    run_with(desk.destination(), desk)


def test_an_instance_takes_what_it_was_not_given_from_the_configuration(
    desk: Desk, configure: Configure
) -> None:
    configure(settings_of(desk, "xtremepush"))
    run_with(xtremepush(profile_batch_size=10), desk)


def test_settings_and_credentials_may_come_from_the_environment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__XTREMEPUSH__API_ENDPOINT", desk.sandbox.url)
    monkeypatch.setenv("DESTINATION__XTREMEPUSH__CREDENTIALS__APP_TOKEN", desk.sandbox.app_token)
    run_with("xtremepush", desk)


@pytest.mark.parametrize("kind", ["xtremepush", "xtremepush_dlt.xtremepush"])
def test_a_destination_named_in_toml_has_its_own_section(
    kind: str, desk: Desk, configure: Configure
) -> None:
    configure(
        '[destination.xtremepush]\napi_endpoint = "http://127.0.0.1:9"\n'
        + settings_of(desk, "xp_staging", f'destination_type = "{kind}"')
    )
    pipeline = run_with("xp_staging", desk)
    assert pipeline.destination.destination_name == "xp_staging"


@pytest.mark.parametrize("kind", ["xtremepush", "xtremepush_dlt.xtremepush"])
def test_dlt_destination_gives_a_name_to_the_type(
    kind: str, desk: Desk, configure: Configure
) -> None:
    configure(settings_of(desk, "xp_eu"))
    pipeline = run_with(dlt.destination("xp_eu", destination_type=kind), desk)
    assert pipeline.destination.destination_name == "xp_eu"


def test_two_named_destinations_go_to_two_places(make_desk: Any, configure: Configure) -> None:
    desks = {"xp_eu": make_desk(), "xp_us": make_desk()}
    configure(
        "\n".join(
            settings_of(desk, name, 'destination_type = "xtremepush"')
            for name, desk in desks.items()
        )
    )
    for name, desk in desks.items():
        pipeline = dlt.pipeline(
            f"to_{name}", destination=name, pipelines_dir=str(desk.pipelines_dir)
        )
        rows = [{"user_id": name}]
        pipeline.run(xtremepush_adapter(dlt.resource(rows, name="customers"), identify()))
    assert set(desks["xp_eu"].sandbox.profiles) == {"xp_eu"}
    assert set(desks["xp_us"].sandbox.profiles) == {"xp_us"}


@pytest.mark.parametrize("name", ["xtremepush", "xtremepush_dlt.xtremepush"])
def test_lineage_names_the_importable_class(name: str, desk: Desk, configure: Configure) -> None:
    configure(settings_of(desk, "xtremepush"))
    pipeline = run_with(name, desk)
    assert pipeline.destination.destination_type == "xtremepush_dlt.xtremepush"
    assert pipeline.destination.destination_name == "xtremepush"
    trace: Any = pipeline.last_trace
    info = trace.last_load_info
    assert info.destination_type == "xtremepush_dlt.xtremepush"
    assert info.destination_name == "xtremepush"
    assert pipeline.state["destination_type"] == "xtremepush_dlt.xtremepush"


def test_an_attached_pipeline_finds_the_destination_by_its_lineage(
    desk: Desk, configure: Configure
) -> None:
    configure(settings_of(desk, "xtremepush"))
    run_with("xtremepush", desk)
    attached = dlt.attach("crm_sync", pipelines_dir=str(desk.pipelines_dir))
    assert isinstance(attached.destination, xtremepush)
    rows = [{"user_id": "kim"}]
    attached.run(xtremepush_adapter(dlt.resource(rows, name="customers"), identify()))
    assert set(desk.sandbox.profiles) == {"sam", "kim"}
    assert delivery_report(attached).count("delivered") == 1


def run_script(script: str, folder: Path) -> list[str]:
    """The lines that a fresh Python prints for a script."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()


def test_making_a_pipeline_imports_neither_the_client_nor_the_sandbox(dlt_home: Path) -> None:
    script = """
        import sys
        import dlt
        # what dlt itself imports is not ours
        before = set(sys.modules)
        from xtremepush_dlt import (
            column, delivery_report, identify, track, xtremepush, xtremepush_adapter
        )
        print(*({"requests", "pyarrow"} & set(sys.modules) - before))
        destination = xtremepush(api_endpoint="eu", credentials={"app_token": "x"})
        for choice in (destination, "xtremepush"):
            pipeline = dlt.pipeline("light", destination=choice, pipelines_dir="pipelines")
        xtremepush_adapter(dlt.resource([{"user_id": 1}], name="customers"), identify())
        print(*sorted(sys.modules))
    """
    ours, loaded = (line.split() for line in run_script(script, dlt_home))
    assert ours == []
    assert "xtremepush_dlt.factory" in loaded
    heavy = (
        "xtremepush_dlt.job_client",
        "xtremepush_dlt.load_job",
        "xtremepush_dlt.load_file",
        "xtremepush_dlt.routes.http",
        "xtremepush_dlt.routes.external",
        "xtremepush_dlt.delivery.courier",
        "xtremepush_dlt.delivery.dispatch",
        "xtremepush_dlt.sandbox",
        "starlette",
        "uvicorn",
        "duckdb",
    )
    assert [name for name in loaded if name.startswith(heavy)] == []


def test_dlt_init_writes_the_sections_that_a_user_has_to_fill_in(dlt_home: Path) -> None:
    project = dlt_home / "project"
    project.mkdir()
    # nobody listens there: what needs the network fails at once
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("dlt")),
            "--non-interactive",
            "init",
            "sql_database",
            "xtremepush",
        ],
        cwd=project,
        env={**os.environ, **nowhere},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    secrets = tomlkit.parse((project / ".dlt" / "secrets.toml").read_text()).unwrap()
    written = secrets["destination"]["xtremepush"]
    assert list(written["credentials"]) == ["app_token"]
    # what is required and nothing else: the rest has defaults
    assert set(written) == {"api_endpoint", "credentials"}
    assert "app_token" not in (project / ".dlt" / "config.toml").read_text()
    script = (project / "sql_database_pipeline.py").read_text()
    assert "destination='xtremepush'" in script.replace('"', "'")
