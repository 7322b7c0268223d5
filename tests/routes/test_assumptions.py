"""What is assumed about the External API: overridable, and a mistake in an override is an error."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from xtremepush_dlt.exceptions import ConfigurationError
from xtremepush_dlt.routes.assumptions import (
    REGIONS,
    ExternalApiAssumptions,
    OAuthAssumptions,
    endpoint_url,
)


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("eu", "https://external-api.xtremepush.com"),
        ("EU", "https://external-api.xtremepush.com"),
        (" us ", "https://api.us.xtremepush.com"),
        ("https://api.eu.xtremepush.com", "https://api.eu.xtremepush.com"),
        ("https://api.eu.xtremepush.com/", "https://api.eu.xtremepush.com"),
        ("https://api.eu.xtremepush.com//", "https://api.eu.xtremepush.com"),
        ("https://api.eu.xtremepush.com/api/external", "https://api.eu.xtremepush.com"),
        ("https://api.eu.xtremepush.com/api/external/", "https://api.eu.xtremepush.com"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost:8000/prefix", "http://localhost:8000/prefix"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_an_endpoint_is_a_region_or_a_url_without_what_the_route_adds(
    written: str, url: str
) -> None:
    assert endpoint_url(written) == url


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "de",
        "europe",
        "api.us.xtremepush.com",
        "ftp://api.us.xtremepush.com",
        "https://",
        "http://",
        "https:///",
        "https:///api/external",
        "https://:8000",
    ],
)
def test_what_is_neither_region_nor_url_is_an_error_that_names_the_regions(written: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        endpoint_url(written)
    assert "api_endpoint" in str(caught.value)
    assert all(f"`{region}`" in str(caught.value) for region in REGIONS)


FAMILIES = [ExternalApiAssumptions, OAuthAssumptions]
families = pytest.mark.parametrize("family", FAMILIES)
CHOICES = {"oauth_encoding": "json", "oauth_client_authentication": "basic"}


def other_than(name: str, default: Any) -> Any:
    """Another value of the same kind."""
    if name in CHOICES:
        return CHOICES[name]
    if isinstance(default, tuple):
        return (*default, "other")
    if isinstance(default, dict):
        return {**default, "other": 1}
    return "/other" if name.endswith("_path") else default + type(default)(1)


@families
def test_every_assumption_can_be_overridden_by_its_name(family: Any) -> None:
    for field in fields(family):
        other = other_than(field.name, getattr(family(), field.name))
        changed = family.with_overrides({field.name: other})
        assert getattr(changed, field.name) == other
        assert changed != family()


@families
def test_without_overrides_the_assumptions_stand(family: Any) -> None:
    assert family.with_overrides({}) == family()


def test_a_name_belongs_to_one_family_and_is_passed_over_by_the_others() -> None:
    names = [field.name for family in FAMILIES for field in fields(family)]
    assert len(names) == len(set(names))
    overrides = {"event_path": "/x", "oauth_token_path": "/y"}
    assert ExternalApiAssumptions.with_overrides(overrides) == ExternalApiAssumptions(
        event_path="/x"
    )
    assert OAuthAssumptions.with_overrides(overrides) == OAuthAssumptions(oauth_token_path="/y")


def test_numbers_may_come_as_text_and_tuples_as_a_list_or_a_single_text() -> None:
    changed = ExternalApiAssumptions.with_overrides(
        {"read_timeout_seconds": "2", "task_id_places": ["a.b", "c"], "task_running": "busy"}
    )
    assert changed.read_timeout_seconds == 2.0
    assert changed.task_id_places == ("a.b", "c")
    assert changed.task_running == ("busy",)


@families
@pytest.mark.parametrize("name", ["event_pth", "oauth_tokn_path", "token_path"])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(name: str, family: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"`{name}`.*event_path.*oauth_token_path.*task_"):
        family.with_overrides({name: "/x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("read_timeout_seconds", "soon"),
        ("read_timeout_seconds", None),
        ("read_timeout_seconds", [1]),
        ("task_id_places", 5),
        ("task_id_places", None),
        ("task_id_places", [1, 2]),
        ("task_running", [["new"]]),
        ("event_path", None),
        ("event_path", 5),
        ("event_path", ["/x"]),
        ("event_path", {"a": "b"}),
    ],
)
def test_a_value_of_the_wrong_type_is_an_error_that_names_the_assumption(
    name: str, value: Any
) -> None:
    with pytest.raises(ConfigurationError, match=f"`{name}`"):
        ExternalApiAssumptions.with_overrides({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("oauth_encoding", "xml"),
        ("oauth_encoding", 1),
        ("oauth_client_authentication", ""),
        ("oauth_extra_claims", "scope"),
        ("oauth_extra_parameters", ["scope"]),
        ("oauth_life_seconds", 0),
        ("oauth_token_places", {}),
    ],
)
def test_a_value_that_oauth_cannot_have_is_an_error_that_names_the_assumption(
    name: str, value: Any
) -> None:
    with pytest.raises(ConfigurationError, match=f"`{name}`"):
        OAuthAssumptions.with_overrides({name: value})


@pytest.mark.parametrize("value", [0, -1, "nan", "inf"])
def test_a_timeout_that_no_request_can_have_is_an_error(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="`read_timeout_seconds`"):
        ExternalApiAssumptions.with_overrides({"read_timeout_seconds": value})
