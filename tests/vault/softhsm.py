"""A real PKCS#11 token in a folder: Debian's softhsm2 (the Makefile installs it)."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import Attribute, ObjectClass

MODULES = (Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"))
PIN = "2580-canary-pin"
LABEL = "signer"


def module() -> Path | None:
    """SoftHSM's PKCS#11 library, if it is here."""
    return next((path for path in MODULES if path.exists()), None)


@contextmanager
def logged_in() -> Iterator[Any]:
    """What another program sees of the token. A login is the process's, so ours may be there already."""
    found = pkcs11.lib(str(module())).get_token(token_label=LABEL)
    try:
        session = found.open(rw=True, user_pin=PIN)
    except pkcs11.exceptions.UserAlreadyLoggedIn:
        session = found.open(rw=True)
    try:
        yield session
    finally:
        session.close()
        forget_openssl_errors()


def forget_openssl_errors() -> None:
    """Drop the errors that the module left in this thread's queue, where the next TLS connection would take them for
    its own. Python empties the queue when it reports an error of OpenSSL, so it is given one."""
    with suppress(ssl.SSLError):
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata="no certificate")


def lying(name: str) -> list[str]:
    """The secrets in the token of a credential, or of several whose names begin alike."""
    with logged_in() as session:
        kinds = (ObjectClass.SECRET_KEY, ObjectClass.PRIVATE_KEY)
        labels = [str(key.label) for kind in kinds for key in session.get_objects({Attribute.CLASS: kind})]
    return [label for label in labels if label.startswith(f"{name}-")]


class Token:
    """One token. The module reads SOFTHSM2_CONF once, when this process first loads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens = folder / "tokens"
        self.tokens.mkdir()
        settings = folder / "softhsm2.conf"
        settings.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
        os.environ["SOFTHSM2_CONF"] = str(settings)
        self.add(LABEL)
        self.pin_file = folder / "pin"
        self.give_pin(PIN)

    def add(self, label: str) -> None:
        """Make one more token with the same PIN."""
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "12345678"]
        subprocess.run(command, check=True, capture_output=True)

    def give_pin(self, pin: str) -> None:
        """Put ``pin`` where the gateway reads it."""
        beside = self.pin_file.with_suffix(".new")
        beside.write_text(pin + "\n")
        beside.chmod(0o600)
        beside.replace(self.pin_file)

    @contextmanager
    def removed(self) -> Iterator[None]:
        """Pulled out for the length of a block."""
        aside = self.folder / "aside"
        self.tokens.rename(aside)
        try:
            yield
        finally:
            aside.rename(self.tokens)
