"""What is said about answers that no retry can mend."""

from __future__ import annotations

from xtremepush_dlt.exceptions import (
    CertificateRefusedError,
    CredentialsRefusedError,
    EndpointRefusedError,
)
from xtremepush_dlt.routes.verdict import Answer, Verdict

_STAYS = "Nothing is lost: the load package stays pending."


def refuse_terminal(verdict: Verdict) -> None:
    """Raises for the answers that only a person can mend; other answers pass.

    Raises:
        CredentialsRefusedError: On 401 and 403.
        EndpointRefusedError: On 404, 405, 410 and redirects.
        CertificateRefusedError: If the server's certificate is not accepted.
    """
    if verdict.answer is Answer.DENIED:
        advice = verdict.advice or (
            "The credential does not open this. Check [destination.xtremepush.credentials] and "
            "that `api_endpoint` is the region of the same project."
        )
        raise CredentialsRefusedError(f"Xtremepush answered {verdict.described}. {advice} {_STAYS}")
    if verdict.answer is Answer.MISDIRECTED:
        advice = verdict.advice or (
            "Nobody serves that path at that address. Check `api_endpoint` in "
            "[destination.xtremepush]: it is the region of the project (`eu` or `us`) or the "
            "scheme and host, without a path."
        )
        raise EndpointRefusedError(f"Xtremepush answered {verdict.described}. {advice} {_STAYS}")
    if verdict.answer is Answer.UNTRUSTED:
        raise CertificateRefusedError(
            f"No secure connection to Xtremepush: {verdict.described}. {verdict.advice} Nothing "
            f"was sent. {_STAYS}"
        )
