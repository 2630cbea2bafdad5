"""Tells whether the Python that runs this was built with profile-guided optimisation, also by its exit status."""

from __future__ import annotations

import sys
import sysconfig


def is_optimised() -> bool:
    """Return whether this interpreter was built with profile-guided optimisation, as far as its build tells.

    Debian's packages are built so, and their ``CONFIG_ARGS`` do not say it. Only they have the scheme ``deb_system``.
    """
    by_flag = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return by_flag or "deb_system" in sysconfig.get_scheme_names()


if __name__ == "__main__":
    sys.exit(not is_optimised())
