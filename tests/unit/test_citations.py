"""Every document and section that a comment, a docstring, a message or a page cites exists."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from tests.harness.sources import ROOT, text_of

TEXTS = {".cfg", ".json", ".md", ".py", ".sh", ".toml", ".yaml", ".yml", ".service", ".conf", ".hcl", ""}

SECTION = r"§[0-9]+[a-z]?(?:[.-][0-9]+)?"
SECTIONS = rf"{SECTION}(?:(?:,| and| to) {SECTION})*"
PAGE = r"(?<![\w/.<>-])((?:[\w.-]+/)*[\w-]+\.md)"
CITED = re.compile(rf"{PAGE}((?:#[\w-]+)?(?:, section [A-Z]\w*| {SECTIONS})?)")
FILE = re.compile(
    r"(?<![\w./-])((?:tests|signer|deploy|policies|benchmarks|tools)/[\w./-]+\.(?:py|json|toml|yaml|hcl|sh|service))\b"
)
STANDARD = re.compile(r"(?:RFC [0-9]+|PKCS#11 v3\.0|NIST SP 800-38D) §[0-9.]+(?:(?:,| and) §[0-9.]+)*")


@cache
def cited_from() -> Sequence[Path]:
    """Every text file of the repository."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / line for line in listed.stdout.decode().splitlines()]
    return sorted(path for path in paths if path.is_file() and path.suffix in TEXTS)


def joined(text: str) -> str:
    """The text on one line: a citation may be broken over two lines of a comment."""
    return re.sub(r"\s*\n[ \t]*(?:#[ \t]+)?", " ", text)


@cache
def sections(path: Path) -> frozenset[str]:
    """The numbers, anchors and titles by which a page's sections are cited; items of a numbered list as ``8.14``."""
    found: set[str] = set()
    number = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"#+ (?:([0-9]+[a-z]?(?:-[0-9]+)?)\. )?(.*)", line):
            number = heading[1] or ""
            title = heading[0].lstrip("# ")
            found |= {f"§{number}", heading[2], "#" + re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")}
        elif item := re.match(r"([0-9]+)\. ", line):
            found.add(f"§{number}.{item[1]}")
    return frozenset(found)


@cache
def cited(path: Path) -> Sequence[tuple[Path, list[str]]]:
    """Each page that a file cites, with the sections of it; a page is looked for from the file, the root and docs/."""
    found = []
    for name, where in CITED.findall(joined(text_of(path))):
        places = [folder / name for folder in (path.parent, ROOT, ROOT / "docs")]
        page = next((place for place in places if place.is_file()), places[-1])
        found.append((page, re.findall(rf"{SECTION}|#[\w-]+", where) + re.findall(r"section (.*)", where)))
    return found


def test_every_citation_leads_somewhere() -> None:
    """Each page that a file cites is in the repository, and has the sections that are cited."""
    wrong = [f"{path.relative_to(ROOT)}: {text}" for path in cited_from() for text in missing(path)]
    assert not wrong


def missing(path: Path) -> Iterator[str]:
    """What a file cites and nobody finds."""
    for page, parts in cited(path):
        if not page.is_file():
            yield page.name
        elif lost := set(parts) - sections(page):
            yield f"{page.name} {sorted(lost)}"


def test_every_file_that_a_page_names_exists() -> None:
    """Each path of the repository on a page, in a comment or in a docstring is there."""
    named = {
        (str(path.relative_to(ROOT)), name)
        for path in cited_from()
        if path.suffix in {".md", ".py"} and path.name != "CHANGELOG.md"
        for name in FILE.findall(text_of(path))
    }
    assert not [found for found in sorted(named) if not (ROOT / found[1]).exists()]


def test_no_section_stands_alone() -> None:
    """A section sign without a page or a standard before it means a page that the same file cites."""
    alone = []
    for path in cited_from():
        text = STANDARD.sub("", CITED.sub("", joined(text_of(path))))
        pages = [page for page, _ in cited(path) if page.is_file()] + [path] * (path.suffix == ".md")
        known = frozenset().union(*(sections(page) for page in pages))
        alone += [
            f"{path.relative_to(ROOT)}: {sign}" for sign in re.findall(r"§[0-9][\w.-]*\w|§", text) if sign not in known
        ]
    assert not [sign for sign in alone if not sign.startswith("tests/unit/test_citations.py")]


def test_a_wrong_citation_is_found(tmp_path: Path) -> None:
    """A missing page, section, list item, anchor and title are each told apart from those that exist."""
    text = "NONE, KRAKEN §1b,\n    # §99 and §8.99, CLI#nowhere, KEYS, section Nothing"
    for word, page in {"NONE": "none", "KRAKEN": "kraken", "CLI": "cli", "KEYS": "key-store"}.items():
        text = text.replace(word, f"docs/{page}.md")
    (tmp_path / "x.py").write_text(text, encoding="utf-8")
    assert list(missing(tmp_path / "x.py")) == [
        f"none.{'md'}",
        "kraken.md ['§8.99', '§99']",
        "cli.md ['#nowhere']",
        "key-store.md ['Nothing']",
    ]
