"""What the user may set about the delivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DeliverySettings:
    """What the user may set about the delivery.

    Attributes:
        event_batch_size: Events in one request.
        profile_batch_size: Profiles in one request.
        max_request_bytes: Bytes of one request's body.
        lanes: Lanes that run side by side.
        reject_invalid: Whether a broken value makes its row invalid.
        retry_seconds: Seconds for which a request is tried again before dlt takes over.
        hold_unknown: Whether events without an answer are held rather than sent twice.
        undelivered_most: Share of the rows that may fail before the run is stopped.
        keep_payloads: What is written down beside the outcomes: nothing of what was sent, the
            calls that were not delivered, or also the body of every request.
        task_poll_seconds: Seconds until a task is asked for the first time.
        task_poll_seconds_most: Seconds between two asks at the most.
        task_patience_seconds: Seconds after which a running task is left to dlt's retry.
    """

    event_batch_size: int
    profile_batch_size: int
    max_request_bytes: int
    lanes: int
    reject_invalid: bool
    retry_seconds: float
    hold_unknown: bool
    undelivered_most: float
    keep_payloads: Literal["none", "undelivered", "all"]
    task_poll_seconds: float
    task_poll_seconds_most: float
    task_patience_seconds: float
