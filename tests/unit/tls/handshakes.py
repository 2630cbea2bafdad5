"""TLS without a socket: both sides in memory, as OpenSSL does it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def serving(pem: bytes, folder: Path) -> ssl.SSLContext:
    """A server that shows this key and certificate."""
    (folder / "served.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "served.pem")
    return context


def handshake(server: ssl.SSLContext, ca: str, host: str | None, show: Path | None = None) -> x509.Certificate:
    """The certificate that a client gets that trusts ``ca``; no ``host``: it names none, and checks none.

    ``show`` is a PEM file with the client's own key and certificate. Raises what either side raises.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(cadata=ca)
    trusting.check_hostname = host is not None
    if show is not None:
        trusting.load_cert_chain(show)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        trusting.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(8):
        for end in tuple(ends):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    shown = ends[0].getpeercert(binary_form=True)
    assert shown is not None
    assert ends[1].version() is not None
    return x509.load_der_x509_certificate(shown)


class Bots:
    """A CA for the certificates of bots."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bots")])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._builder(self._name, self._key).add_extension(constraints, critical=True)
        self.ca = certificate.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def certificate(self, *names: str) -> bytes:
        """Key and certificate of a bot whose subject has these CNs."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
        certificate = self._builder(subject, key).sign(self._key, hashes.SHA256())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return pem + certificate.public_bytes(Encoding.PEM)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        serial = x509.random_serial_number()
        day = timedelta(days=1)
        return x509.CertificateBuilder(self._name, subject, key.public_key(), serial, now - day, now + day)
