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


class CertificateRefusedError(XtremepushTerminalError):
    """The server's certificate has expired, is not trusted, or is for another host."""


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


class LedgerError(XtremepushTransientError):
    """The companion did not take or give what the ledger keeps; dlt tries again.

    Args:
        table: Table of the ledger.
        why: Name of the fault, without a value of a row.
        reading: Whether it did not give what it keeps.
    """

    def __init__(self, table: str, why: str, reading: bool = False) -> None:
        super().__init__(_not_read(table, why) if reading else _not_in_ledger(table, why))


class LedgerRefusedError(XtremepushTerminalError):
    """The companion refused what the ledger is to keep, and will again.

    Args:
        table: Table of the ledger.
        why: Name of the fault, without a value of a row.
    """

    def __init__(self, table: str, why: str) -> None:
        super().__init__(_not_in_ledger(table, why))


def _not_in_ledger(table: str, why: str) -> str:
    return (
        f"The ledger's table `{table}` could not be written: {why}. What was delivered stays "
        "delivered and is written down in the load package; the run counts as complete when the "
        "ledger has it too. Check the destination that `ledger` in [destination.xtremepush] "
        "names, and run again."
    )


def _not_read(table: str, why: str) -> str:
    return (
        f"The ledger (`{table}`) could not be read: {why}. Check the destination that "
        "`ledger` in [destination.xtremepush] names, and run again."
    )


class ReplayRefusedError(XtremepushTerminalError):
    """A replay would not be safe now; nothing was sent."""
