"""Write keys and web origins."""

import base64

import pytest

from api.collector import access
from api.collector.access import Door
from config.sources import Source


def source(key: str, *origins: str, kind: str = "http") -> Source:
    return Source(kind=kind, tenant="demo", topic="t", write_key=key, origins=list(origins))  # type: ignore[arg-type]


DOOR = Door({"shop": source("k1", "https://shop.example"), "app": source("k2"), "erp": source("", kind="cdc")})


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "user"),
    [
        (basic("k1:"), "k1"),
        (basic("k1:secret:x"), "k1"),
        (basic("k1"), "k1"),
        (basic("k1:").replace("Basic", "basic"), "k1"),
        ("", ""),
        ("Basic", ""),
        ("Basic !!!", ""),
        ("Basic " + base64.b64encode(b"\xff:").decode(), ""),
        ("Bearer abc", ""),
    ],
)
def test_the_write_key_is_the_user_name_of_basic_authentication(header: str, user: str) -> None:
    assert access.basic_user(header) == user


def test_a_key_finds_its_source_and_an_empty_one_finds_none() -> None:
    assert (DOOR.source("k1"), DOOR.source("k2"), DOOR.source("k3"), DOOR.source("")) == ("shop", "app", None, None)


def test_any_origin_is_answered_with_a_star_and_a_listed_one_with_itself() -> None:
    assert access.allow("https://a.example", ["*"])["Access-Control-Allow-Origin"] == "*"
    listed = access.allow("https://a.example", ["https://a.example"])
    assert (listed["Access-Control-Allow-Origin"], listed["Vary"]) == ("https://a.example", "Origin")
    assert access.allow("https://b.example", ["https://a.example"]) == {}
    assert access.allow("https://a.example:8443", ["https://a.example"]) == {}
    assert access.allow("null", ["https://a.example"]) == {}
    assert access.allow("", ["*"]) == {}


def test_a_page_may_read_how_long_to_wait() -> None:
    assert access.allow("https://a.example", ["*"])["Access-Control-Expose-Headers"] == "retry-after"


def test_a_preflight_shows_no_key_and_is_allowed_if_any_source_allows_the_origin() -> None:
    allowed = DOOR.preflight("https://shop.example")
    assert {"authorization", "content-type", "x-retry-count"} <= set(allowed["Access-Control-Allow-Headers"].split(", "))
    assert "POST" in allowed["Access-Control-Allow-Methods"]
    assert DOOR.preflight("https://other.example") == {}
    assert DOOR.preflight("") == {}
