"""The target of dlt's entry point.

dlt imports it whenever a pipeline is made in this environment, to learn that destinations may be
found in `xtremepush_dlt.destinations`, and asks it for commands when its command line is run. It
must stay light and unable to fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlt.common.configuration import plugins

if TYPE_CHECKING:
    from xtremepush_dlt.cli import XtremepushCommand

_COMMAND_LINES = ("dlt", "dlthub")
"""dlt's command line, and that which takes its place in a dltHub workspace."""


@plugins.hookimpl(specname="plug_cli")
def plug_cli_xtremepush(host: str) -> type[XtremepushCommand] | None:
    """The command `dlt xtremepush`, for dlt's command line."""
    if host not in _COMMAND_LINES:
        return None
    from xtremepush_dlt.cli import XtremepushCommand

    return XtremepushCommand
