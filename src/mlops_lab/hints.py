"""What tools say when they fail, and the next thing to try. One row per symptom, the first that fits wins."""

from __future__ import annotations

import re

__all__ = ["hint_for"]

_HINTS: tuple[tuple[str, str], ...] = (
    (r"No space left on device|os error 28\b", "free some disk space, then run the command again"),
    (r"Read-only file system", "the file system is read-only: choose another place with --prefix"),
    (
        (
            r"DO NOT MATCH THE HASHES|[Hh]ash mismatch|not found in known hashes|Hash for .* does not match|"
            r"did not match any known checksums"
        ),
        (
            "a file of the index is not the one that was locked: if the lock is right, the index or a proxy is not; "
            "otherwise lock again with `invoke lock`"
        ),
    ),
    # Before the network's row: every tool reports a certificate as a connection that failed.
    (
        r"CERTIFICATE_VERIFY_FAILED|invalid peer certificate|SSLError",
        "set `cert` in pip's configuration, or SSL_CERT_FILE",
    ),
    (
        (
            r"ConnectionError|Connection refused|Failed to establish a new connection|[Cc]ould not connect|"
            r"Name or service not known|Temporary failure in name resolution|dns error|timed out|"
            r"All attempts to connect|Could not fetch URL|"
            r"Failed to fetch|error sending request|Max retries exceeded|tcp connect error|"
            r"Network is unreachable|No route to host|ProxyError|Network connectivity is disabled"
        ),
        "the package index cannot be reached: check the network, the proxy and pip's index-url (`pip config list`)",
    ),
    (
        r"Expecting value: line 1 column 1",
        "the index has no JSON for Poetry: set POETRY_PYPI_MIRROR_URL to its simple page",
    ),
    (
        (
            r"pyproject\.toml changed significantly|lock file is not up to date|lockfile .*needs to be updated|"
            r"lock` to (?:fix|update)"
        ),
        "the lock is older than pyproject.toml: run `invoke lock`",
    ),
    # Before the solver's row: uv reports an unknown package as one that no solution has.
    (
        (
            r"Could not find a matching version|No matching distribution|not found in the package registry|"
            r"Could not find a version that satisfies|Package .* not found"
        ),
        "the index has no such package or version: check the spelling",
    ),
    (
        r"version solving failed|No solution found|ResolutionImpossible|requires conflicting",
        "no set of versions fits every requirement: loosen one of those named above",
    ),
    (
        r"No module named (?:ensurepip|venv)|ensurepip is not",
        "this Python cannot make environments: install its venv package (Debian: python3-venv)",
    ),
    (r"No module named '?ipykernel'?", "the environment has no ipykernel: `invoke add ipykernel --group dev`"),
    # Our own lie in folders that ignore themselves, which such a backend does not see.
    (
        r"source distribution includes a virtual environment",
        "the build packs all that the project's own .gitignore does not name: add /.mlops-lab/ and /.venv/ to it",
    ),
    (r"Permission denied", "make the file or folder writable, or choose another place with --prefix"),
)


def hint_for(output: str) -> str:
    """The next thing to try after a tool failed with this output; empty where no row fits."""
    return next((hint for pattern, hint in _HINTS if re.search(pattern, output)), "")
