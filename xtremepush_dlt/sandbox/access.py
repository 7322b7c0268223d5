"""Who may call what: the three kinds of credentials, told apart (reference 2, 3, 15)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from xtremepush_dlt.sandbox.envelope import Refused
from xtremepush_dlt.sandbox.oauth import TokenOffice
from xtremepush_dlt.sandbox.settings import SandboxSettings


class Access:
    """Lets requests in.

    Both ways in answer False for a request that gets 200 although nothing is done: so may a
    project of another region answer (13.1).
    """

    def __init__(self, settings: SandboxSettings, office: TokenOffice) -> None:
        self._settings = settings
        self._office = office

    def external(self, call: str, headers: Mapping[str, str], app_token: object) -> bool:
        """Whether to serve a call of the External API.

        Args:
            call: Method and model, e.g. `hit/event`.
            headers: Header values by lower-case name.
            app_token: What stood in `apptoken`; it goes before a bearer token.

        Raises:
            Refused: 400 without credentials, 401 with wrong ones, 403 when the API is off or the
                client has not the scope.
        """
        settings = self._settings
        bearer = _credentials(headers, "bearer")
        client = None
        if app_token:
            if self._is_silent(app_token):
                return False
            if app_token != settings.app_token:
                raise Refused(401, "Authentication failed.")
        elif bearer is None:
            # A Basic header belongs to the Segment integration; here it is no credential.
            raise Refused(400, "The request has no authentication.")
        else:
            client = self._office.client_of(bearer)
            if client is None:
                raise Refused(401, "Authentication failed.")
        if not settings.api_enabled:
            raise Refused(403, "API access is not enabled for the account.")
        scope = settings.scope_names.get(call)
        if client is not None and client.scopes is not None and scope not in client.scopes:
            raise Refused(403, f"The client has not the scope {scope}.")
        return True

    def segment(self, headers: Mapping[str, str]) -> bool:
        """Whether to serve a call of the Segment integration.

        Raises:
            Refused: 401 unless the API key is the user name of a Basic header, with no password.
        """
        key = _basic_user(headers)
        if key is not None and self._is_silent(key):
            return False
        if key != self._settings.segment_api_key:
            raise Refused(401, "Authentication failed.")
        return True

    def _is_silent(self, credential: object) -> bool:
        settings = self._settings
        return settings.foreign_token == "silent" and credential in settings.foreign_tokens


def _credentials(headers: Mapping[str, str], scheme: str) -> str | None:
    """What follows the scheme in the Authorization header, None when it is of another scheme."""
    name, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if name.lower() == scheme else None


def _basic_user(headers: Mapping[str, str]) -> str | None:
    """The user name of a Basic header with an empty password."""
    encoded = _credentials(headers, "basic")
    try:
        user, colon, password = base64.b64decode(encoded or "", validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return user.decode(errors="replace") if colon and not password else None
