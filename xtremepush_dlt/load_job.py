"""The load job: hands its file to the courier of the package."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from dlt.common.destination.client import RunnableLoadJob

from xtremepush_dlt.delivery.courier import Courier


class XtremepushLoadJob(RunnableLoadJob):
    """Delivers one load file of one table.

    Args:
        file_path: Full path of the file in the load package.
        courier: The courier of the package that a file belongs to, for as long as it is needed.
    """

    def __init__(
        self, file_path: str, courier: Callable[[str], AbstractContextManager[Courier]]
    ) -> None:
        super().__init__(file_path)
        self._courier = courier

    def run(self) -> None:
        """Delivers the file, and the identify calls of the package before its track calls.

        Raises:
            XtremepushTerminalError: If a person must act first.
            XtremepushTransientError: If dlt should try again.
        """
        with self._courier(self._file_path) as courier:
            courier.deliver(self._file_name)
