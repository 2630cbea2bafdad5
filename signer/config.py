"""signer.toml: which accounts there are, where they trade, and how the gateway listens.

Read strictly: an unknown key, a wrong type or a wider listen address without its waiver stops the start, with a
message that names file and key (*Must hold* 1, 8, 9).
"""

from __future__ import annotations

import ipaddress
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from signer.errors import ConfigError

KRAKEN_ORIGIN = "https://api.kraken.com"
CONFIG_VERSION = 1

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A table of a file of ours: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def _seconds(value: object) -> object:
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


Seconds = Annotated[float, Field(gt=0, le=600)]


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine. Names are not resolved: only ``localhost`` is believed."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def split_listen(listen: str) -> tuple[str, int]:
    """``host:port`` as its two parts. Raises ValueError with the mend."""
    host, colon, port = listen.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError('write it as "address:port", such as "127.0.0.1:8787"')
    return host.strip("[]"), int(port)
