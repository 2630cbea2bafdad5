"""Makes a private certificate authority that can vouch for a few names only, and its short-lived leaf certificates.

Bots trust it, so a thief of its key could pose as any name that it may vouch for. The name constraints (RFC 5280
§4.2.1.10) in its certificate permit only the names of this gateway.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
"""Long, because every bot must be told of a new CA."""
LEAF_LIFE = timedelta(days=30)
RENEW_BEFORE = timedelta(days=10)
SKEW = timedelta(hours=1)
"""How far a bot's clock may be behind ours."""

ServerName: TypeAlias = x509.DNSName | x509.IPAddress
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def server_name(text: str) -> ServerName:
    """Read ``text`` as a name that a certificate can bear. Raises ValueError, with the hint, for any other text."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    lowered = text.lower().removesuffix(".")
    if len(lowered) > 253 or not _DNS.fullmatch(lowered):
        raise ValueError(f"{text[:100]!r} is no host name; write it as gateway.example.com, or an address")
    return x509.DNSName(lowered)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA's certificate and key."""

    certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return "Authority(…)"

    @classmethod
    def make(cls, names: list[ServerName], owner: str, now: datetime) -> Authority:
        """Make a CA that may vouch for ``names`` only. Its own name has ``owner``, for lists of trusted CAs.

        A permitted DNS name permits all names below it: the standard has no narrower constraint.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _named(f"signer CA of {owner[:40]} {secrets.token_hex(4)}")
        builder = _builder(subject, subject, key.public_key(), now, now + AUTHORITY_LIFE)
        # Without any address in the constraints every address would be permitted.
        permitted = [
            _constraint(name) for name in dict.fromkeys([*names, x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        ]
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.NameConstraints(permitted, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes) -> Authority:
        """Read a CA from PEM texts. Raises ValueError if they cannot be read or do not belong together."""
        loaded = x509.load_pem_x509_certificate(certificate)
        private = load_pem_private_key(key, None)
        if not isinstance(private, ec.EllipticCurvePrivateKey) or loaded.public_key() != private.public_key():
            raise ValueError("the key is not this certificate's")
        return cls(loaded, private)

    @property
    def names(self) -> list[ServerName]:
        """The names that it may vouch for."""
        return permitted_names(self.certificate)

    def key_pem(self) -> bytes:
        """Return the CA's key, unencrypted, as one PEM text."""
        return _key_pem(self._key)

    def leaf(self, now: datetime) -> bytes:
        """Make a new key and a certificate for all names, as one PEM text."""
        key = ec.generate_private_key(ec.SECP256R1())
        until = min(now + LEAF_LIFE, self.certificate.not_valid_after_utc)
        builder = _builder(_named("signer gateway"), self.certificate.subject, key.public_key(), now, until)
        issuer = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(self.names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return _key_pem(key) + certificate.public_bytes(Encoding.PEM)


def permitted_names(certificate: x509.Certificate) -> list[ServerName]:
    """Return the names in a CA's constraints, in the form in which leaf certificates bear them."""
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    return [_unconstrained(name) for name in constraints.permitted_subtrees or []]


def due(leaf: x509.Certificate, now: datetime) -> bool:
    """Return whether ``leaf`` should be replaced by a new one."""
    return now >= leaf.not_valid_after_utc - RENEW_BEFORE


def utc_now(now_us: int) -> datetime:
    """Turn microseconds since 1970 into a UTC time of whole seconds, as certificates bear it."""
    return datetime.fromtimestamp(now_us // 1_000_000, UTC)


def _constraint(name: ServerName) -> x509.GeneralName:
    return name if isinstance(name, x509.DNSName) else x509.IPAddress(ipaddress.ip_network(str(name.value)))


def _unconstrained(name: x509.GeneralName) -> ServerName:
    if isinstance(name, x509.DNSName):
        return name
    return x509.IPAddress(ipaddress.ip_network(str(name.value)).network_address)


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
