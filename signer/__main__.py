"""Runs the command line: ``python -m signer`` is ``signer``."""

from __future__ import annotations

import sys

from signer.cli.main import run

if __name__ == "__main__":
    sys.exit(run())
