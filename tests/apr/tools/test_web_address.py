"""Which URLs are taken, and which addresses a request may go to."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr.tools.errors import ToolError
from apr.tools.web.address import addresses, is_address, is_public, parse


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("https://Example.COM", "https://example.com/"),
        ("https://example.com.:443/a b?q=é#part", "https://example.com/a%20b?q=%C3%A9"),
        ("http://example.com:80/a%20b", "http://example.com/a%20b"),
        ("http://example.com:8080/", "http://example.com:8080/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        (" https://example.com/\n", "https://example.com/"),
    ],
)
def test_a_url_is_brought_into_one_form(url: str, read: str) -> None:
    assert str(parse(url)) == read


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "file:///etc/passwd",
        "ftp://example.com/",
        "javascript:alert(1)",
        "https://",
        "https://user:password@example.com/",
        r"http://good.example\@evil.example/",
        r"http://evil.example\.good.example/",
        "http://a b/",
        "http://exa\nmple.com@evil.example/",
        "http://example.com:99999/",
        "http://example.com:port/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://-a.example/",
        "http://a..b/",
        "http://" + "a" * 64 + ".example/",
        "http://example.com/" + "a" * 2000,
        "http://%31%32%37.0.0.1/",
    ],
)
def test_what_is_no_url_for_us_is_refused(url: str) -> None:
    with pytest.raises(ToolError):
        parse(url)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_and_what_is_read_stays_as_it_is(text: str) -> None:
    for url in (text, f"http://{text}", f"https://example.com/{text}"):
        try:
            target = parse(url)
        except ToolError:
            continue
        assert str(target).isascii()
        assert not set(str(target)) & set(" \r\n\t\\")
        assert parse(str(target)) == target


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",  # the metadata of clouds
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "fe80::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "2002:7f00:1::1",
        "2001:db8::1",
    ],
)
def test_addresses_that_are_not_on_the_internet_are_private(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_on_the_internet_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
def test_no_form_of_an_address_is_more_public_than_the_address(
    address: ipaddress.IPv4Address,
) -> None:
    if not is_public(address):
        mapped = ipaddress.IPv6Address(f"::ffff:{address}")
        translated = ipaddress.IPv6Address(int(ipaddress.ip_address("64:ff9b::")) + int(address))
        assert not is_public(mapped)
        assert not is_public(translated)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
async def test_this_machine_is_refused_however_it_is_written(url: str) -> None:
    with pytest.raises(ToolError, match=r"own\. Only the rule WebFetch\(domain:"):
        await addresses(parse(url), private=False)


async def test_a_private_host_is_found_where_it_is_allowed() -> None:
    assert await addresses(parse("http://127.0.0.1:1/"), private=True) == ["127.0.0.1"]


async def test_a_host_that_nobody_knows_is_said_to_be_unknown() -> None:
    with pytest.raises(ToolError, match=r"there is no host nowhere\.invalid"):
        await addresses(parse("http://nowhere.invalid/"), private=False)


def test_a_name_is_not_an_address() -> None:
    assert is_address("127.0.0.1")
    assert is_address("::1")
    assert not is_address("localhost")
