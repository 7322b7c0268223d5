"""Promises about the server's certificate, through real TLS: whose it is, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from tests.routes.recorder import Recorder, running
from tests.tls import ELSEWHERE, Authority
from xtremepush_dlt import delivery_report, track, xtremepush, xtremepush_adapter
from xtremepush_dlt.exceptions import CertificateRefusedError

if TYPE_CHECKING:
    from tests.conftest import Configure

pytestmark = pytest.mark.usefixtures("dlt_home")

CREDENTIALS = [
    {"app_token": "tok-marker"},
    {"client_id": "client", "client_secret": "sec-marker"},
]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this machine trusts."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
    return authority


@pytest.fixture
def server() -> Iterator[Recorder]:
    """A server, which is to be secured before it is asked."""
    with running() as recorder:
        yield recorder


def pipeline_to(url: str, credentials: dict[str, str]) -> dlt.Pipeline:
    destination = xtremepush(api_endpoint=url, credentials=credentials, retry_patience=30)
    return dlt.pipeline("crm_sync", destination=destination, pipelines_dir="pipelines")


def orders() -> Any:
    rows = [{"user_id": "sam", "at": "2026-01-01"}]
    return xtremepush_adapter(dlt.resource(rows, name="orders"), track("order", timestamp="at"))


def refusal(url: str, credentials: dict[str, str], cause: Any) -> str:
    """What a run says; terminal, so that neither the destination nor dlt tries again."""
    pipeline = pipeline_to(url, credentials)
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(orders())
    error = cause(raised, CertificateRefusedError)
    assert f"`{url.removeprefix('https://')}`" in str(error)
    assert "marker" not in str(error)
    assert pipeline.has_pending_data
    return str(error)


@pytest.mark.parametrize("credentials", CREDENTIALS, ids=["app token", "OAuth"])
def test_an_expired_certificate_of_the_server_is_told_at_once(
    credentials: dict[str, str], trusted: Authority, server: Recorder, cause: Any
) -> None:
    said = refusal(trusted.secure(server, begins=-3, ends=-2), credentials, cause)
    assert "has expired" in said
    assert "clock" in said
    assert server.asked == []


def test_a_certificate_that_is_not_valid_yet_points_to_the_clock(
    trusted: Authority, server: Recorder, cause: Any
) -> None:
    said = refusal(trusted.secure(server, begins=0.5, ends=1), CREDENTIALS[0], cause)
    assert "not valid yet" in said
    assert "clock" in said


def test_a_certificate_of_an_unknown_authority_is_told_with_where_to_name_it(
    authority: Authority, server: Recorder, cause: Any
) -> None:
    said = refusal(authority.secure(server), CREDENTIALS[0], cause)
    assert "not trusted" in said
    assert "REQUESTS_CA_BUNDLE" in said


def test_a_certificate_for_another_host_points_to_the_endpoint(
    trusted: Authority, server: Recorder, cause: Any
) -> None:
    said = refusal(trusted.secure(server, ELSEWHERE), CREDENTIALS[0], cause)
    assert "another host name" in said
    assert "`api_endpoint`" in said


def test_a_file_of_authorities_that_does_not_exist_is_told_with_the_variable_that_names_it(
    server: Recorder, authority: Authority, monkeypatch: pytest.MonkeyPatch, cause: Any
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/authorities.pem")
    pipeline = pipeline_to(authority.secure(server), CREDENTIALS[0])
    with pytest.raises(PipelineStepFailed) as raised:
        pipeline.run(orders())
    assert "REQUESTS_CA_BUNDLE" in str(cause(raised, CertificateRefusedError))


def test_with_a_sound_certificate_rows_are_delivered_and_after_mending_nothing_is_missing(
    trusted: Authority, server: Recorder, cause: Any, configure: Configure
) -> None:
    url = trusted.secure(server, begins=-3, ends=-2)
    refusal(url, CREDENTIALS[0], cause)
    with running() as mended:
        pipeline = pipeline_to(trusted.secure(mended), CREDENTIALS[0])
        pipeline.run()
        assert [asked.path for asked in mended.asked] == ["/api/external/hit/event"]
    assert delivery_report(pipeline).count("delivered") == 1
