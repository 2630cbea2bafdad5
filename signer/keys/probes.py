"""What the venue last said of each real key, kept for lists, and for a reload that brings a key that was just tried.

Nothing in it is secret. A reload believes it only until the gateway has asked itself, which it does at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from signer.errors import KeyStoreError
from signer.home.private_file import make_private_folder, read_private, write_private
from signer.model import CredentialInfo, KeyInfo

MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Probe:
    """One answer, and when it came."""

    at_us: int
    key: KeyInfo


_PROBE = TypeAdapter(Probe)


def keep_probe(folder: Path, fingerprint: str, probe: Probe) -> None:
    """Keep it in place of an earlier one. Raises `KeyStoreError` if the disk does not take it."""
    make_private_folder(folder)
    write_private(folder / f"{fingerprint}.json", _PROBE.dump_json(probe) + b"\n", replace=True)


def kept_probe(folder: Path, fingerprint: str) -> Probe | None:
    """Read the last answer about the key with that fingerprint; None if there is none, or it does not read."""
    try:
        raw = read_private(folder / f"{fingerprint}.json", limit=MOST_BYTES, missing="")
        return _PROBE.validate_json(raw)
    except (KeyStoreError, ValidationError):
        return None


def forget_probe(folder: Path, fingerprint: str) -> None:
    """Forget what was heard of a removed key."""
    (folder / f"{fingerprint}.json").unlink(missing_ok=True)


def accounts_told(folder: Path, info: CredentialInfo, credentials: Iterable[CredentialInfo]) -> dict[str, str]:
    """Return the account at the venue of each other key of the same account here, by credential, as last told."""
    others = [one for one in credentials if one.account == info.account and one.name != info.name]
    kept = {one.name: kept_probe(folder, one.fingerprint) for one in others}
    return {name: probe.key.account for name, probe in kept.items() if probe is not None}
