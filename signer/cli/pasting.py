"""Reads a person's real API key from standard input, from a file, or from a paste at the terminal."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import click

from signer.cli.asking import ask_hidden, has_terminal, quiet_terminal, tried
from signer.cli.terminal import warn
from signer.errors import KeyStoreError
from signer.keys.file import FileKeyStore
from signer.keys.issue import MOST_BYTES, ApiKeySecret, KeyShape, read_json, read_pasted
from signer.keys.key_file import MOST_BYTES as KEY_FILE_BYTES
from signer.keys.key_file import read_key_file
from signer.operator.opening import open_store
from signer.operator.session import Session

MOST_LINES = 64
"""The most lines of a pasted private key. An RSA key of 4,096 bits has 52 in PEM."""


def credential_and_store(
    session: Session, shape: KeyShape, *, stdin: bool, file: Path | None
) -> tuple[ApiKeySecret, FileKeyStore]:
    """Read a key of ``shape``, then open the key store.

    The key comes first, because a person who pastes it expects that question. A key that is pasted at the question for
    a passphrase would end in the shell.
    """
    with quiet_terminal():
        return read_credential(shape, stdin=stdin, file=file), open_store(session)


def read_credential(shape: KeyShape, *, stdin: bool, file: Path | None) -> ApiKeySecret:
    """Read an API key and secret from standard input, a file of any known format, or a prompt.

    A file may have keys of other venues beside that of ``shape``. Raises `KeyStoreError`, or a usage error if there is
    no source to read from.
    """
    if stdin and file:
        raise click.UsageError("--stdin and --file exclude each other.")
    if stdin:
        return read_json(sys.stdin.buffer.read(MOST_BYTES), shape, where="standard input")
    if file:
        return _from_file(file, shape)
    if not has_terminal():
        raise click.UsageError("There is no terminal to ask on: give --stdin or --file.")
    return tried(lambda: _asked_credential(shape))


def _from_file(path: Path, shape: KeyShape) -> ApiKeySecret:
    """Read the key from a person's file. Warn if others can read the file, and tell the person to delete it."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise KeyStoreError("it is not a regular file", where=str(path), hint="name the right file")
    with path.open("rb") as file:
        raw = bytearray(file.read(KEY_FILE_BYTES + 1))
    if len(raw) > KEY_FILE_BYTES:
        raise KeyStoreError(f"it is larger than {KEY_FILE_BYTES} bytes", where=str(path), hint="name the right file")
    found = read_key_file(raw, shape=shape, where=str(path))
    raw[:] = bytes(len(raw))
    click.echo(f"signer: read {path} as {found.kind}; delete it when this is done, it holds the secret", err=True)
    if mode & 0o077:
        warn(f"others on this machine could read {path}; if any did, make a new key at the exchange")
    return found.credential


def _asked_credential(shape: KeyShape) -> ApiKeySecret:
    api_key, secret = ask_hidden("API key (public part)"), ask_hidden("API secret (private part)")
    if shape.is_pair and "-----BEGIN" in secret:
        lines = [secret]
        while "-----END" not in lines[-1] and len(lines) < MOST_LINES:
            lines.append(ask_hidden("next line of it"))
        secret = "\n".join(lines)
    passphrase = ask_hidden("Passphrase of the API key") if shape.has_passphrase else ""
    return read_pasted(shape, api_key, secret, passphrase, where="API secret")
