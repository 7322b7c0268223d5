"""What a route asks of a plan that otherwise fits its table."""

from __future__ import annotations

from xtremepush_dlt.exceptions import MappingError
from xtremepush_dlt.mapping.plan import DeletePlan, IdentifyPlan, TablePlan


def require_consent(plan: TablePlan) -> None:
    """Refuses an address or number without its subscription flag, which the External API needs.

    The Segment route needs none.

    Raises:
        MappingError: If an identify action maps one without the other (reference, section 4).
    """
    for action in plan.actions:
        if isinstance(action, DeletePlan):
            continue
        if isinstance(action, IdentifyPlan):
            kind, bindings = "identify", action.profile
        else:
            kind, bindings = "track(user_attributes=...)", action.user_attributes
        targets = {binding.target for binding in bindings}
        for address, flag in action.dialect.consent.items():
            if address in targets and flag not in targets:
                raise MappingError(
                    plan.table,
                    f"{kind} maps `{address}` without `{flag}`, which Xtremepush requires "
                    "beside it; whether a person agreed is never assumed.",
                    f'Name the column that holds the consent, identify({flag}="..."), or say it '
                    f"for all rows, {flag}=1 or {flag}=0, or send no address: {address}=None.",
                )
