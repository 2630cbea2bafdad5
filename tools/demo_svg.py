"""Run the demo and write what it shows to docs/demo.svg: ``python -m tools.demo_svg``, or ``make demo-svg``."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

DRAWING = Path(__file__).parents[1] / "docs" / "demo.svg"
COLUMNS = 96
FONT = re.compile(r"\s*@font-face \{.*?\}\n", re.DOTALL)
"""rich names fonts of another site; whoever looks at the drawing fetches nothing."""


def demo() -> str:
    """What the demo prints, with colours. Raises CalledProcessError if a step went wrong."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
    command = [sys.executable, "-m", "signer", "demo"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def drawn(output: str) -> str:
    """The output in a terminal's window, as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print("[bold]$ make demo[/bold]")
    console.print(Text.from_ansi(output.rstrip()))
    return FONT.sub("", console.export_svg(title="signer", unique_id="demo"))


if __name__ == "__main__":
    DRAWING.write_text(drawn(demo()), encoding="utf-8")
