"""Checks who owns the files, and who else may read or change them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from signer.doctor.said import counted, error, failed, fine, warning
from signer.errors import KeyStoreError
from signer.findings import Finding
from signer.home.layout import Home
from signer.home.private_file import require_private
from signer.home.settings import Config
from signer.home.stores import AppRoleLogin, Pkcs11Config, StoreConfig, TokenLogin

SYSTEMD = Path("/run/credentials")
"""Where ``LoadCredential=`` puts files; they belong to root."""


def examine(home: Home, config: Config | None) -> list[Finding]:
    """Examine the home with all that is in it, and the files that signer.toml names."""
    secret, ours = _secrets(home), _ours(home)
    told, named = _stated(home), _named(home, config) if config else []
    findings = [*_folder(home.folder), *_folder(home.audit), *_passphrase(home)]
    for path in [*secret, *(path for path, private in named if private)]:
        findings += _private(path)
    for path in ours:
        findings += _own(path)
    for path in [*told, *(path for path, private in named if not private)]:
        findings += _unwritten(path)
    looked_at = len(secret) + len(ours) + len(told) + len(named)
    if all(finding.kind == "passphrase-beside" for finding in findings):
        what = f"is its owner's alone, and nobody else may change any of {counted(looked_at, 'file')}"
        findings.insert(0, fine("files", str(home.folder), what))
    return findings


def _secrets(home: Home) -> list[Path]:
    known = [home.keys, home.passphrase, home.tls / "ca-key.pem", home.tls / "leaf.pem"]
    return [path for path in known if os.path.lexists(path)]


def _ours(home: Home) -> list[Path]:
    """Return the files that signer itself writes there."""
    beside = [
        path.with_name(path.name + end) for path in (home.marks, home.book) for end in ("", "-wal", "-shm", "-spare")
    ]
    known = [*beside, *home.pairs_kept().values(), home.lock, home.state, home.tls / "ca.pem"]
    kept = [*sorted(home.audit.glob("audit-*.jsonl")), *sorted(home.probes.glob("*.json"))]
    kept += sorted(home.brakes.glob("*.json"))
    return [path for path in [*known, *kept] if os.path.lexists(path)]


def _stated(home: Home) -> list[Path]:
    """Return the files that a person writes there. They may be symlinks, as in a Kubernetes volume."""
    known = [home.config, home.policies, *sorted(home.policies.glob("*.toml"))]
    return [path for path in known if os.path.lexists(path)]


def _named(home: Home, config: Config) -> list[tuple[Path, bool]]:
    """Return the files that signer.toml names, and whether they are secret."""
    named = [pair for store in config.stores.values() for pair in _of_store(store)]
    tls = config.gateway.tls
    return [*named, *((home.folder / text, False) for text in (tls.certificate, tls.key, tls.client_ca) if text)]


def _of_store(store: StoreConfig) -> Iterator[tuple[Path, bool]]:
    if isinstance(store, Pkcs11Config):
        yield from ((store.module, False), (store.pin_file, True))
        return
    if store.ca_file is not None:
        yield store.ca_file, False
    if isinstance(store.login, AppRoleLogin):
        yield store.login.secret_id_file, True
    if isinstance(store.login, TokenLogin):
        yield store.login.token_file, True


def _folder(path: Path) -> Iterator[Finding]:
    if not path.is_dir():
        return
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != os.geteuid():
        what = f"belongs to user {status.st_uid}, and signer runs as user {os.geteuid()}"
        yield error("owner", str(path), what, "run signer as its owner, or chown it with all that is in it")
    if mode & 0o022:
        yield error("mode", str(path), f"others may write to it (mode {mode:04o})", f"run `chmod 700 {path}`")
    elif mode & 0o055:
        yield warning("mode", str(path), f"others may look into it (mode {mode:04o})", f"run `chmod 700 {path}`")


def _passphrase(home: Home) -> Iterator[Finding]:
    if os.path.lexists(home.passphrase):
        what = "lies beside the key store that it opens: a copy of the folder gives both away"
        hint = "keep it elsewhere (systemd's LoadCredential, --passphrase-file) and remove it from the home"
        yield warning("passphrase-beside", str(home.passphrase), what, hint)


def _private(path: Path) -> list[Finding]:
    try:
        require_private(path, missing="put it there, or name the right file", systemd=path.is_relative_to(SYSTEMD))
    except KeyStoreError as why:
        return failed(str(path), why)
    return []


def _own(path: Path) -> Iterator[Finding]:
    if path.is_symlink():
        yield error("symlink", str(path), "is a symlink", "put the file itself there")
    else:
        yield from _unwritten(path)


def _unwritten(path: Path) -> Iterator[Finding]:
    """Check that only its owner may change it, and that the owner is this user or root."""
    try:
        status = path.stat()
    except OSError as why:
        yield error("missing", str(path), f"cannot be looked at ({why.strerror})", "restore it, or name the right file")
        return
    if status.st_uid not in {0, os.geteuid()}:
        what = f"belongs to user {status.st_uid}, who may change it"
        yield error("owner", str(path), what, f"run `chown {os.geteuid()} {path}`")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        what = f"others may write to it (mode {stat.S_IMODE(status.st_mode):04o})"
        yield error("mode", str(path), what, f"run `chmod go-w {path}`")
