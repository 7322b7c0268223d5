"""What the tests through real dlt pipelines share: a folder of their own, and a desk to work at."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import dlt
import pytest
import tomlkit
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.pipeline import PipelineContext
from hypothesis import settings as hypothesis_settings

from xtremepush_dlt import DeliveryReport, delivery_report, xtremepush

if TYPE_CHECKING:
    from xtremepush_dlt.sandbox import Faults, Sandbox, SandboxSettings
    from xtremepush_dlt.sandbox.pytest_plugin import MakeSandbox

JOURNAL = "xtremepush_journal.jsonl"
QUICK_POLLS = {"task_poll_seconds": 0.01, "task_poll_seconds_most": 0.05}

# in CI the examples are the same in each run, so that a red build is about the change; elsewhere
# hypothesis goes on looking
hypothesis_settings.register_profile("ci", derandomize=True, deadline=None)
if os.environ.get("CI"):
    hypothesis_settings.load_profile("ci")


def _leave_pipeline() -> None:
    context = Container()[PipelineContext]
    if context.is_active():
        context.deactivate()


@pytest.fixture
def dlt_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in which dlt finds no configuration but what the test puts there."""
    for name in list(os.environ):
        if "__" in name or name.upper().startswith(("DLT_", "DESTINATION", "CREDENTIALS")):
            monkeypatch.delenv(name)
    for name in ("API_ENDPOINT", "APP_TOKEN", "PROGRESS", "NO_PROXY", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.chdir(tmp_path)
    context = Container()[PluggableRunContext]
    context.reload()
    yield tmp_path
    _leave_pipeline()
    monkeypatch.undo()
    context.reload()


class Configure(Protocol):
    """The type of the fixture `configure`."""

    def __call__(self, toml: str) -> None:
        """Write `.dlt/config.toml` and let dlt read it; credentials go to `.dlt/secrets.toml`."""


@pytest.fixture
def configure(dlt_home: Path) -> Configure:
    """Writes the TOML files that a user would write."""

    def write(toml: str) -> None:
        config = tomlkit.parse(toml).unwrap()
        secrets: dict[str, Any] = {}
        for name, section in config.get("destination", {}).items():
            if "credentials" in section:
                secrets[name] = {"credentials": section.pop("credentials")}
        folder = dlt_home / ".dlt"
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(tomlkit.dumps(config), encoding="utf-8")
        (folder / "secrets.toml").write_text(
            tomlkit.dumps({"destination": secrets}), encoding="utf-8"
        )
        Container()[PluggableRunContext].reload_providers()

    return write


class Desk:
    """A project folder whose pipelines deliver to one sandbox."""

    def __init__(self, home: Path, sandbox: Sandbox) -> None:
        self.home = home
        self.sandbox = sandbox
        self.pipelines_dir = home / "pipelines"

    def destination(self, **settings: Any) -> xtremepush:
        """The destination, set to the sandbox and to little patience."""
        usual: dict[str, Any] = {
            "api_endpoint": self.sandbox.url,
            "credentials": {"app_token": self.sandbox.app_token},
            "retry_patience": 0.2,
            # most tests are about bad rows; the breaker has tests of its own
            "max_undelivered": 1.0,
            "assumptions": QUICK_POLLS,
        }
        return xtremepush(**{**usual, **settings})

    def pipeline(self, name: str = "crm_sync", **settings: Any) -> dlt.Pipeline:
        """A pipeline to the sandbox; one name is one working folder, as for a user."""
        return dlt.pipeline(
            name, destination=self.destination(**settings), pipelines_dir=str(self.pipelines_dir)
        )

    def deliver(self, *data: Any, name: str = "crm_sync", **settings: Any) -> DeliveryReport:
        """Run a pipeline and return its report, whose counts must add up in any case."""
        pipeline = self.pipeline(name, **settings)
        pipeline.run(list(data))
        return delivery_report(pipeline)

    def posts(self, kind: str) -> list[Any]:
        """The requests to one endpoint: `import`, `hit` or `task`."""
        return [one for one in self.sandbox.requests if f"/{kind}" in one.path]

    @property
    def events(self) -> list[Any]:
        """The stored events, in the order of their arrival."""
        return list(self.sandbox.events)

    def hits(self) -> list[dict[str, Any]]:
        """The events as they stood in the requests, in the order of their arrival."""
        return [event for post in self.posts("hit") for event in post.body["events"]]

    def imported(self) -> list[dict[str, Any]]:
        """The imported rows as dicts, in the order of their arrival."""
        return [
            dict(zip(post.body["columns"], row, strict=True))
            for post in self.posts("import")
            for row in post.body["rows"]
        ]

    def seen(self) -> list[tuple[str, str]]:
        """User and name of the stored events, in the order of their arrival."""
        return [(event.user_id, event.event) for event in self.sandbox.events]

    def journal(self) -> list[dict[str, Any]]:
        """The records of all journals, in the order of the packages."""
        return [
            json.loads(line)
            for path in sorted(self.pipelines_dir.rglob(JOURNAL), key=lambda p: p.parent.name)
            for line in path.read_text(encoding="utf-8").splitlines()
        ]

    def undelivered(self) -> list[dict[str, Any]]:
        """The rows that the journals keep for someone to look at."""
        return [
            {**row, "payload": json.loads(row["payload"])}
            for record in self.journal()
            for row in record.get("undelivered", ())
        ]


class MakeDesk(Protocol):
    """The type of the fixture `make_desk`."""

    def __call__(
        self, settings: SandboxSettings | None = None, faults: Faults | None = None
    ) -> Desk:
        """A desk with a sandbox of the test's choice."""


@pytest.fixture
def make_desk(dlt_home: Path, make_xtremepush_sandbox: MakeSandbox) -> MakeDesk:
    """Makes desks whose sandboxes differ from the usual one."""

    def make(settings: SandboxSettings | None = None, faults: Faults | None = None) -> Desk:
        return Desk(dlt_home, make_xtremepush_sandbox(settings, faults))

    return make


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    """A desk with a sandbox that behaves as the reference says."""
    return make_desk()


class BareServer:
    """Keeps bodies byte by byte and answers what the test wants: what a sandbox cannot show."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.answer: Callable[[str, bytes], tuple[int, bytes]] = lambda path, body: (
            200,
            b'{"success":true,"code":200}',
        )
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.bodies.append(body)
                status, reply = outer.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def bare_server() -> Iterator[BareServer]:
    """A server that takes everything."""
    server = BareServer()
    yield server
    server.stop()


def chain_of(error: BaseException | None) -> list[BaseException]:
    """An exception and all that led to it."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


@pytest.fixture
def cause() -> Callable[[pytest.ExceptionInfo[BaseException], type[BaseException]], Any]:
    """Finds the exception of a class among those that led to what dlt raised."""

    def find(raised: pytest.ExceptionInfo[BaseException], kind: type[BaseException]) -> Any:
        chain = chain_of(raised.value)
        found = [error for error in chain if isinstance(error, kind)]
        assert found, f"no {kind.__name__} among {[type(error).__name__ for error in chain]}"
        return found[0]

    return find
