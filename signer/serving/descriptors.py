"""Counts the file descriptors that the settings can need, and checks that the system grants them."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Final

from signer.errors import ConfigError
from signer.home.settings import Config
from signer.home.stores import VaultTransitConfig
from signer.upstream import MOST_UNDER_WAY

OTHERS: Final = 128
"""Descriptors for everything but connections: log, databases, listeners, admin socket and libraries, with a margin."""


def descriptors_needed(config: Config) -> int:
    """Count the descriptors that may be open at once: all connections and everything else."""
    origins = {(account.origin, *account.resolve) for account in config.accounts.values()}
    stores = sum(store.in_flight if isinstance(store, VaultTransitConfig) else 8 for store in config.stores.values())
    public = config.limits.public_calls_at_once + 1
    return config.gateway.max_connections + len(origins) * MOST_UNDER_WAY + public + stores + OTHERS


def require_descriptors(config: Config, where: Path) -> None:
    """Raise the soft limit of this process, and of what it forks, to what ``config`` needs.

    Raises `ConfigError` if the system does not grant as many.
    """
    needed = descriptors_needed(config)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    except (ValueError, OSError):
        what = f"these settings need {needed} file descriptors, and the system grants {hard}"
        hint = (
            f"set LimitNOFILE={needed} in the service (ulimits.nofile in compose, the node's container runtime under "
            "Kubernetes, `ulimit -Hn` elsewhere), or lower gateway.max_connections"
        )
        raise ConfigError(what, where=str(where), hint=hint) from None
