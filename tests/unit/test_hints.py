"""One sentence for each thing that tools complain of, from what they really print."""

from __future__ import annotations

import pytest

from mlops_lab.hints import _HINTS, hint_for

DISK = "free some disk space, then run the command again"
READ_ONLY = "the file system is read-only: choose another place with --prefix"
HASHES = (
    "a file of the index is not the one that was locked: if the lock is right, the index or a proxy is not; "
    "otherwise lock again with `invoke lock`"
)
NETWORK = "the package index cannot be reached: check the network, the proxy and pip's index-url (`pip config list`)"
CERTIFICATE = "set `cert` in pip's configuration, or SSL_CERT_FILE"
JSON = "the index has no JSON for Poetry: set POETRY_PYPI_MIRROR_URL to its simple page"
STALE = "the lock is older than pyproject.toml: run `invoke lock`"
SOLVER = "no set of versions fits every requirement: loosen one of those named above"
UNKNOWN = "the index has no such package or version: check the spelling"
VENV = "this Python cannot make environments: install its venv package (Debian: python3-venv)"
KERNEL = "the environment has no ipykernel: `invoke add ipykernel --group dev`"
PACKED = "the build packs all that the project's own .gitignore does not name: add /.mlops-lab/ and /.venv/ to it"
DENIED = "make the file or folder writable, or choose another place with --prefix"

PRINTED: tuple[tuple[str, str, str], ...] = (
    ("pip: disk", "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", DISK),
    ("uv: disk", "  Caused by: failed to write to file `/x`: (os error 28)", DISK),
    ("uv: not disk", "  Caused by: (os error 280)", ""),
    ("pip: read-only", "OSError: [Errno 30] Read-only file system: '/x'", READ_ONLY),
    ("pip: hash", "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", HASHES),
    ("uv: hash", "Failed to download `small==1.0`\n  Hash mismatch for `small==1.0`", HASHES),
    (
        "poetry: hash",
        "Hash for small (1.0) from archive small-1.0.whl not found in known hashes (was: sha256:0)",
        HASHES,
    ),
    ("poetry: hash does not match", "Hash for small-1.0.whl does not match", HASHES),
    (
        "pip: refused",
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(': "
            "Failed to establish a new connection: [Errno 111] Connection refused')'\n"
            "ERROR: Could not find a version that satisfies small\nERROR: No matching distribution found"
        ),
        NETWORK,
    ),
    ("poetry: refused", "All attempts to connect to index.example failed.", NETWORK),
    (
        "uv: refused",
        (
            "error: Failed to fetch: `https://index.example/simple/small/`\n  Caused by: error sending request for url "
            "(https://index.example/simple/small/)\n  Caused by: tcp connect error\n  Caused by: Connection refused "
            "(os error 111)"
        ),
        NETWORK,
    ),
    ("uv: dns", "  Caused by: dns error\n  Caused by: failed to lookup address information", NETWORK),
    ("uv: offline", "Network connectivity is disabled, but the requested data wasn't found in the cache", NETWORK),
    ("git: dns", "fatal: Could not resolve host\nTemporary failure in name resolution", NETWORK),
    (
        "pip: slow",
        "ReadTimeoutError(\"HTTPSConnectionPool(host='index.example', port=443): Read timed out.\")",
        NETWORK,
    ),
    (
        "pip: certificate",
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'SSLError(CertError(1, '[SSL: "
            "CERTIFICATE_VERIFY_FAILED] certificate verify failed'))': /simple/small/\n"
            "Could not fetch URL https://index.example/simple/small/: a problem confirming the ssl certificate: "
            "HTTPSConnectionPool(host='index.example', port=443): Max retries exceeded with url: /simple/small/"
        ),
        CERTIFICATE,
    ),
    (
        "uv: certificate",
        (
            "error: Failed to fetch: `https://index.example/simple/small/`\n  Caused by: error sending request for url "
            "(https://index.example/simple/small/)\n  Caused by: invalid peer certificate: UnknownIssuer"
        ),
        CERTIFICATE,
    ),
    ("poetry: no JSON", "Expecting value: line 1 column 1 (char 0)", JSON),
    (
        "poetry: stale",
        "pyproject.toml changed significantly since poetry.lock was last generated. Run `poetry lock` to fix the lock.",
        STALE,
    ),
    ("uv: stale", "The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.", STALE),
    ("poetry: old stale", "Error: poetry.lock is not up to date. The lock file is not up to date with", STALE),
    ("uv: solver", "No solution found when resolving dependencies:", SOLVER),
    ("poetry: solver", "Because a depends on b (1), version solving failed.", SOLVER),
    ("pip: solver", "ERROR: ResolutionImpossible: for help visit", SOLVER),
    ("poetry: unknown", "Could not find a matching version of package tiny", UNKNOWN),
    ("pip: unknown", "ERROR: No matching distribution found for tiny", UNKNOWN),
    (
        "uv: unknown",
        "No solution found when resolving dependencies:\n  Because tiny was not found in the package registry",
        UNKNOWN,
    ),
    ("poetry: not found", "Package tiny (1.0) not found.", UNKNOWN),
    ("python: no ensurepip", "The virtual environment was not created because ensurepip is not available.", VENV),
    ("python: no venv", "/usr/bin/python3: No module named venv", VENV),
    ("python: no ipykernel", "/e/bin/python: No module named ipykernel", KERNEL),
    ("uv: denied", "error: failed to create directory `/x`: Permission denied (os error 13)", DENIED),
    ("pip: denied", "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'", DENIED),
    (
        "uv: packs an environment",
        "error: Failed to build `/x`\nhint: The source distribution includes a virtual environment. Virtual env",
        PACKED,
    ),
    ("nothing known", "Segmentation fault", ""),
    ("nothing", "", ""),
)


@pytest.mark.parametrize(("printed", "hint"), [row[1:] for row in PRINTED], ids=[row[0] for row in PRINTED])
def test_what_a_tool_printed_has_this_hint(printed: str, hint: str) -> None:
    assert hint_for(printed) == hint


@pytest.mark.parametrize(
    "symptom",
    [
        *("ConnectionError", "Connection refused", "Failed to establish a new connection", "could not connect"),
        *("Could not connect", "Name or service not known", "Temporary failure in name resolution", "dns error"),
        *("timed out", "All attempts to connect", "Could not fetch URL", "Failed to fetch", "error sending request"),
        *("Max retries exceeded", "tcp connect error", "Network is unreachable", "No route to host", "ProxyError"),
        "Network connectivity is disabled",
    ],
)
def test_each_of_these_alone_means_the_network(symptom: str) -> None:
    assert hint_for(f"error: {symptom}: x") == NETWORK


@pytest.mark.parametrize("symptom", ["CERTIFICATE_VERIFY_FAILED", "invalid peer certificate", "SSLError"])
def test_each_of_these_alone_means_the_certificate(symptom: str) -> None:
    assert hint_for(f"error sending request: {symptom}: Max retries exceeded") == CERTIFICATE


def test_every_hint_is_tried_above() -> None:
    assert {hint for _, hint in _HINTS} == {hint for _, _, hint in PRINTED if hint}


def test_every_hint_is_one_line_that_says_what_to_do() -> None:
    assert all("\n" not in hint and hint[0].islower() and not hint.endswith(".") for _, hint in _HINTS)
