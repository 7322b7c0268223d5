"""The watch: what is delivered to users some of whose rows were not, lest a replay undo it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xtremepush_dlt.delivery.batches import Batch
from xtremepush_dlt.delivery.lanes import Load
from xtremepush_dlt.delivery.outcomes import Outcome
from xtremepush_dlt.mapping.plan import ActionPlan, TrackPlan
from xtremepush_dlt.mapping.stored import StoredCall, StoredPlan, names_of

REPLAYABLE = (Outcome.REJECTED, Outcome.UNKNOWN)
"""Outcomes of rows that may be sent again as they were."""

_REPLAYABLE_NAMES = {outcome.value for outcome in REPLAYABLE}

_FRESH_SECONDS = 60
"""How long what the ledger said counts, within one load package."""


@dataclass(frozen=True)
class Memory:
    """What the ledger knows.

    Attributes:
        users: Users with a row that was not delivered and may be replayed.
        writing: Those among them whose rows write attributes.
        superseding: Moment of the last delivery in microseconds, by user and attribute.
    """

    users: Collection[str] = ()
    writing: Collection[str] = ()
    superseding: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


class Watch:
    """Remembers whom to watch, for one load package.

    Nothing is asked before a call writes attributes, and nothing is done for a row while there is
    nobody to watch.

    Args:
        look_up: Reads the ledger; None if no row can ever be replayed.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        look_up: Callable[[], Memory] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._asking = threading.Lock()
        self._asked_at: float | None = None
        self._superseding: Mapping[str, Mapping[str, int]] = {}
        self._users: set[str] = set()
        self._writing: set[str] = set()

    def begin(self, actions: Sequence[ActionPlan | StoredPlan]) -> None:
        """Reads the ledger before the first call that writes attributes.

        It is read again when some time has passed, because a package may wait for its next run,
        and before each pass of a replay, which goes by what was delivered until then.

        Args:
            actions: What is about to be delivered.

        Raises:
            LedgerError: If it cannot be read; dlt tries again.
        """
        if self._look_up is None or not any(map(_writes_attributes, actions)):
            return
        with self._asking:
            now = self._clock()
            if (
                self._asked_at is None
                or now - self._asked_at > _FRESH_SECONDS
                or any(isinstance(action, StoredPlan) for action in actions)
            ):
                memory = self._look_up()
                self._users.update(memory.users)
                self._writing.update(memory.writing)
                self._superseding = memory.superseding
                self._asked_at = now

    def superseded(self, user: str, since: int) -> Collection[str]:
        """Attributes that were delivered to a user since a moment in microseconds."""
        known = self._superseding.get(user, {})
        return {name for name, at in known.items() if at >= since}

    def add(self, call: StoredCall, undelivered: Iterable[Mapping[str, Any]]) -> None:
        """Watches the users of rows that were not delivered.

        Args:
            call: The kind of the calls.
            undelivered: The rows, as the journal has them.
        """
        if self._look_up is None:
            return
        for row in undelivered:
            user, payload = row["user"], row["payload"]
            if user and payload is not None and row["outcome"] in _REPLAYABLE_NAMES:
                self._users.add(user)
                if names_of(call, payload.encode()):
                    self._writing.add(user)

    def note(
        self, call: StoredCall, load: Load, delivered: Iterable[Batch]
    ) -> list[dict[str, Any]]:
        """What was delivered to users who are watched.

        Args:
            call: The kind of the calls.
            load: Where they come from.
            delivered: What was delivered.

        Returns:
            An entry for each row: its sequence number, action, user and attributes.
        """
        # an event takes nothing from a profile that is still there
        watched = self._users if call == "delete" else self._writing
        if not watched:
            return []
        return [
            {
                "sequence": load.sequences[row],
                "action": load.actions[row],
                "user": load.users[row],
                "names": [*names],
            }
            for batch in delivered
            for row in batch.all_rows()
            if load.users[row] in watched and (names := names_of(call, load.records[row]))
        ]


def rank(*entries: Iterable[dict[str, Any]]) -> None:
    """Numbers the entries of each user, where they have several, in the order of their rows.

    What is written down together has one moment; whether a value was delivered before or after a
    row that was not is told by the rank.

    Args:
        *entries: Entries of one record of the journal; those of a rank above 0 get it.
    """
    ranks: Counter[str] = Counter()
    for entry in sorted(
        (entry for kind in entries for entry in kind), key=lambda entry: int(entry["sequence"])
    ):
        user = entry["user"]
        if user is not None:
            if ranks[user]:
                entry["rank"] = ranks[user]
            ranks[user] += 1


def _writes_attributes(action: ActionPlan | StoredPlan) -> bool:
    if isinstance(action, TrackPlan):
        return bool(action.user_attributes)
    return True
