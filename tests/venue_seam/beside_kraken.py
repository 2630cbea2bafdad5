"""The command line of a signer that knows the second venue too, as if its folder lay beside Kraken's."""

from __future__ import annotations

import sys
from pathlib import Path

import signer.venues
from signer.cli.main import run
from tests.harness.quick_argon import make_quick

if __name__ == "__main__":
    signer.venues.__path__.append(str(Path(__file__).parent))
    make_quick()
    sys.exit(run())
