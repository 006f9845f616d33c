"""A file over HTTP, from a real server that goes wrong in all the ways servers do."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from apr.errors import AprError
from apr.models.download import (
    Digest,
    DownloadFailed,
    Remote,
    fetch,
    require_room,
)
from tests.apr.models.hub_server import Fault, Hub, oid, serving, sha256

DATA = bytes(range(256)) * 1200
HALF = len(DATA) // 2
TRIES = (0.0,) * 4


class Notes:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.total = self.there = self.come = 0
        self.said: list[str] = []

    def expect(self, total: int) -> None:
        self.total = total

    def found(self, count: int) -> None:
        self.there += count

    def moved(self, count: int) -> None:
        self.come += count

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    hub.pages["/f.gguf"] = DATA
    hub.etags["/f.gguf"] = '"one"'
    with serving(hub):
        yield hub


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "f.part"


@pytest.fixture
def notes() -> Notes:
    return Notes()


class Getting:
    """One way to call `fetch`."""

    def __init__(self, hub: Hub, part: Path, client: httpx2.Client, notes: Notes) -> None:
        self.hub, self.part, self.client, self.notes = hub, part, client, notes

    def known(self, data: bytes = DATA, size: int | None = None) -> int:
        """Fetch a file whose size and checksum are known."""
        digest = Digest("sha256", sha256(data))
        return self._fetch(len(data) if size is None else size, digest, None)

    def unknown(self) -> int:
        """Fetch a file of which nothing is known."""
        return self._fetch(None, None, self.part.with_name("f.part.version"))

    def fails(self) -> str:
        with pytest.raises(DownloadFailed) as error:
            self.known()
        return str(error.value)

    def _fetch(self, size: int | None, digest: Digest | None, validator: Path | None) -> int:
        remote = Remote(url=f"{self.hub.url}/f.gguf", name="f.gguf", size=size, digest=digest)
        return fetch(
            remote,
            self.part,
            self.client,
            self.notes,
            refusal,
            validator=validator,
            waits=TRIES,
        )


def refusal(response: httpx2.Response, name: str) -> AprError:
    return AprError(f"{name}: {response.status_code}")


@pytest.fixture
def getting(hub: Hub, part: Path, client: httpx2.Client, notes: Notes) -> Getting:
    return Getting(hub, part, client, notes)


def test_a_file_comes_whole(getting: Getting) -> None:
    assert getting.known() == len(DATA)
    assert getting.part.read_bytes() == DATA
    assert getting.notes.come == len(DATA)


def test_a_file_of_unknown_size_tells_its_size_when_it_comes(getting: Getting) -> None:
    assert getting.unknown() == len(DATA)
    assert getting.notes.total == len(DATA)
    assert getting.part.read_bytes() == DATA


def test_a_dropped_connection_is_taken_up_where_it_broke(getting: Getting) -> None:
    getting.hub.faults.extend([Fault(cut=100_000), Fault(cut=HALF)])
    assert getting.known() == len(DATA)
    assert getting.part.read_bytes() == DATA
    assert getting.hub.sent == len(DATA)
    assert "trying again" in getting.notes.said[0]
    ranges = [one.headers.get("range") for one in getting.hub.asked]
    assert ranges == [None, "bytes=100000-", f"bytes={100_000 + HALF}-"]


def test_what_is_there_from_before_is_not_fetched_again(getting: Getting) -> None:
    getting.part.write_bytes(DATA[:HALF])
    assert getting.known() == len(DATA) - HALF
    assert getting.part.read_bytes() == DATA
    assert getting.notes.there == HALF
    assert getting.notes.come == len(DATA) - HALF


def test_a_damaged_beginning_is_found_out_and_fetched_again(getting: Getting) -> None:
    getting.part.write_bytes(b"?" * HALF)
    getting.known()
    assert getting.part.read_bytes() == DATA
    assert any("starting over" in text for text in getting.notes.said)


def test_more_than_the_whole_is_fetched_anew(getting: Getting) -> None:
    getting.part.write_bytes(DATA + b"!")
    assert getting.known() == len(DATA)
    assert getting.part.read_bytes() == DATA


def test_a_server_that_knows_no_ranges_sends_it_all_again(getting: Getting) -> None:
    getting.part.write_bytes(DATA[:HALF])
    getting.hub.faults.append(Fault(whole=True))
    assert getting.known() == len(DATA)
    assert getting.part.read_bytes() == DATA


def test_a_part_that_was_not_asked_for_is_not_taken(getting: Getting) -> None:
    getting.part.write_bytes(DATA[:HALF])
    getting.hub.faults.append(Fault(headers={"Content-Range": f"bytes 0-9/{len(DATA)}"}))
    getting.known()
    assert getting.part.read_bytes() == DATA


def test_content_that_is_not_what_was_promised_is_removed_and_said_so(getting: Getting) -> None:
    getting.hub.faults.append(Fault(content=b"?" * len(DATA)))
    message = getting.fails()
    assert "f.gguf: what arrived is not what was promised" in message
    assert sha256(DATA) in message
    assert not getting.part.exists()


def test_a_file_of_another_size_than_promised_is_refused_before_it_comes(getting: Getting) -> None:
    getting.hub.faults.append(Fault(content=DATA + b"more"))
    assert f"{len(DATA):,} were promised" in getting.fails()
    assert getting.notes.come == 0
    assert not getting.part.exists()


def test_a_server_that_sends_without_end_is_stopped(getting: Getting) -> None:
    getting.hub.faults.append(
        Fault(content=DATA * 50, headers={"Content-Length": "", "Connection": "close"})
    )
    assert "more than it promised" in getting.fails()
    assert not getting.part.exists()


def test_gits_own_checksum_will_do(getting: Getting) -> None:
    remote = Remote(
        url=f"{getting.hub.url}/f.gguf",
        name="f",
        size=len(DATA),
        digest=Digest("git", oid(DATA)),
    )
    fetch(remote, getting.part, getting.client, getting.notes, refusal)
    assert getting.part.read_bytes() == DATA


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_trouble_that_may_pass_is_waited_for(getting: Getting, status: int) -> None:
    getting.hub.faults.extend(Fault(status=status, headers={"Retry-After": "0"}) for _ in TRIES)
    assert getting.known() == len(DATA)
    assert str(status) in getting.notes.said[0]


def test_trouble_that_does_not_pass_ends_it_and_keeps_what_has_come(getting: Getting) -> None:
    getting.hub.faults.append(Fault(cut=HALF))
    getting.hub.faults.extend(Fault(status=503) for _ in TRIES)
    message = getting.fails()
    assert "answers 503" in message
    assert "the same command goes on from there" in message
    assert getting.part.read_bytes() == DATA[:HALF]
    assert getting.known() == len(DATA) - HALF


@pytest.mark.parametrize("when", ["3600", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_a_server_that_wants_to_be_left_alone_for_long_is(getting: Getting, when: str) -> None:
    getting.hub.faults.append(Fault(status=429, headers={"Retry-After": when}))
    assert "429 Too Many Requests, until " in getting.fails()
    assert len(getting.hub.asked) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "9" * 6000},
        {"Retry-After": "soon"},
        {"RateLimit": f"r;t={'9' * 6000}"},
        {"Retry-After": "-1"},
    ],
)
def test_nonsense_about_when_to_come_back_is_none(
    getting: Getting, headers: dict[str, str]
) -> None:
    getting.hub.faults.append(Fault(status=429, headers=headers))
    assert getting.known() == len(DATA)


@pytest.mark.parametrize("given", [f"bytes 0-1/{'9' * 6000}", "bytes */*", "bytes -1-2/3", "x"])
def test_nonsense_about_the_part_that_comes_is_not_believed(getting: Getting, given: str) -> None:
    getting.part.write_bytes(DATA[:HALF])
    getting.hub.faults.append(Fault(headers={"Content-Range": given}))
    assert getting.known() == len(DATA) - HALF
    assert getting.part.read_bytes() == DATA


def test_the_hubs_own_way_to_say_how_long_is_understood(getting: Getting) -> None:
    limit = {"RateLimit": '"resolvers";r=0;t=3600'}
    getting.hub.faults.append(Fault(status=429, headers=limit))
    assert ", until " in getting.fails()


def test_a_refusal_is_explained_and_not_repeated(getting: Getting) -> None:
    getting.hub.faults.append(Fault(status=403))
    with pytest.raises(AprError, match=r"f\.gguf: 403"):
        getting.known()
    assert len(getting.hub.asked) == 1


def test_compressed_content_is_not_taken_for_the_files(getting: Getting) -> None:
    getting.hub.faults.append(Fault(headers={"Content-Encoding": "gzip"}))
    assert "encoding" in getting.fails()


def test_nobody_at_the_other_end_is_said_so(
    part: Path, client: httpx2.Client, notes: Notes
) -> None:
    with serving(Hub()) as url:
        gone = url
    remote = Remote(url=f"{gone}/f.gguf", name="f.gguf")
    with pytest.raises(DownloadFailed, match=r"(?i)refused\.$"):
        fetch(remote, part, client, notes, refusal, waits=TRIES)
    assert notes.said == [], "nobody is asked again who has never answered"
    assert not part.exists()


def test_a_file_that_has_changed_is_fetched_anew_and_never_mixed(getting: Getting) -> None:
    getting.hub.faults.append(Fault(cut=HALF))
    getting.hub.faults.extend(Fault(status=503) for _ in TRIES)
    with pytest.raises(DownloadFailed):
        getting.unknown()
    new = DATA[::-1]
    getting.hub.pages["/f.gguf"], getting.hub.etags["/f.gguf"] = new, '"two"'
    assert getting.unknown() == len(new)
    assert getting.part.read_bytes() == new


def test_a_file_of_unknown_size_goes_on_if_it_is_the_same(getting: Getting) -> None:
    getting.hub.faults.append(Fault(cut=HALF))
    getting.hub.faults.extend(Fault(status=503) for _ in TRIES)
    with pytest.raises(DownloadFailed):
        getting.unknown()
    assert getting.unknown() == len(DATA) - HALF
    assert getting.part.read_bytes() == DATA
    assert getting.unknown() == 0, "all of it is there: the server says there is no more"


def test_without_a_version_nothing_is_taken_up(getting: Getting) -> None:
    getting.hub.etags["/f.gguf"] = ""
    getting.part.write_bytes(b"?" * HALF)
    assert getting.unknown() == len(DATA)
    assert getting.part.read_bytes() == DATA


def test_without_a_version_a_dropped_file_begins_anew(getting: Getting) -> None:
    getting.hub.etags["/f.gguf"] = ""
    getting.hub.faults.append(Fault(cut=HALF))
    assert getting.unknown() == HALF + len(DATA)
    assert getting.part.read_bytes() == DATA


def test_a_large_file_is_asked_for_in_several_requests(
    getting: Getting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apr.models.download.AT_ONCE", 200_000)
    getting.hub.faults.append(Fault(cut=150_000))
    assert getting.known() == len(DATA)
    assert getting.part.read_bytes() == DATA
    ranges = [one.headers.get("range") for one in getting.hub.asked]
    assert ranges == ["bytes=0-199999", "bytes=150000-"]


def test_a_server_that_sends_nothing_is_not_asked_for_ever(getting: Getting) -> None:
    empty = Fault(cut=0, headers={"Content-Length": "", "Connection": "close"})
    getting.hub.faults.extend([empty] * 9)
    assert "ends before the file does" in getting.fails()
    assert len(getting.hub.asked) == len(TRIES) + 1


def test_a_token_does_not_go_along_to_another_host(
    hub: Hub, part: Path, client: httpx2.Client, notes: Notes
) -> None:
    port = hub.url.rpartition(":")[2]
    away = {"Location": f"http://localhost:{port}/f.gguf"}
    hub.faults.append(Fault(status=302, headers=away))
    headers = {"Authorization": "Bearer hf_secret"}
    remote = Remote(url=f"{hub.url}/f.gguf", name="f.gguf", headers=headers)
    fetch(remote, part, client, notes, refusal)
    assert [(one.host, one.headers.get("authorization")) for one in hub.asked] == [
        ("127.0.0.1", "Bearer hf_secret"),
        ("localhost", None),
    ]


def test_a_link_in_the_way_is_not_written_through(getting: Getting, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    getting.part.symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"):
        getting.known()
    assert precious.read_text() == "mine"


def test_what_does_not_fit_is_refused_before_anything_comes(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"Not enough room .* are free"):
        require_room(tmp_path / "not" / "there" / "yet", 1 << 60)
    require_room(tmp_path, 0)


def test_a_slow_server_is_waited_for(getting: Getting) -> None:
    getting.hub.faults.append(Fault(pause=HALF))
    result: list[int] = []
    thread = threading.Thread(target=lambda: result.append(getting.known()))
    thread.start()
    assert getting.hub.paused.wait(30)
    getting.hub.go_on.set()
    thread.join()
    assert result == [len(DATA)]
    assert getting.part.read_bytes() == DATA
