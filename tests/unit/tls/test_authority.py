"""The private CA vouches for its names and nothing else, as OpenSSL reads it, and its leaves are short-lived."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from signer.tls.authority import LEAF_LIFE, RENEW_BEFORE, Authority, due, server_name
from tests.unit.tls.handshakes import handshake, serving

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = [server_name(text) for text in ("api.kraken.com", "localhost", "127.0.0.1", "::1")]


def made(now: datetime = NOW) -> Authority:
    """A CA for what `signer tls init` always names."""
    return Authority.make(NAMES, "test", now)


def ca_pem(authority: Authority) -> str:
    """Return the certificate of the CA."""
    return authority.certificate.public_bytes(serialization.Encoding.PEM).decode()


def forged(authority: Authority, name: x509.GeneralName) -> bytes:
    """What a thief of the CA's key would make for any name he likes."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "thief")])
    builder = x509.CertificateBuilder(authority.certificate.subject, subject, key.public_key(), 7, NOW, NOW + LEAF_LIFE)
    certificate = builder.add_extension(x509.SubjectAlternativeName([name]), critical=False).sign(
        authority._key, hashes.SHA256()
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()) + certificate.public_bytes(pem)


@pytest.mark.parametrize("host", ["api.kraken.com", "localhost", "127.0.0.1", "::1"])
def test_a_leaf_is_taken_for_each_name(host: str, tmp_path: Path) -> None:
    """A client that trusts the CA and checks the name accepts the leaf."""
    authority = made()
    handshake(serving(authority.leaf(NOW), tmp_path), ca_pem(authority), host)


@pytest.mark.parametrize("name", ["example.com", "kraken.com", "evil-api.kraken.com", "192.0.2.1", "127.0.0.2"])
def test_the_ca_cannot_vouch_for_another_name(name: str, tmp_path: Path) -> None:
    """A thief of its key makes a certificate for another name or address: nobody who trusts the CA takes it."""
    authority = made()
    context = serving(forged(authority, server_name(name)), tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(context, ca_pem(authority), name)


def test_the_forgery_would_pass_for_a_permitted_name(tmp_path: Path) -> None:
    """The test above fails on the name alone, not on how the forgery is made."""
    authority = made()
    handshake(serving(forged(authority, server_name("localhost")), tmp_path), ca_pem(authority), "localhost")


def test_a_ca_for_names_only_permits_no_address_but_loopback(tmp_path: Path) -> None:
    """A CA with no constraint on addresses could vouch for them all."""
    authority = Authority.make([server_name("api.kraken.com")], "test", NOW)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        handshake(serving(forged(authority, server_name("192.0.2.1")), tmp_path), ca_pem(authority), "192.0.2.1")


def test_a_leaf_is_due_ten_days_before_its_end() -> None:
    """The leaf is not due a second earlier."""
    leaf = x509.load_pem_x509_certificate(made().leaf(NOW))
    assert leaf.not_valid_after_utc == NOW + LEAF_LIFE
    assert not due(leaf, NOW + LEAF_LIFE - RENEW_BEFORE - timedelta(seconds=1))
    assert due(leaf, NOW + LEAF_LIFE - RENEW_BEFORE)


def test_a_ca_reads_back_and_keeps_its_key_to_itself() -> None:
    """Loaded from its files it is the same; its repr shows nothing."""
    authority = made()
    loaded = Authority.load(ca_pem(authority).encode(), authority.key_pem())
    assert loaded.certificate == authority.certificate
    assert loaded.names == NAMES
    assert repr(loaded) == "Authority(…)"
    with pytest.raises(ValueError, match="not this certificate's"):
        Authority.load(ca_pem(authority).encode(), made().key_pem())


@pytest.mark.parametrize(
    "text", ["", "*.kraken.com", "api kraken", "-a.com", "a..b", "a" * 64, "https://a.com", "ä.de"]
)
def test_what_no_certificate_can_bear_is_refused(text: str) -> None:
    """A wildcard and other impossible names are refused."""
    with pytest.raises(ValueError, match="host name"):
        server_name(text)
