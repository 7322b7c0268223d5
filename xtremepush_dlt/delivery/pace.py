"""The pace: what the answers so far tell about how much at once, and how fast, a server takes.

Nothing here waits or knows threads: times are passed in, so every rule can be tried by hand.
"""

from __future__ import annotations

import math

DECREASE = 0.9
"""What is left of the concurrency after trouble."""

_PROBE_FIRST = 100
"""Healthy answers below a level that was refused, before that level is tried again."""

_PROBE_MOST = 800
"""The same at the most: it doubles whenever the level is refused again."""

_MEMORY = 48
"""Answers that a level is judged by, about."""

_CAPACITY_SHARE = 1 / 6
"""Share of refusals at a level from which on the level may be what is too much."""

_CAPACITY_FACTOR = 3
"""How much larger the share must be than below that level: faults at random are the same there."""

_TAKEN_FEW = 4
"""Answers that make a level known."""


class Concurrency:
    """How many requests may be under way: more after health, a tenth less after trouble.

    A *level* is the number of requests under way when one leaves, itself included. A server that
    takes four at once refuses at level five nearly always and at four never; faults at random
    strike at every level alike. So each level keeps its own record. Below a level that is refused
    the limit stands still and tries it rarely; up to levels that are known to be good it returns
    at once.

    Args:
        most: Requests under way at the most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._exact = 1.0
        self._used = False
        self._ceiling = most
        self._healthy = 0
        self._probe_after = _PROBE_FIRST
        self._probed = 0
        self._taken = [0.0] * (most + 1)
        self._refused = [0.0] * (most + 1)

    @property
    def limit(self) -> int:
        """Requests that may be under way."""
        # thirds do not add up to one
        return math.floor(self._exact + 1e-6)

    def leave(self, level: int) -> None:
        """Takes into account that a request leaves.

        Args:
            level: Requests under way, this one included.
        """
        self._used = self._used or level >= self.limit

    def rise(self, level: int) -> None:
        """Takes a healthy answer into account.

        Args:
            level: Where its request left.
        """
        self._taken[level] += 1
        self._fade(level)
        before = self.limit
        if before == self._most or not self._used:
            # a limit that is not reached proves nothing about more
            return
        above = before + 1
        if above > self._ceiling:
            self._healthy += 1
            if self._healthy < self._probe_after:
                return
            self._healthy = 0
            self._probed = self._ceiling = above
            self._exact = float(above)
        elif self._is_good(above):
            self._exact = min(self._exact + 1.0, self._ceiling)
        else:
            self._exact = min(self._exact + 1.0 / before, self._ceiling)
        self._used = self.limit == before

    def refuse(self, level: int) -> None:
        """Takes down that a level was refused, which may make it one to keep below.

        Args:
            level: Where the request left.
        """
        self._refused[level] += 1
        self._fade(level)
        refused = self._refused[level]
        share = refused / (refused + self._taken[level])
        refused_below = sum(self._refused[:level])
        below = refused_below / max(refused_below + sum(self._taken[:level]), 1.0)
        # twice may be chance; halves are left of what is long ago
        if (
            1 < level <= self._ceiling
            and refused > 2
            and (share > max(_CAPACITY_SHARE, _CAPACITY_FACTOR * below))
        ):
            in_vain = level == self._probed
            self._probe_after = min(self._probe_after * 2, _PROBE_MOST) if in_vain else _PROBE_FIRST
            self._ceiling = level - 1
            self._healthy = 0

    def fall(self) -> None:
        """Lowers the limit by a tenth."""
        self._exact = max(1.0, min(self.limit, self._ceiling + 1) * DECREASE)

    def forget_refusals(self) -> None:
        """Everything is refused: that is an outage, and says nothing about levels."""
        self._refused = [0.0] * (self._most + 1)
        self._ceiling = self._most
        self._probe_after = _PROBE_FIRST

    def _is_good(self, level: int) -> bool:
        taken, refused = self._taken[level], self._refused[level]
        return taken >= _TAKEN_FEW and refused <= _CAPACITY_SHARE * (taken + refused)

    def _fade(self, level: int) -> None:
        if self._taken[level] + self._refused[level] > _MEMORY:
            self._taken[level] /= 2
            self._refused[level] /= 2


_BELOW = 0.98
"""Where to settle, as a share of the rate that the server is thought to take."""

_STEP = 0.03
"""Growth when a second hold has passed; eight times that after the third, as in TCP CUBIC."""

_HOLD_LEAST, _HOLD_MOST = 1.0, 120.0
"""Seconds for which a rate is held before more is tried."""

_IDLE_SECONDS = 1.0
"""Seconds without a request that still count as sending."""


class RateLimit:
    """The rate that a server takes, learned from its refusals.

    A stretch lasts from the end of a pause to the next refusal. The server takes less than the rate
    at its end; it takes at least what it took, spread over the stretch and the pause that it asks
    for. The truth is put in the middle. The longer the stretch, the closer the two, and the longer
    the rate is held before a little more is tried.
    """

    def __init__(self) -> None:
        self._base = math.inf
        self._hold = _HOLD_LEAST
        self._since: float | None = None
        self._last = 0.0
        self._taken = 0

    def rate(self, now: float) -> float:
        """Requests a second that may leave; infinite as long as nothing was refused."""
        if self._since is None or self._base == math.inf:
            return self._base
        over = max(0.0, (now - self._since) / self._hold - 1)
        # the bound keeps a stretch of days from becoming an overflow
        return self._base * (1 + _STEP * min(over, 1000.0) ** 3)

    def leave(self, now: float) -> None:
        """Takes into account that a request leaves."""
        if self._since is None:
            self._since = now
        else:
            # time in which nobody wanted to send proves nothing
            usual = max(_IDLE_SECONDS, 2 / self._base)
            self._since += max(0.0, now - self._last - usual)
        self._last = now

    def rise(self) -> None:
        """Takes a healthy answer into account."""
        self._taken += 1

    def fall(self, now: float, pause: float) -> None:
        """Learns from the refusal that ends a stretch.

        Args:
            now: Time of the refusal.
            pause: Seconds for which nothing leaves from here on.
        """
        if self._since is None:
            return
        stretch = max(now - self._since, 1e-3)
        taken = max(self._taken, 1)
        highest = taken / stretch if self._base == math.inf else self.rate(now)
        lowest = min(highest, taken / (stretch + pause))
        self._base = _BELOW * math.sqrt(highest * lowest)
        # refused while it tried more, it tries more rarely; refused while it held, it was too high
        tried_more = stretch > self._hold
        self._hold = min(max(stretch * (2 if tried_more else 1), _HOLD_LEAST), _HOLD_MOST)
        self._since = None
        self._taken = 0
