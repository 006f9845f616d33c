"""The web of a recording, as data."""

import msgspec
import pytest

from ccpa.web import Web

TEXT = """
[[search]]
query = "lapwing habitat"
found = ["https://birds.example.org/lapwing", "https://elsewhere.example.com/"]

[[page]]
url = "https://birds.example.org/lapwing"
title = "Lapwing"
text = "Wet meadows."
"""
WEB = msgspec.toml.decode(TEXT, type=Web)


@pytest.mark.parametrize(
    "url",
    [
        "https://birds.example.org/lapwing",
        "http://BIRDS.example.org/lapwing/",
        "https://birds.example.org/lapwing#food",
    ],
)
def test_a_page_is_found_by_its_url(url: str) -> None:
    page = WEB.at(url)
    assert page is not None
    assert page.text == "Wet meadows."


@pytest.mark.parametrize(
    "url",
    [
        "https://birds.example.org/",
        "https://birds.example.org/lapwing?page=2",
        "https://www.example.org/lapwing",
        "https://[/lapwing",
    ],
)
def test_another_url_is_another_page(url: str) -> None:
    assert WEB.at(url) is None


def test_a_search_finds_what_it_found_also_with_hosts_behind_it() -> None:
    for query in "lapwing+habitat", "lapwing+habitat+site%3Aexample.org":
        found = WEB.searched(f"/search?q={query}&format=json")
        assert [(page.url, page.title) for page in found] == [
            ("https://birds.example.org/lapwing", "Lapwing"),
            ("https://elsewhere.example.com/", ""),
        ]
    assert WEB.searched("/search?q=stork") == []
    assert WEB.searched("/search") == []


def test_its_hosts_are_those_of_its_pages() -> None:
    assert WEB.hosts == ("birds.example.org",)


def test_a_page_without_a_host_is_an_error() -> None:
    with pytest.raises(msgspec.ValidationError, match="is no URL"):
        msgspec.toml.decode('[[page]]\nurl = "/lapwing"\ntext = ""\n', type=Web)
