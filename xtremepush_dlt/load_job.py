"""The load job: hands its file to the courier of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from dlt.common.destination.client import RunnableLoadJob

if TYPE_CHECKING:
    from xtremepush_dlt.job_client import XtremepushClient


class XtremepushLoadJob(RunnableLoadJob):
    """Delivers one load file of one table."""

    def run(self) -> None:
        """Delivers the file, and the identify calls of the package before its track calls.

        Raises:
            XtremepushTerminalError: If a person must act first.
            XtremepushTransientError: If dlt should try again.
        """
        client = cast("XtremepushClient", self._job_client)
        with client.courier(self._file_path) as courier:
            courier.deliver(self._file_name)
