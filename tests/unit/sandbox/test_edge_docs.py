"""docs/sandbox.md: what it says is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import signer.cli.sandbox
from signer.sandbox.faults import FAULT
from tests.unit.sandbox.edge import Edge

DOCS = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()


def test_every_fault_is_in_the_table_and_no_other() -> None:
    """The table's kinds are those that the control interface takes."""
    schema = FAULT.json_schema()
    assert sorted(re.findall(r"^\| `([a-z-]+)` \| .* \| (?:always|never|false)", DOCS, re.M)) == sorted(
        schema["discriminator"]["mapping"]
    )


def test_every_flag_is_documented() -> None:
    """Each option of the command is in the docs."""
    flags = {flag for option in signer.cli.sandbox.sandbox.params for flag in option.opts}
    assert {flag for flag in flags if f"`{flag}" not in DOCS and f"{flag} " not in DOCS} == set()


def test_the_curl_examples_work() -> None:
    """Every JSON body shown is accepted at the path shown, and every path read exists."""
    control = Edge().control
    posts = re.findall(r"curl --json '(.*?)' \"\$C(.*?)\"", DOCS)
    gets = re.findall(r"curl \"\$C(/[^?\"]*)", DOCS)
    assert len(posts) == 9
    assert len(gets) == 5
    for body, path in posts:
        data = body.replace("XBTUSD", "XXBTZUSD")  # the toy engine knows no other spelling
        assert control.post(path, data=data, content_type="application/json").status_code == 200, path
    assert {control.get(path).status_code for path in gets} == {200}
