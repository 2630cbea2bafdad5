"""What TLS listeners show: the certificate loaded last, in every handshake, and nothing that cannot be used."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from signer.errors import ConfigError
from signer.home.layout import Home
from signer.home.settings import TlsConfig
from signer.serving.tls import ServerTls
from signer.tls.authority import LEAF_LIFE, RENEW_BEFORE, Authority, server_name
from signer.tls.folder import TlsFolder
from tests.unit.tls.handshakes import Bots, handshake

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = [server_name("api.kraken.com")]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a CA of its own."""
    TlsFolder(tmp_path / "tls").create(NAMES, "test", NOW, replace=False)
    return Home(tmp_path)


@pytest.fixture
def ca(home: Home) -> str:
    """What its bots trust."""
    return (home.tls / "ca.pem").read_text()


@pytest.mark.parametrize("host", ["api.kraken.com", None])
def test_the_next_handshake_gets_the_renewed_leaf(home: Home, ca: str, host: str | None) -> None:
    """The renewed leaf is shown without a restart, whether or not the client names a host."""
    TlsFolder(home.tls).renew(NOW - LEAF_LIFE + RENEW_BEFORE)
    tls = ServerTls(TlsConfig(), home, NOW - timedelta(hours=1))
    first = handshake(tls.context, ca, host)
    tls.refresh(NOW - timedelta(seconds=1))
    assert handshake(tls.context, ca, host) == first
    tls.refresh(NOW)
    renewed = handshake(tls.context, ca, host)
    assert renewed.serial_number != first.serial_number
    assert renewed == TlsFolder(home.tls).leaf_certificate()


def test_an_expired_leaf_is_renewed_at_start(home: Home, ca: str) -> None:
    """A gateway that stood still for a month comes back with a fresh one."""
    TlsFolder(home.tls).renew(NOW - 2 * LEAF_LIFE)
    shown = handshake(ServerTls(TlsConfig(), home, NOW).context, ca, "api.kraken.com")
    assert shown.not_valid_after_utc == NOW + LEAF_LIFE


def test_what_cannot_be_loaded_leaves_the_old_one(home: Home, ca: str) -> None:
    """A spoilt leaf is an error, and the handshakes go on with the one before."""
    tls = ServerTls(TlsConfig(), home, NOW)
    first = handshake(tls.context, ca, "api.kraken.com")
    (home.tls / "leaf.pem").write_bytes(b"nonsense")
    with pytest.raises(ConfigError, match="run `signer tls renew`"):
        tls.refresh(NOW)
    assert handshake(tls.context, ca, "api.kraken.com") == first


def test_a_certificate_of_another_kind_replaces_the_old_one_whole(home: Home, ca: str) -> None:
    """A certificate from elsewhere is taken up when its files change, both at once."""
    own = TlsConfig(certificate="mine.pem", key="mine.pem")
    authority = Authority.make(NAMES, "other", NOW)
    mine = home.folder / "mine.pem"
    mine.write_bytes(TlsFolder(home.tls).leaf.read_bytes())
    mine.chmod(0o600)
    tls = ServerTls(own, home, NOW)
    handshake(tls.context, ca, "api.kraken.com")
    mine.write_bytes(authority.leaf(NOW))
    tls.refresh(NOW)
    handshake(tls.context, authority.certificate.public_bytes(Encoding.PEM).decode(), "api.kraken.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tls.context, ca, "api.kraken.com")


def encrypted(pem: bytes) -> bytes:
    """Return the key under a passphrase."""
    key = load_pem_private_key(pem, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


LEAF = Authority.make(NAMES, "test", NOW).leaf(NOW)
OTHER = Authority.make(NAMES, "test", NOW).leaf(NOW)


@pytest.mark.parametrize(
    ("certificate", "key", "at", "says"),
    [
        (None, LEAF, NOW, "cannot be read (No such file or directory)"),
        (LEAF, None, NOW, "cannot be read (No such file or directory)"),
        (b"nonsense", LEAF, NOW, "no certificate in PEM is in it"),
        (LEAF, b"nonsense", NOW, "no key without a passphrase can be read in it"),
        (LEAF, encrypted(LEAF), NOW, "no key without a passphrase can be read in it"),
        (LEAF, OTHER, NOW, "it is not the key of"),
        (LEAF, LEAF, NOW + LEAF_LIFE, "this certificate has expired"),
        (LEAF, LEAF, NOW - timedelta(days=1), "this certificate is not valid before"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named_with_its_hint(
    certificate: bytes | None, key: bytes | None, at: datetime, says: str, tmp_path: Path
) -> None:
    """One line names the file, what is wrong and what to do."""
    for name, content in (("cert.pem", certificate), ("key.pem", key)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
            (tmp_path / name).chmod(0o600)
    with pytest.raises(ConfigError) as error:
        ServerTls(TlsConfig(certificate="cert.pem", key="key.pem"), Home(tmp_path), at)
    assert says in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert error.value.hint
    assert "\n" not in str(error.value)


def test_a_key_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    """The error names the command that fixes it."""
    (tmp_path / "both.pem").write_bytes(LEAF)
    (tmp_path / "both.pem").chmod(0o644)
    with pytest.raises(ConfigError, match="run `chmod o= "):
        ServerTls(TlsConfig(certificate="both.pem", key="both.pem"), Home(tmp_path), NOW)


def test_without_a_ca_the_start_says_how_to_make_one(tmp_path: Path) -> None:
    """The message names `signer tls init`."""
    with pytest.raises(Exception, match="make it with `signer tls init`"):
        ServerTls(TlsConfig(), Home(tmp_path), NOW)


@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_a_client_ca_that_does_not_read_is_named(content: bytes | None, home: Home) -> None:
    """Missing, or no certificate: nobody is let in without one by mistake."""
    if content is not None:
        (home.folder / "bots.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=r"bots\.pem: it cannot be read .*gateway\.tls\.client_ca"):
        ServerTls(TlsConfig(client_ca="bots.pem"), home, NOW)


def test_a_client_certificate_is_asked_for_and_believed_from_its_ca_alone(home: Home, ca: str, tmp_path: Path) -> None:
    """A missing certificate and one of another CA end the handshake, with the first leaf and with each later one."""
    bots, others = Bots(), Bots()
    (home.folder / "bots.pem").write_bytes(bots.ca)
    mine, foreign = tmp_path / "mine.pem", tmp_path / "foreign.pem"
    mine.write_bytes(bots.certificate("my-bot"))
    foreign.write_bytes(others.certificate("my-bot"))
    TlsFolder(home.tls).renew(NOW - LEAF_LIFE + RENEW_BEFORE)
    tls = ServerTls(TlsConfig(client_ca="bots.pem"), home, NOW - timedelta(hours=1))
    for now in (NOW - timedelta(minutes=1), NOW):
        tls.refresh(now)
        handshake(tls.context, ca, "api.kraken.com", mine)
        with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
            handshake(tls.context, ca, "api.kraken.com", foreign)
        with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
            handshake(tls.context, ca, "api.kraken.com")


def test_a_changed_client_ca_is_believed_from_then_on_alone(home: Home, ca: str, tmp_path: Path) -> None:
    """The bots of the CA before are not let in any more, those of the new one are; the same file changes nothing."""
    before, after = Bots(), Bots()
    (home.folder / "bots.pem").write_bytes(before.ca)
    old, new = tmp_path / "old.pem", tmp_path / "new.pem"
    old.write_bytes(before.certificate("my-bot"))
    new.write_bytes(after.certificate("my-bot"))
    tls = ServerTls(TlsConfig(client_ca="bots.pem"), home, NOW)
    handshake(tls.context, ca, "api.kraken.com", old)
    assert not tls.refresh(NOW)
    replacement = home.folder / "bots.new"
    replacement.write_bytes(after.ca)
    replacement.replace(home.folder / "bots.pem")
    assert tls.refresh(NOW)
    handshake(tls.context, ca, "api.kraken.com", new)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        handshake(tls.context, ca, "api.kraken.com", old)


@pytest.mark.parametrize("content", [None, b"nonsense"])
def test_a_client_ca_that_is_spoilt_leaves_the_one_before(
    content: bytes | None, home: Home, ca: str, tmp_path: Path
) -> None:
    """The refusal names the file, and nobody is let in who was not."""
    bots, others = Bots(), Bots()
    (home.folder / "bots.pem").write_bytes(bots.ca)
    mine, foreign = tmp_path / "mine.pem", tmp_path / "foreign.pem"
    mine.write_bytes(bots.certificate("my-bot"))
    foreign.write_bytes(others.certificate("my-bot"))
    tls = ServerTls(TlsConfig(client_ca="bots.pem"), home, NOW)
    (home.folder / "bots.pem").unlink()
    if content is not None:
        (home.folder / "bots.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=r"bots\.pem: it cannot be read .*gateway\.tls\.client_ca"):
        tls.refresh(NOW)
    handshake(tls.context, ca, "api.kraken.com", mine)
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        handshake(tls.context, ca, "api.kraken.com", foreign)
