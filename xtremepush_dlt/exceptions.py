"""What can go wrong, once: each error is terminal (a person must act) or transient (try again).

The base classes decide what dlt does. A terminal error ends the run and keeps the load package
pending, a transient one is retried by dlt. Messages say what is wrong, where, and how to mend it;
they never carry a credential, a request body or a customer's value.
"""

from __future__ import annotations

from dlt.common.destination.exceptions import (
    DestinationTerminalException,
    DestinationTransientException,
)


class XtremepushTerminalError(DestinationTerminalException):
    """A person has to act before the rows can be delivered; the load package stays pending."""


class XtremepushTransientError(DestinationTransientException):
    """Trying again later may succeed; dlt retries from the last confirmed request."""


class InvalidActionError(XtremepushTerminalError, ValueError):
    """An action is written in a way that can never work."""


class MappingError(XtremepushTerminalError):
    """The actions of a table do not fit the table.

    Args:
        table: Name of the table as dlt knows it.
        problem: What does not fit, as a full sentence.
        remedy: How to mend it, as a full sentence.
    """

    def __init__(self, table: str, problem: str, remedy: str) -> None:
        self.table = table
        super().__init__(
            f"Table `{table}` cannot be sent to Xtremepush. {problem} {remedy} The rows wait in "
            "the pending load package, which keeps the actions that it was made with: mend the "
            "script, take the package back with `dlt pipeline <name> abort-packages`, and run "
            "again; nothing is lost."
        )


class ConfigurationError(XtremepushTerminalError):
    """A setting of the destination has a value that cannot work."""


class CredentialsRefusedError(XtremepushTerminalError):
    """Xtremepush answered 401 or 403: the credential or its region does not fit."""


class EndpointRefusedError(XtremepushTerminalError):
    """Xtremepush answered 404, 405 or 410: nobody serves that path at that address."""


class UnreadableFileError(XtremepushTerminalError):
    """A load file is not what dlt wrote: cut short, damaged, or of an unknown format."""


class JournalDamagedError(XtremepushTerminalError):
    """The record of what was delivered cannot be read, so nothing may be sent on its word."""


class RowsUnaccountedError(XtremepushTerminalError):
    """The outcomes of a file do not add up to its rows: a fault of this package."""


class TooManyUndeliveredError(XtremepushTerminalError):
    """So large a share of the rows failed that going on would do more harm than stopping."""


class XtremepushUnavailableError(XtremepushTransientError):
    """No usable answer within the patience for retries: 429, 5xx, or no connection."""


class DeliveryInterruptedError(XtremepushTransientError):
    """A signal asked the process to stop; what was in flight was finished and written down."""
