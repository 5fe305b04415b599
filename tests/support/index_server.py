"""Package indexes of this machine, and a company's way to them: TLS with an authority of its own, and a proxy."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import select
import socket
import socketserver
import ssl
import subprocess
import threading
import wsgiref.simple_server
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from wsgiref.util import shift_path_info

import pytest

pypiserver = pytest.importorskip("pypiserver", reason="the dependency group `server` is not installed")

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Certificate", "Indexes", "Proxy", "certificate", "proxy", "serving", "wheel"]

_OPEN: Mapping[str, Any] = {"authenticate": [], "password_file": "."}
"""What pypiserver is told, so that it asks nobody for a password."""
_CERTIFY = (
    "openssl req -config ca.ext -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem",
    "openssl req -newkey rsa:2048 -nodes -subj /CN={host} -keyout host.key -out host.csr",
    "openssl x509 -req -in host.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile host.ext -out host.pem",
)
_AUTHORITY = """[req]
prompt = no
distinguished_name = name
x509_extensions = authority
[name]
CN = Company
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
"""
_HOST = """subjectAltName = DNS:{host}
basicConstraints = CA:FALSE
authorityKeyIdentifier = keyid
"""


# --- what is served --------------------------------------------------------------------------------------------------


def wheel(folder: Path, name: str, version: str) -> Path:
    """Make a package of one empty module; the same name and version give the same bytes."""
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": "",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, text in {**files, f"{about}/RECORD": f"{record}{about}/RECORD,,\n"}.items():
            archive.writestr(zipfile.ZipInfo(inside), text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Indexes:
    """Several indexes behind one port.

    Attributes:
        folders: The first part of an address, empty for none → the folder of the wheels.
        user: The name and password that are asked for; None for none.
        asked: The names and passwords that came, once each.
    """

    folders: Mapping[str, Path]
    user: tuple[str, str] | None = None
    asked: set[tuple[str, str]] = field(default_factory=set)
    port: int = 0

    def __post_init__(self) -> None:
        self._apps: dict[str, Any] = {
            name: pypiserver.app(roots=[folder], disable_fallback=True, **_OPEN)
            for name, folder in self.folders.items()
        }

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        _, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        name, _, password = base64.b64decode(given).decode().partition(":")
        if given:
            self.asked.add((name, password))
        if self.user not in {None, (name, password)}:
            start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="index"'), ("Content-Length", "0")])
            return []
        first = environ.get("PATH_INFO", "").strip("/").partition("/")[0]
        if first in self._apps:
            shift_path_info(environ)
        answer: Iterable[bytes] = self._apps.get(first, self._apps[""])(environ, start_response)
        return answer


class _Threads(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' own word
        """Nobody reads its log."""


@contextmanager
def serving(indexes: Indexes, certified: Certificate | None = None) -> Iterator[Indexes]:
    """Serve indexes on a port of this machine, with TLS where there is a certificate."""
    with wsgiref.simple_server.make_server("127.0.0.1", 0, indexes, _Threads, _Quiet) as server:
        if certified:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certified.chain, certified.key)
            # Shaken hands with in the thread of the request: a client that goes away stops nobody else.
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        indexes.port = server.server_port
        with _running(server):
            yield indexes


# --- the way to it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Certificate:
    """A certificate of a host, and the authority that signed it, which nobody knows but who is told."""

    authority: Path
    chain: Path
    key: Path


def certificate(folder: Path, host: str) -> Certificate:
    """Make an authority, and a certificate for a host.

    Raises:
        FileNotFoundError: There is no openssl.
    """
    folder.mkdir()
    (folder / "ca.ext").write_text(_AUTHORITY, encoding="utf-8")
    (folder / "host.ext").write_text(_HOST.format(host=host), encoding="utf-8")
    for command in _CERTIFY:
        words = [word.format(host=host) for word in command.split()]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
    return Certificate(folder / "ca.pem", folder / "host.pem", folder / "host.key")


@dataclass(frozen=True)
class Proxy:
    """A running proxy: where it listens, and who was asked for."""

    port: int
    asked: set[str]


@contextmanager
def proxy(host: str, port: int) -> Iterator[Proxy]:
    """Run a proxy that knows one host, which is a port of this machine, and refuses every other one."""
    asked: set[str] = set()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            method, target, *_ = self.rfile.readline().decode("latin-1").split(" ")
            while self.rfile.readline().strip():
                pass
            asked.add(target)
            if (method, target) != ("CONNECT", f"{host}:443"):
                self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", port)) as there:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                with contextlib.suppress(OSError):
                    _pass_on(self.connection, there)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server, _running(server):
        yield Proxy(server.server_address[1], asked)


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    while True:
        for here in select.select([one, other], [], [])[0]:
            data = here.recv(65536)
            if not data:
                return
            (other if here is one else one).sendall(data)


@contextmanager
def _running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(timeout=10)
