"""What one Xtremepush project knows, and the three ways in: tokens, External API, Segment."""

from __future__ import annotations

from xtremepush_dlt.sandbox.access import Access
from xtremepush_dlt.sandbox.api import ExternalApi
from xtremepush_dlt.sandbox.calls import EXTERNAL_PREFIX, SEGMENT_PREFIX, Call
from xtremepush_dlt.sandbox.deletions import Deletions
from xtremepush_dlt.sandbox.envelope import Refused, Reply, error_members, failure
from xtremepush_dlt.sandbox.events import EventLog
from xtremepush_dlt.sandbox.faults import FaultEngine
from xtremepush_dlt.sandbox.imports import Importer
from xtremepush_dlt.sandbox.oauth import TOKEN_PATH, TokenOffice
from xtremepush_dlt.sandbox.profiles import Profiles
from xtremepush_dlt.sandbox.segment import SegmentApi
from xtremepush_dlt.sandbox.settings import SandboxSettings
from xtremepush_dlt.sandbox.tasks import Schedule, TaskBoard


class Project:
    """The stores of a project, and the calls that read and write them.

    Args:
        settings: How it behaves.
        faults: Poison and the fate of tasks.
        schedule: Runs the steps of tasks.
        office: Issues access tokens; it outlives what was sent.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        faults: FaultEngine,
        schedule: Schedule,
        office: TokenOffice,
    ) -> None:
        self._settings = settings
        self._office = office
        self.profiles = Profiles(settings)
        self.board = TaskBoard(schedule)
        self.log = EventLog(settings, self.profiles, faults)
        self.deletions = Deletions(settings, self.profiles, self.board, faults)
        access = Access(settings, office)
        importer = Importer(settings, self.profiles, self.board, faults)
        self._external = ExternalApi(
            settings,
            access,
            self.profiles,
            self.board,
            {
                "import/profile": importer.handle,
                "hit/event": self.log.handle,
                settings.delete_call: self.deletions.handle,
            },
        )
        self.segment = SegmentApi(settings, access, self.profiles, self.log, self.deletions, faults)

    def handle(self, call: Call) -> Reply:
        """Answer one request."""
        try:
            return self._answer(call)
        except Refused as refused:
            errors = error_members(
                refused.errors,
                self._settings.errors_as,
                named=self._settings.errors_name_items,
            )
            return failure(refused.status, refused.message, errors)

    def known(self, path: str) -> bool:
        """Whether a path is one of those served here."""
        if path.startswith(EXTERNAL_PREFIX):
            return self._external.known(path)
        if path.startswith(SEGMENT_PREFIX):
            return self.segment.known(path)
        return path == TOKEN_PATH

    def _answer(self, call: Call) -> Reply:
        if call.path == TOKEN_PATH:
            return self._office.handle(call.method, call.headers, call.body or {})
        if call.path.startswith(EXTERNAL_PREFIX):
            return self._external.handle(call)
        if call.path.startswith(SEGMENT_PREFIX):
            return self.segment.handle(call)
        raise Refused(404, "The URI is not valid.")
