"""The Hugging Face hub, or what `HF_ENDPOINT` names in its place: what is in a repository.

`huggingface_hub` speaks to it, with its own settings: `HF_ENDPOINT`, `HF_TOKEN` (or what `hf auth
login` has saved), `HF_HUB_OFFLINE`, proxies. A token is never shown.
"""

import os
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from msgspec import Struct

from apr.errors import AprError
from apr.models.answers import TRANSIENT, asked_to_wait
from apr.models.download import LONGEST_WAIT_S, Watch
from apr.models.listing import RemoteFile
from apr.models.names import OnHub, shown
from apr.ui.terminal import plain

if TYPE_CHECKING:
    import httpx2

PATIENCE_S = 20.0
"""For one answer about a repository."""
WAITS_S = (1.0, 4.0)
"""Before a further try, where the server does not say for how long."""


class HubError(AprError):
    """The hub did not give it. The message says why, and what can be done."""

    exit_code = 1


class NotOnHub(HubError):
    """There is no such repository or file, or none that may be seen."""

    exit_code = 3


class Unreachable(HubError):
    """Nothing could be asked: there is no connection, or none is wanted."""


class Repository(Struct, frozen=True, kw_only=True):
    """What the hub says of a repository at one commit."""

    name: str
    commit: str
    files: tuple[RemoteFile, ...]


class Hub:
    """A connection to the hub."""

    def __init__(self, endpoint: str, token: str | None, client: "httpx2.Client") -> None:
        self.endpoint = endpoint
        self.token = token
        self.client = client
        """For files; it knows the library's settings, and sends no token by itself."""

    @property
    def headers(self) -> dict[str, str]:
        """Return what names the user to the hub."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def repository(self, wanted: OnHub, watch: Watch) -> Repository:
        """Ask what is in a repository.

        Raises:
            NotOnHub: there is no such repository, or it is hidden.
            Unreachable: there is no connection.
            HubError: the hub refuses, or goes wrong.
        """
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self.endpoint, token=self.token or False)

        def ask() -> Any:
            return api.model_info(
                wanted.repository,
                revision=wanted.revision,
                files_metadata=True,
                timeout=PATIENCE_S,
            )

        info = self._patiently(ask, wanted, watch)
        try:
            return _repository(wanted.repository, info)
        except (TypeError, ValueError) as error:
            raise self._nonsense(error) from error

    def url(self, wanted: OnHub, commit: str, file: RemoteFile) -> str:
        """Return where a file's content is, or where the hub says where it is."""
        return f"{self.endpoint}/{wanted.repository}/resolve/{commit}/{quote(file.path)}"

    def refusal(self, wanted: OnHub) -> Callable[["httpx2.Response", str], AprError]:
        """Return what makes an error of a refused request for a repository's file."""

        def explain(response: "httpx2.Response", _name: str) -> AprError:
            import httpx2
            from huggingface_hub import hf_raise_for_status

            if response.history and response.history[0].url.host != response.url.host:
                return HubError(
                    f"{response.url.host}, where the hub has the file, answers "
                    f"{response.status_code}. Try again later."
                )
            try:
                hf_raise_for_status(response)
            except httpx2.HTTPError as error:
                return self._explained(error, wanted)
            return HubError(
                f"{shown(self.endpoint)} answers {response.status_code}, which means nothing."
            )

        return explain

    def _patiently(self, ask: Callable[[], Any], wanted: OnHub, watch: Watch) -> Any:
        """Ask, and again where that may help; return the answer."""
        import httpx2
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

        for wait in (*WAITS_S, None):
            try:
                return ask()
            except HfHubHTTPError as error:
                pause = asked_to_wait(error.response)
                pause = wait if pause is None else pause
                passing = error.response.status_code in TRANSIENT
                if not passing or wait is None or pause is None or pause > LONGEST_WAIT_S:
                    raise self._explained(error, wanted) from error
                watch.say(
                    f"the hub answers {error.response.status_code}; asking again in {pause:.0f} s"
                )
                time.sleep(pause)
            except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
                raise self._explained(error, wanted) from error
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise self._nonsense(error) from error
        raise AssertionError  # the last round returns or raises

    def _nonsense(self, error: Exception) -> HubError:
        return HubError(
            f"{shown(self.endpoint)} does not answer as a hub does ({type(error).__name__}: "
            f"{plain(str(error))[:200]}). Is HF_ENDPOINT right?"
        )

    def _explained(self, error: Exception, wanted: OnHub) -> HubError:
        """Return the error that tells a person what a library's error means for them."""
        from huggingface_hub import errors

        repository = wanted.repository
        if isinstance(error, errors.OfflineModeIsEnabled):
            return Unreachable("HF_HUB_OFFLINE is set, so the hub is not asked. Unset it to fetch.")
        if isinstance(error, errors.GatedRepoError):
            return HubError(
                f"{repository} is gated: its owner wants terms accepted first. Do that at "
                f"{shown(self.endpoint)}/{repository}, then {self._log_in()}"
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return NotOnHub(f"{repository} has no branch, tag or commit {wanted.revision!r}.")
        if isinstance(error, errors.EntryNotFoundError):
            return NotOnHub(f"{repository} has that file no more. Try again.")
        if isinstance(error, errors.DisabledRepoError):
            return HubError(f"{repository} has been disabled by the hub.")
        if not isinstance(error, errors.HfHubHTTPError):
            return Unreachable(
                f"Cannot reach {shown(self.endpoint)} ({_named(error)}). Is this machine online? "
                "Behind a proxy, HTTPS_PROXY says where it is. What is on this disk: apr list"
            )
        return self._refused(error, repository)

    def _refused(self, error: Any, repository: str) -> HubError:
        """Return what an error status means."""
        from huggingface_hub import errors

        status = error.response.status_code
        if status == 401 and self.token and not isinstance(error, errors.RepositoryNotFoundError):
            return HubError("The hub does not accept the token (HF_TOKEN, or hf auth login).")
        if status in {401, 404}:
            return NotOnHub(
                f"There is no {repository} on the hub. If there is, and it is private, "
                f"{self._log_in()}"
            )
        if status == 403:
            return HubError(
                f"The hub forbids access to {repository}: the token lacks the right to read it."
                if self.token
                else f"The hub forbids access to {repository}. To be let in, {self._log_in()}"
            )
        if status == 429:
            wait = asked_to_wait(error.response)
            again = f"in {wait:.0f} seconds" if wait else "later"
            more = "" if self.token else " With a token (HF_TOKEN) the limits are wider."
            return HubError(f"The hub takes no more requests for now: try again {again}.{more}")
        return HubError(
            f"The hub answers {status}"
            + (", which is a fault of its own: try again later." if status >= 500 else ".")
        )

    def _log_in(self) -> str:
        if self.token:
            return "see that the token (HF_TOKEN, or hf auth login) is of an account with access."
        return "set HF_TOKEN to a token of your account, or run: hf auth login"


def connect() -> Hub:
    """Return a connection made of the environment's settings. Nothing is sent yet.

    Raises:
        HubError: the token cannot be one.
    """
    # The library would ask the hub which programs are known to it, to name ours with each request.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import constants, get_session, get_token

    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise HubError("HF_TOKEN is not a token: it has characters that cannot be sent.")
    return Hub(constants.ENDPOINT, token, get_session())


def _repository(name: str, info: Any) -> Repository:
    """Take what we need from the library's answer, and believe none of it.

    Raises:
        ValueError: the server says what cannot be.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", str(info.sha)):
        raise ValueError(f"the commit is {info.sha!r}")
    return Repository(
        name=name,
        commit=info.sha,
        files=tuple(_file(sibling) for sibling in info.siblings or ()),
    )


def _file(sibling: Any) -> RemoteFile:
    sha256 = str(sibling.lfs.sha256) if sibling.lfs else None
    size = sibling.lfs.size if sibling.lfs else sibling.size
    oid = sibling.blob_id
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"a checksum is {sha256!r}")
    if oid is not None and not re.fullmatch(r"[0-9a-f]{40}", str(oid)):
        raise ValueError(f"an object is named {oid!r}")
    if size is not None and (type(size) is not int or size < 0):
        raise ValueError(f"a size is {size!r}")
    return RemoteFile(path=str(sibling.rfilename), size=size or 0, sha256=sha256, oid=oid)


def _named(error: Exception) -> str:
    text = plain(str(error).strip()).rstrip(".")
    return text or type(error).__name__
