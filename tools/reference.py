"""Write the tables of docs/cli.md and docs/configuration.md from the program: ``python -m tools.reference``.

A page says where a table goes, and of what. All between ``<!-- commands: init tls -->`` or ``<!-- settings: top -->``
and the next ``<!-- end -->`` is replaced. The rest of the page is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools import commands, settings

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs" / "cli.md", ROOT / "docs" / "configuration.md")
MARKED = re.compile(r"(<!-- (commands|settings): ([^>]*) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """The page with each marked table made anew."""
    return MARKED.sub(lambda found: f"{found[1]}\n{_table(found[2], found[3].split())}\n\n{found[4]}", page)


def _table(kind: str, names: list[str]) -> str:
    return "\n".join(commands.table(names) if kind == "commands" else settings.table(names))


def out_of_date() -> Iterator[Path]:
    """The pages that are not as they would be written now."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        if text != written(text):
            yield path


def main() -> int:
    """Write each page that is out of date; the exit status."""
    for path in list(out_of_date()):
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)} is written anew\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
