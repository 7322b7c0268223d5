"""The JSON envelope of every answer (reference 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class ItemError:
    """Why an item of a request was refused; `index` is its position, None for the whole request."""

    message: str
    index: int | None = None


@dataclass(frozen=True)
class Reply:
    """An answer: the HTTP status and the members of the envelope."""

    status: int
    envelope: dict[str, object]
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818  # an answer, not an error of the sandbox
    """The request is refused with this status, message and errors."""

    def __init__(self, status: int, message: str, errors: Sequence[ItemError] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors


def success(members: Mapping[str, object] | None = None, status: int = 200) -> Reply:
    """An answer that tells of success, with further members of the envelope."""
    return Reply(status, {"code": status, "success": True, **(members or {})})


def failure(status: int, message: str, errors: object = None) -> Reply:
    """An answer that tells of failure; empty `errors` are left out."""
    envelope: dict[str, object] = {"code": status, "success": False, "message": message}
    if errors:
        envelope["errors"] = errors
    return Reply(status, envelope)


def error_members(
    errors: Sequence[ItemError], form: Literal["list", "keyed"], *, named: bool
) -> list[dict[str, object]] | dict[str, list[str]]:
    """Write errors in the form the settings ask for.

    Args:
        errors: What was found.
        form: `"list"` gives `[{"row": 3, "message": ...}]`, `"keyed"` gives `{"3": [...]}`.
        named: Whether the positions are told at all.
    """
    if form == "list":
        return [
            {"row": error.index, "message": error.message}
            if named and error.index is not None
            else {"message": error.message}
            for error in errors
        ]
    keyed: dict[str, list[str]] = {}
    for error in errors:
        key = str(error.index) if named and error.index is not None else "base"
        keyed.setdefault(key, []).append(error.message)
    return keyed
