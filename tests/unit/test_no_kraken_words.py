"""Only `signer.venues.kraken` speaks Kraken's language; the rest of the gateway serves any venue."""

from __future__ import annotations

import re

from tests.harness.sources import MODULES, text_of
from tests.harness.sources import PACKAGE as ROOT

KRAKENS_OWN = ("venues/kraken/", "sandbox/")
CITATION = re.compile(r"docs/kraken\.md")
WORDS = re.compile(
    r"""
    kraken
    | \b(?:userref | cl_ord_ids? | oflags | viqc | txids? | starttm | expiretm | ordertype | timeinforce | displayvol)\b
    | \bAPI-(?:Key|Sign)\b | \bapi_sign\b | /0/(?:private|public)
    | \b(?:Add|Edit|Amend|Cancel|Open|Closed|Query)Orders?(?:Batch)?\b | \bCancelAll | \bGetApiKeyInfo\b
    | \b[EW](?:API|Account|Auth|BM|Funding|General|Order|Query|Service|Session|Trade):
    """,
    re.IGNORECASE | re.VERBOSE,
)
ALLOWED: dict[str, tuple[set[str], str]] = {
    "home/settings.py": ({"kraken"}, "the venue and the origin of an account that names none"),
    "policy/schema.py": ({"oflags"}, "the key of policy files that lists flags"),
    "policy/resolve.py": ({"oflags"}, "the same key"),
    "policy/cases.py": ({"txid"}, "a key of the files of cases"),
    "gateway/trace.py": ({"txid"}, "a field of the rows of open orders, as scripts read it"),
    "audit/chain.py": ({"api_sign", "api-key", "api-sign"}, "names of secrets of any venue, which no record may have"),
    "cli/audit_orders.py": ({"txid", "ordertype"}, "parameters in the records of calls"),
    "cli/audit_search.py": ({"txid", "txids"}, "an option and a column that users know"),
    "cli/orders.py": ({"txid", "txids"}, "an option and a JSON field that users know"),
    "cli/policy_explain.py": ({"addorder", "ordertype"}, "the example in the help of `policy explain`"),
    "operator/open_orders.py": ({"openorders"}, "a class of ours: the open orders of a client"),
    "book/questions.py": ({"closedorders"}, "a class of ours: the orders that are known to be closed"),
    "ledger/kept_orders.py": ({"closedorders"}, "the same class"),
    "cli/stage.py": ({"kraken"}, "the environment variables of the demo's bot"),
    "cli/demo.py": (
        {"kraken", "addorder", "cancelorder", "ordertype", "txid", "/0/private", "api-key"},
        "plays a bot of Kraken against the sandbox",
    ),
}
"""The words that a file may have, and why."""


def files() -> list[str]:
    """The files that serve every venue."""
    paths = (path.relative_to(ROOT).as_posix() for path in MODULES)
    return [path for path in paths if not path.startswith(KRAKENS_OWN)]


def words(path: str) -> set[str]:
    """Kraken's words in a file, in lower case. What cites the page of facts about Kraken does not count."""
    text = CITATION.sub("", text_of(ROOT / path))
    return {found.lower() for found in WORDS.findall(text)}


def test_no_other_room_speaks_kraken() -> None:
    """A file has the words that it is allowed, each of them, and no other."""
    found = {path: words(path) for path in files()}
    assert {path: said for path, said in found.items() if said} == {path: said for path, (said, _) in ALLOWED.items()}


def test_the_words_are_found() -> None:
    """Kraken's own folder is full of them."""
    assert len(words("venues/kraken/orders.py")) > 5
    assert set(ALLOWED) <= set(files())
