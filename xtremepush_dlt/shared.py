"""What the job clients of one process share: dlt makes a client for every job."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from xtremepush_dlt.configuration import XtremepushClientConfiguration
from xtremepush_dlt.delivery.courier import Courier, PlanOf
from xtremepush_dlt.delivery.settings import DeliverySettings
from xtremepush_dlt.delivery.throttle import Throttle
from xtremepush_dlt.delivery.versions import Versions
from xtremepush_dlt.delivery.watch import Memory, Watch
from xtremepush_dlt.load_file import read_load_file
from xtremepush_dlt.route_choice import OpenRoute, make_auth, make_route
from xtremepush_dlt.routes.assumptions import endpoint_url
from xtremepush_dlt.routes.auth import Auth

Limits = tuple[int, "float | None"]


@dataclass
class _Gate:
    """The throttle of a credential.

    Attributes:
        limits: What it was made with.
        throttle: The throttle; what it has learned outlives a job.
        users: Couriers that use it.
    """

    limits: Limits
    throttle: Throttle
    users: int = 0


@dataclass
class _Delivery:
    """A load package that is being delivered.

    Attributes:
        courier: Delivers it.
        route: The courier's way into Xtremepush.
        gate: The throttle of the credential.
        users: Jobs that use the courier.
    """

    courier: Courier
    route: OpenRoute
    gate: _Gate
    users: int = 0


class Shared:
    """Couriers, throttles and tokens of the process.

    A load package has one courier as long as jobs of it run. A credential has one throttle and one
    token, however many pipelines use it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deliveries: dict[Path, _Delivery] = {}
        self._versions: dict[Path, dict[tuple[str, int], Versions]] = {}
        self._watches: dict[Path, Watch] = {}
        self._gates: dict[tuple[str, str], _Gate] = {}
        self._auths: dict[tuple[str, str, str], Auth] = {}

    @contextmanager
    def courier(
        self,
        package: Path,
        config: XtremepushClientConfiguration,
        plan_of: PlanOf,
        look_up: Callable[[], Memory] | None,
    ) -> Iterator[Courier]:
        """The courier of a load package, for as long as the context.

        Args:
            package: Folder of the load package.
            config: Settings of the run; those of a job that runs already count, if there is one.
            plan_of: The plan of a table; None for tables that are passed over.
            look_up: Reads from the ledger which users to watch; None where there is no need.
        """
        with self._lock:
            delivery = self._deliveries.get(package)
            if delivery is None:
                delivery = self._deliveries[package] = self._begin(
                    package, config, plan_of, look_up
                )
            delivery.users += 1
        try:
            yield delivery.courier
        finally:
            with self._lock:
                delivery.users -= 1
                if not delivery.users:
                    # the next job may come from a run with other settings
                    del self._deliveries[package]
                    delivery.gate.users -= 1
                    delivery.courier.close()
                    delivery.route.close()

    def forget(self, package: Path) -> None:
        """Lets go of what was kept for a package that is delivered."""
        with self._lock:
            self._versions.pop(package, None)
            self._watches.pop(package, None)

    def _begin(
        self,
        package: Path,
        config: XtremepushClientConfiguration,
        plan_of: PlanOf,
        look_up: Callable[[], Memory] | None,
    ) -> _Delivery:
        # a digest, because keys of a dict are easily printed
        credential = (endpoint_url(config.api_endpoint), config.credentials.digest())
        route = make_route(config, self._auth(credential, config))
        gate = self._gate(credential, (config.max_connections, config.requests_per_second))
        courier = Courier(
            package,
            route,
            gate.throttle,
            _delivery_settings(config),
            plan_of,
            read_load_file,
            self._versions.setdefault(package, {}),
            self._watches.setdefault(package, Watch(look_up)),
        )
        gate.users += 1
        return _Delivery(courier, route, gate)

    def _auth(self, credential: tuple[str, str], config: XtremepushClientConfiguration) -> Auth:
        # with other assumptions it is asked for in another way
        assumed = hashlib.sha256(repr((config.oauth(), config.external_api())).encode())
        key = (*credential, assumed.hexdigest())
        auth = self._auths.get(key)
        if auth is None:
            auth = self._auths[key] = make_auth(config)
        return auth

    def _gate(self, credential: tuple[str, str], limits: Limits) -> _Gate:
        gate = self._gates.get(credential)
        # other limits count from the moment when nobody relies on the old ones
        if gate is None or (gate.limits != limits and not gate.users):
            gate = self._gates[credential] = _Gate(limits, Throttle(*limits))
        return gate


shared = Shared()
"""The one of this process."""


def _delivery_settings(config: XtremepushClientConfiguration) -> DeliverySettings:
    assumed = config.external_api()
    return DeliverySettings(
        event_batch_size=config.event_batch_size,
        profile_batch_size=config.profile_batch_size,
        max_request_bytes=config.max_request_bytes,
        lanes=config.max_connections,
        reject_invalid=config.on_invalid_value == "reject",
        retry_seconds=config.retry_patience,
        hold_unknown=config.on_unknown == "hold",
        undelivered_most=config.max_undelivered,
        keep_payloads=config.ledger_payloads,
        task_poll_seconds=assumed.task_poll_seconds,
        task_poll_seconds_most=assumed.task_poll_seconds_most,
        task_patience_seconds=assumed.task_patience_seconds,
    )
