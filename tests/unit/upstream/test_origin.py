"""An origin is scheme, host and port, and plain HTTP stays on this machine."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from signer.errors import ConfigError
from signer.upstream import UpstreamPool
from signer.upstream.origin import Origin, tls_context


@pytest.mark.parametrize(
    ("text", "origin", "authority"),
    [
        ("https://api.kraken.com", Origin("api.kraken.com", 443, True), "api.kraken.com"),
        ("https://API.Kraken.com:443", Origin("api.kraken.com", 443, True), "api.kraken.com"),
        ("https://api.kraken.com:8443", Origin("api.kraken.com", 8443, True), "api.kraken.com:8443"),
        ("http://127.0.0.1:8080", Origin("127.0.0.1", 8080, False), "127.0.0.1:8080"),
        ("http://localhost", Origin("localhost", 80, False), "localhost"),
        ("http://[::1]:8080", Origin("::1", 8080, False), "[::1]:8080"),
        ("https://[2001:db8::1]", Origin("2001:db8::1", 443, True), "[2001:db8::1]"),
    ],
)
def test_origins_are_read(text: str, origin: Origin, authority: str) -> None:
    """Scheme, host and port are read, and written back as the Host header has them."""
    assert Origin.parse(text) == origin
    assert origin.authority == authority
    assert Origin.parse(str(origin)) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.kraken.com",
        "ftp://api.kraken.com",
        "HTTPS://api.kraken.com",
        "https://",
        "https:///",
        "https://api.kraken.com/",
        "https://api.kraken.com/0/private",
        "https://api.kraken.com?a=b",
        "https://api.kraken.com#a",
        "https://user@api.kraken.com",
        "https://user:password@api.kraken.com",
        "https://api.kraken.com:0",
        "https://api.kraken.com:65536",
        "https://api.kraken.com:port",
        "https://api.kraken.com:",
        "https://api.kraken.com\n",
        " https://api.kraken.com",
        "https://api..kraken.com",
        f"https://{'a' * 64}.com",
        "https://käken.com",
        "https://[::1",
    ],
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    """Anything but scheme, host and port stops the start, with the hint."""
    with pytest.raises(ConfigError, match="write it as https://"):
        UpstreamPool.open(text)


@pytest.mark.parametrize("host", ["api.kraken.com", "192.168.0.1", "0.0.0.0", "[2001:db8::1]", "localhost.evil.test"])
def test_plain_http_stays_on_this_machine(host: str) -> None:
    """Plain HTTP to anywhere but loopback is refused."""
    with pytest.raises(ConfigError, match="uses plain HTTP to another machine"):
        UpstreamPool.open(f"http://{host}:8080")


def test_tls_verifies_and_leaves_no_secrets_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Certificate and name are required, TLS 1.2 is the least, and the environment cannot have session keys logged."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "secrets"))
    context = tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.keylog_filename is None


def test_a_ca_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing or damaged CA file is named with its hint."""
    damaged = tmp_path / "ca.pem"
    damaged.write_text("no certificate")
    for path in (tmp_path / "missing.pem", damaged):
        with pytest.raises(ConfigError, match=path.name):
            UpstreamPool.open("https://api.kraken.com", ca_file=path)
