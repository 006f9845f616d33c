"""A recorded web, served inside the sandbox: the hosts are there, and say what they said.

Names of the recorded hosts lead to loopback, where ports 80 and 443 answer with the pages, and a
SearXNG with the searches. The certificate is made for the run, and agents are told to trust it.
"""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from ccpa.agents.base import Unsuited
from ccpa.errors import CcpaError
from ccpa.sandbox import Sandbox
from ccpa.scripted.http import HttpRequest, HttpResponse
from ccpa.scripted.server import serving
from ccpa.web import Web

SEARCH_HOST = "searxng.test"
SEARCH_URL = f"http://{SEARCH_HOST}"
PORTS = (80, 443)


def hosts(web: Web) -> tuple[str, ...]:
    """Return every name that must lead to the recorded web."""
    return (*web.hosts, SEARCH_HOST)


@contextmanager
def recorded_web(web: Web, place: Sandbox, scratch: Path) -> Iterator[Path]:
    """Serve a web in a sandbox that was made with its hosts and `PORTS`.

    Yields the file with the certificate that its hosts show.

    Raises:
        Unsuited: no certificate can be made here.
    """

    async def answer(request: HttpRequest) -> HttpResponse:
        return _answer(web, request)

    certificate, key = _certificate(web, scratch)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    plain, secure = place.ports
    with ExitStack() as served:
        served.enter_context(serving(answer, listener=plain))
        served.enter_context(serving(answer, listener=secure, tls=tls))
        yield certificate


def _answer(web: Web, request: HttpRequest) -> HttpResponse:
    host = request.headers.get("host", "").partition(":")[0].lower()
    if host == SEARCH_HOST:
        found = [
            {"url": page.url, "title": page.title, "content": page.about}
            for page in web.searched(request.path)
        ]
        return HttpResponse(body=msgspec.json.encode({"results": found}))
    page = web.at(f"https://{host}{request.path}")
    if page is None:
        return HttpResponse(status=404, content_type="text/plain", body=b"not recorded\n")
    content_type = f"{page.type}; charset=utf-8"
    return HttpResponse(content_type=content_type, body=page.text.encode())


def _certificate(web: Web, scratch: Path) -> tuple[Path, Path]:
    """Make a certificate for the hosts, and its key: for a day, and trusted by nobody else."""
    openssl = shutil.which("openssl")
    if openssl is None:
        raise Unsuited("its recorded web needs a certificate, and there is no `openssl` on PATH")
    certificate, key = scratch / "web.pem", scratch / "web.key"
    names = ",".join(f"DNS:{host}" for host in hosts(web))
    words = ["req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=A recorded web"]
    words += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-addext", f"subjectAltName={names}"]
    words += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]
    words += ["-out", str(certificate), "-keyout", str(key)]
    done = subprocess.run(
        [openssl, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CcpaError(f"openssl has made no certificate: {done.stderr.strip()}")
    return certificate, key
