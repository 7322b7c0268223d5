"""The crew: threads that take turns at the lanes; these run side by side, each in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from dlt.common.exceptions import TerminalException

from xtremepush_dlt.delivery.lanes import Load

_WAITING_ROWS = 5000
"""Rows that may wait for a thread: enough to keep it busy, few enough to keep memory flat."""


@dataclass(frozen=True)
class Consignment:
    """Consecutive rows of one lane, handed over to be delivered.

    Attributes:
        lane: The lane.
        load: Its rows.
        upto: Sequence number behind the last row that was looked at for them.
    """

    lane: int
    load: Load
    upto: int


class Crew:
    """Delivers the consignments of several lanes, of each lane one after the other.

    Where there are more lanes than threads, a thread takes whichever lane waits longest: lanes of
    users are never equally long, and the last one would keep the others waiting.

    Args:
        lanes: Number of lanes.
        threads: Consignments under way at once.
        size: Rows in a consignment, about.
        deliver: Delivers one consignment; what it raises stops all lanes.
    """

    def __init__(
        self, lanes: int, threads: int, size: int, deliver: Callable[[Consignment], None]
    ) -> None:
        self._deliver = deliver
        self._most_waiting = max(1, _WAITING_ROWS * threads // lanes // size)
        self._waiting: list[deque[Consignment]] = [deque() for _ in range(lanes)]
        self._ready: deque[int] = deque()
        self._taken: set[int] = set()
        self._changed = threading.Condition()
        self._complete = False
        self._errors: list[BaseException] = []
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"xtremepush-crew-{number}", daemon=True)
            for number in range(threads)
        ]

    def __enter__(self) -> Crew:  # noqa: PYI034  # typing.Self needs Python 3.11
        for thread in self._threads:
            thread.start()
        return self

    def hand_over(self, consignment: Consignment) -> bool:
        """Gives a consignment to its lane; waits while the lane is full.

        Returns:
            Whether to go on; False when a lane has failed.
        """
        lane = consignment.lane
        waiting = self._waiting[lane]
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(waiting) < self._most_waiting)
            if self._stopped:
                return False
            waiting.append(consignment)
            if lane not in self._taken:
                self._taken.add(lane)
                self._ready.append(lane)
                self._changed.notify_all()
            return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits for the lanes, then raises what stopped one of them.

        Where lanes failed for several reasons, one that a person must mend comes first.
        """
        with self._changed:
            self._complete = True
            self._stopped = self._stopped or error is not None
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        if error is None and self._errors:
            terminal = [e for e in self._errors if isinstance(e, TerminalException)]
            raise (terminal or self._errors)[0]

    def _work(self) -> None:
        while (consignment := self._next()) is not None:
            try:
                self._deliver(consignment)
            except BaseException as error:  # noqa: BLE001  # handed to the thread that waits for the lanes
                with self._changed:
                    self._errors.append(error)
                    self._stopped = True
                    self._changed.notify_all()
                return
            self._give_back(consignment.lane)

    def _next(self) -> Consignment | None:
        """The next consignment of the lane that waits longest; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._ready or self._is_over())
            if self._stopped or not self._ready:
                return None
            consignment = self._waiting[self._ready.popleft()].popleft()
            self._changed.notify_all()
            return consignment

    def _give_back(self, lane: int) -> None:
        with self._changed:
            if self._waiting[lane]:
                self._ready.append(lane)
            else:
                self._taken.discard(lane)
            self._changed.notify_all()

    def _is_over(self) -> bool:
        return self._complete and not self._taken
