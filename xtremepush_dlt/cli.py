"""`dlt xtremepush ...`: what was not delivered, its replay, and a local Xtremepush."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dlt
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.configuration.plugins import SupportsCliCommand
from dlt.common.exceptions import DltException
from dlt.common.pipeline import get_dlt_pipelines_dir
from dlt.pipeline.exceptions import CannotRestorePipelineException, PipelineStepFailed

from xtremepush_dlt.exceptions import (
    ConfigurationError,
    XtremepushTerminalError,
    XtremepushTransientError,
)
from xtremepush_dlt.ledger.reading import companion_of_pipeline
from xtremepush_dlt.replay.listing import describe, name_rows
from xtremepush_dlt.replay.run import replay
from xtremepush_dlt.replay.undelivered import read_undelivered
from xtremepush_dlt.sandbox.__main__ import add_arguments as add_sandbox_arguments
from xtremepush_dlt.sandbox.__main__ import run as run_sandbox

_DEFAULT_DESTINATION = "xtremepush"

_Known = (XtremepushTerminalError, XtremepushTransientError, ConfigurationException)
"""Errors whose text is written for the user, and holds no value of a row."""


class XtremepushCommand(SupportsCliCommand):
    """The command that dlt's command line finds through `plug_cli`.

    Its status is 0 when it did what it was asked for, 1 when it could not, 2 when it was asked
    for something that does not exist.
    """

    command = "xtremepush"
    help_string = "What was not delivered to Xtremepush, its replay, and a local Xtremepush"
    description = (
        "Lists the rows that were not delivered to Xtremepush, sends them again when the cause is "
        "mended, and starts a local Xtremepush for trials."
    )
    docs_url = None

    def configure_parser(self, parser: argparse.ArgumentParser) -> None:
        """Adds the operations and their options."""
        self._parser = parser
        operations = parser.add_subparsers(dest="operation", required=True)

        listing = operations.add_parser(
            "undelivered",
            help="reasons and counts of rows that were not delivered",
            description="Lists reasons and counts of the rows that were not delivered.",
        )
        _add_pipeline(listing)
        listing.add_argument(
            "--rows",
            type=_positive,
            metavar="N",
            help="also name the newest N rows: user, event id and reason",
        )

        again = operations.add_parser(
            "replay",
            help="send rejected rows again, after the cause is mended",
            description=(
                "Sends rejected rows again, after the cause is mended. A profile value that was "
                "delivered since is never overwritten, and an event is never replayed twice."
            ),
        )
        _add_pipeline(again)
        again.add_argument("--table", help="only the rows of this table")
        again.add_argument(
            "--unknown", action="store_true", help="also events that may have arrived"
        )
        again.add_argument(
            "--take-over",
            action="store_true",
            help="give up a replay that began on a machine which is gone",
        )
        again.add_argument("--dry-run", action="store_true", help="tell what would be sent")

        self._sandbox = operations.add_parser(
            "sandbox",
            help="a local Xtremepush for trials and tests, with faults on demand",
            description="A local Xtremepush for trials and tests, with faults on demand.",
        )
        add_sandbox_arguments(self._sandbox)

    def execute(self, args: argparse.Namespace) -> None:
        """Runs an operation.

        Raises:
            SystemExit: If it did not do what it was asked for.
        """
        if args.operation == "sandbox":
            sys.exit(run_sandbox(self._sandbox, args))
        with _told():
            pipeline = _pipeline(args)
            if args.operation == "undelivered":
                _list(pipeline, args.rows)
            else:
                print(
                    replay(
                        pipeline,
                        table=args.table,
                        unknown=args.unknown,
                        take_over=args.take_over,
                        dry_run=args.dry_run,
                    )
                )


def _add_pipeline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pipeline", help="name of the pipeline")
    parser.add_argument("--pipelines-dir", help="dlt's working folder, if it is not the usual one")
    parser.add_argument(
        "--destination",
        help=(
            "name of the destination in dlt's configuration, for a machine on which the pipeline "
            f"did not run yet (default there: {_DEFAULT_DESTINATION})"
        ),
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _list(pipeline: dlt.Pipeline, rows_named: int | None) -> None:
    companion, schema = companion_of_pipeline(pipeline)
    rows = read_undelivered(lambda: companion.for_tables(schema), pipeline.pipeline_name)
    print(describe(pipeline.pipeline_name, rows))
    if rows_named and (named := name_rows(rows, rows_named)):
        print(f"\n{named}")


def _pipeline(args: argparse.Namespace) -> dlt.Pipeline:
    """The pipeline as its last run left it, or made anew where it did not run on this machine."""
    made = False
    try:
        pipeline = dlt.attach(
            args.pipeline, pipelines_dir=args.pipelines_dir, destination=args.destination
        )
    except CannotRestorePipelineException:
        # all that is needed stands in the ledger
        made = not Path(args.pipelines_dir or get_dlt_pipelines_dir(), args.pipeline).exists()
        pipeline = dlt.pipeline(
            args.pipeline,
            pipelines_dir=args.pipelines_dir,
            destination=args.destination or _DEFAULT_DESTINATION,
        )
    client = pipeline.destination_client()
    companion, schema = companion_of_pipeline(pipeline)
    if client.get_stored_state(args.pipeline) is None:  # type: ignore[attr-defined]  # the client is `WithStateSync`
        destination = pipeline.destination.destination_name
        pipeline.deactivate()
        if made:
            shutil.rmtree(pipeline.working_dir)
        raise ConfigurationError(
            f"No pipeline `{args.pipeline}` stands in the ledger of the destination "
            f"`{destination}`, at {companion.location(schema)}. Check its name, --pipelines-dir "
            "and --destination, that `ledger` is configured as in the script, and that you are in "
            "the folder of the project."
        )
    return pipeline


@contextmanager
def _told() -> Iterator[None]:
    """Tells of an error in its own words; a trace would not help."""
    try:
        yield
    except (DltException, *_Known) as error:
        print(_words(error), file=sys.stderr)
        sys.exit(1)


def _words(error: BaseException) -> str:
    """The text of the error that is written for the user, among those that led to an error."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for link in chain:
        if isinstance(link, _Known):
            return str(link)
    if isinstance(error, PipelineStepFailed):
        # what else may stand in the text of an error in a step is not known
        return (
            f"The replay stopped ({type(chain[-1]).__name__} in the step `{error.step}`). Run the "
            "command again: it goes on where it was."
        )
    return str(error)
