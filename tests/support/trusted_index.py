"""An index on this machine that takes uploads of trusted publishers, and GitHub's side of it, with TLS.

Source: https://docs.astral.sh/uv/guides/package/
"""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["TrustedIndex", "serve"]

_ANSWERS = {
    "/_/oidc/audience": {"audience": "index"},
    "/id": {"value": "identity"},
    "/_/oidc/mint-token": {"success": True, "token": "minted"},
}


class TrustedIndex(ThreadingHTTPServer):
    """What it was asked, and what was uploaded."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, Any]] = []
        self.uploads: list[bytes] = []

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: TrustedIndex

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def answer(self, body: bytes) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((self.command, path, self.headers.get("Authorization")))
        if path == "/legacy/":
            self.server.uploads.append(body)
        content = json.dumps(_ANSWERS.get(path, {})).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the one that it replaces
        """Say nothing on the tests' standard error."""


@contextlib.contextmanager
def serve(folder: Path, openssl: str) -> Iterator[tuple[TrustedIndex, dict[str, str]]]:
    """Serve it; gives the variables of a job that has `id-token: write`, and trusts it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    named = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    leaf = ["-addext", "basicConstraints=critical,CA:FALSE"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *made, *named, *leaf, *files], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    index = TrustedIndex()
    index.socket = context.wrap_socket(index.socket, server_side=True)
    threading.Thread(target=index.serve_forever, daemon=True).start()
    environ = {
        "SSL_CERT_FILE": str(certificate),
        "UV_PUBLISH_URL": f"{index.address}/legacy/",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{index.address}/id?x=1",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of the job",
    }
    try:
        yield index, environ
    finally:
        index.shutdown()
        index.server_close()
