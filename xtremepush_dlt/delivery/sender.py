"""The sender: one request is sent until there is an answer to go by."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

from dlt.common.runtime import signals

from xtremepush_dlt.delivery.journal import Journal, PassKey
from xtremepush_dlt.delivery.refusals import refuse_terminal
from xtremepush_dlt.delivery.route import Outgoing, Route
from xtremepush_dlt.delivery.settings import DeliverySettings
from xtremepush_dlt.delivery.throttle import Throttle, backoff, leave_if_stopped
from xtremepush_dlt.exceptions import XtremepushUnavailableError
from xtremepush_dlt.routes.verdict import Answer, Verdict

_DONE_OR_IN_DOUBT = (Answer.DELIVERED, Answer.PARTLY, Answer.UNANSWERED)
"""Answers after which an intent stands until the outcome is written down."""

_LOOK_UP_SECONDS = 0.2
"""How often a pause looks up whether the process is asked to stop."""


class Sender:
    """Sends the requests of one pass, with retries, and writes each down.

    Args:
        key: The pass.
        route: The way into Xtremepush.
        journal: Where requests and intents are written down.
        throttle: Bounds the requests under way.
        settings: What the user set.
        stopped: Whether the process is asked to stop.
        sleep: Waits some seconds.
        clock: Seconds of a clock that never goes back.
    """

    def __init__(
        self,
        key: PassKey,
        route: Route,
        journal: Journal,
        throttle: Throttle,
        settings: DeliverySettings,
        stopped: Callable[[], bool] = signals.was_signal_received,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key = key
        self._route = route
        self._journal = journal
        self._throttle = throttle
        self._settings = settings
        self._stopped = stopped
        self._sleep = sleep
        self._clock = clock

    def follow(self, task_id: str) -> Verdict:
        """Asks for an import task until it ends.

        Raises:
            XtremepushUnavailableError: If it runs longer than the patience lasts.
        """
        return self._ask_until_done(lambda: self._route.look_up_task(task_id))

    def await_other_imports(self) -> None:
        """Waits for import tasks whose ids never arrived: they must not end after newer ones.

        Imports that somebody else makes in the same project are waited for as well: nothing
        tells them apart.

        Raises:
            XtremepushUnavailableError: If they run longer than the patience lasts.
        """
        known = self._journal.known_tasks
        self._ask_until_done(lambda: self._route.other_imports_run(frozenset(known)))

    def _ask_until_done(self, ask: Callable[[], Verdict]) -> Verdict:
        pause = self._settings.task_poll_seconds
        end = self._clock() + self._settings.task_patience_seconds
        while True:
            verdict = self.request(Outgoing(ask))
            if verdict.answer is not Answer.ACCEPTED:
                return verdict
            if self._clock() > end:
                raise XtremepushUnavailableError(
                    f"An import task that `{self._key.file}` waits for has not ended after "
                    f"{self._settings.task_patience_seconds:.0f} s. Xtremepush goes on with it; "
                    "the next run asks for it again, and nothing is lost. See the task history in "
                    "Xtremepush."
                )
            self._pause(pause)
            pause = min(pause * 2, self._settings.task_poll_seconds_most)

    def request(self, outgoing: Outgoing) -> Verdict:
        """Sends until there is an answer to go by.

        Args:
            outgoing: What to send.

        Raises:
            XtremepushUnavailableError: If the patience ends before.
            CredentialsRefusedError: On 401 and 403.
            EndpointRefusedError: On 404, 405, 410 and redirects.
            CertificateRefusedError: If the server's certificate is not accepted.
            DeliveryInterruptedError: If the process is asked to stop before the next attempt.
        """
        patience_ends: float | None = None
        attempt = 0
        span = outgoing.span
        number = self._write_down(outgoing)
        while True:
            attempt += 1
            patience = self._settings.retry_seconds
            if patience_ends is not None:
                patience = max(0.0, patience_ends - self._clock())
            with self._throttle.slot(self._stopped, patience):
                leave_if_stopped(self._stopped)
                if span is not None:
                    self._journal.write({"k": "intent", **span}, self._key)
                left = self._clock()
                verdict = outgoing.send()
                seconds = self._clock() - left
            self._throttle.learn(verdict)
            self._journal.write(
                {
                    "k": "request",
                    "request": number,
                    "rows": outgoing.rows,
                    "answer": verdict.answer.value,
                    "status": verdict.status,
                    "code": verdict.code,
                    "attempt": attempt,
                    "seconds": round(seconds, 6),
                    "task": verdict.task_id,
                },
                self._key,
                lazy=True,
            )
            answer = verdict.answer
            if span is not None and answer not in _DONE_OR_IN_DOUBT:
                self._journal.write({"k": "answered", **span}, self._key)
            refuse_terminal(verdict)
            if answer not in (Answer.BUSY, Answer.UNANSWERED):
                return verdict
            if outgoing.is_import and answer is Answer.UNANSWERED:
                # the lost reply may have told of a task, and sent again the rows would overtake it
                self.await_other_imports()
            if span is not None and answer is Answer.UNANSWERED and self._settings.hold_unknown:
                return verdict
            pause = backoff(attempt, verdict)
            now = self._clock()
            # from the first trouble on: waiting for one's turn is no trouble
            patience_ends = patience_ends or now - seconds + self._settings.retry_seconds
            if now + pause > patience_ends:
                raise XtremepushUnavailableError(
                    f"Xtremepush gave no usable answer ({verdict.described}) after {attempt} "
                    f"attempts in {self._settings.retry_seconds:.0f} s, for `{self._key.file}`. "
                    "Nothing is lost: dlt tries again, and the next run goes on from the last "
                    "confirmed request. Check the connection and Xtremepush's status page if it "
                    "lasts."
                )
            self._throttle.rest(pause, self._stopped)

    def _write_down(self, outgoing: Outgoing) -> str:
        """Writes down what is about to leave; the intent that follows takes it to the file.

        Returns:
            A number that no other request of the load package has.
        """
        number = secrets.token_hex(8)
        if outgoing.rows:
            record: dict[str, Any] = {
                "k": "leaving",
                "request": number,
                "rows": outgoing.rows,
                "actions": sorted(outgoing.actions),
                "endpoint": outgoing.endpoint,
            }
            if self._settings.keep_payloads == "all":
                record["body"] = outgoing.body.decode()
            self._journal.write(record, self._key, lazy=True)
        return number

    def _pause(self, seconds: float) -> None:
        end = self._clock() + seconds
        while (left := end - self._clock()) > 0:
            leave_if_stopped(self._stopped)
            self._sleep(min(left, _LOOK_UP_SECONDS))
