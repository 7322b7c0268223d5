"""`python -m xtremepush_dlt.sandbox`: a local Xtremepush until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from xtremepush_dlt.sandbox import Faults, SandboxSettings

if TYPE_CHECKING:
    from xtremepush_dlt.sandbox import Sandbox

DEFAULT_PORT = 8123


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sandbox until a signal ends it; answers the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m xtremepush_dlt.sandbox",
        description="A local Xtremepush for trials and tests, with faults on demand.",
    )
    add_arguments(parser)
    return run(parser, parser.parse_args(arguments))


def run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    """Run a sandbox until a signal ends it; answers the exit status.

    Args:
        parser: Tells of options that cannot work.
        options: What `add_arguments` asks for.
    """
    try:
        from xtremepush_dlt.sandbox import Sandbox

        values = _pairs(options.settings)
        if options.app_token is not None:
            values["app_token"] = options.app_token
        settings = SandboxSettings.from_mapping(values)
        sandbox = Sandbox(
            settings,
            Faults.from_mapping(_pairs(options.faults)),
            host=options.host,
            port=options.port,
        )
        logging.basicConfig(
            stream=sys.stderr,
            level=logging.WARNING if options.quiet else logging.INFO,
            format="%(asctime)s %(message)s",
        )
        ended = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: ended.set())
        sandbox.start()
    except (ImportError, OSError, TypeError, ValueError) as wrong:
        parser.error(str(wrong))
    try:
        print(_greeting(sandbox), flush=True)
        ended.wait()
    finally:
        sandbox.stop()
    return 0


def _greeting(sandbox: Sandbox) -> str:
    """All that a user needs to point a pipeline at the sandbox; its secrets open nothing else."""
    lines = [f"Xtremepush sandbox on {sandbox.url}", f"  app_token        {sandbox.app_token}"]
    for client in sandbox.settings.oauth_clients:
        secret = client.client_secret
        proof = "a JWT signed by its key" if secret is None else f"client_secret {secret}"
        lines.append(f"  client_id        {client.client_id}, {proof}")
    lines.append(f"  segment_api_key  {sandbox.segment_api_key}")
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a sandbox to a command line."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="0 takes a free port")
    parser.add_argument("--app-token", help="the token to accept (default: sandbox-token)")
    parser.add_argument(
        "--settings",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="fields of SandboxSettings, values as JSON or text, e.g. task_seconds=2",
    )
    parser.add_argument(
        "--faults",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="fields of Faults, e.g. latency=0.2 'statuses={\"503\": 0.1}'",
    )
    parser.add_argument("--quiet", action="store_true", help="no line for each request")


def _pairs(texts: Sequence[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise ValueError(f"{text!r} is not KEY=VALUE.")
        try:
            values[key] = json.loads(value)
        except ValueError:
            values[key] = value  # plain text needs no quotes
    return values


if __name__ == "__main__":
    sys.exit(main())
