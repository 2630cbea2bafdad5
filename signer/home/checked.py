"""Checks the values of signer.toml: unknown keys are refused, and each kind of value has its check."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from signer.home.listener import is_loopback

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
"""Matches names of accounts, credentials, clients and policies, which are safe in files, logs and labels."""


def check_absolute(path: Path) -> Path:
    """Return ``path`` if it is absolute, because the gateway's current folder is not its operator's.

    Raises ValueError with the hint for a relative path.
    """
    if not path.is_absolute():
        raise ValueError(f'write the whole path, such as "/etc/signer/{path.name[:64]}"')
    return path


Seconds = Annotated[float, Field(gt=0, le=600, strict=False)]
Count = Annotated[int, Field(ge=1, le=100_000)]
MountPath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=128)]
"""The path of an engine or a login in Vault, without a slash at its ends."""
File = Annotated[Path, Field(strict=False), AfterValidator(check_absolute)]
Reason = Annotated[str, Field(pattern=r"^[ -~]*[!-~][ -~]*$", max_length=200)]
"""The reason for a waiver, in one line of printable ASCII."""


class Strict(BaseModel):
    """A table of signer.toml. Unknown keys are errors, and values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def check_name(name: str, kind: str) -> str:
    """Return ``name`` if it may name an account, credential, client or policy. Raises ValueError with the hint."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{kind} name {name[:70]!r}: use a-z, 0-9, dot, dash and underscore, at most 64 characters")
    return name


def check_addresses(texts: list[str]) -> list[str]:
    """Return ``texts`` if all are IP addresses. Raises ValueError with the hint."""
    for text in texts:
        try:
            ipaddress.ip_address(text)
        except ValueError:
            raise ValueError(f"{text[:100]!r} is not an address; write it as 104.16.0.1 or 2606:4700::1") from None
    return texts


def check_origin(origin: str) -> None:
    """Raise ValueError unless ``origin`` is ``https://host[:port]``, or plain http to loopback."""
    parts = urlsplit(origin)
    bare = f"{parts.scheme}://{parts.netloc}"
    if parts.scheme not in {"https", "http"} or not parts.hostname or "@" in parts.netloc or bare != origin:
        raise ValueError(f'write an origin as "https://host" with no path, not "{origin[:100]}"')
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f'"{origin[:100]}" is not encrypted; plain http is for loopback only, use https')
