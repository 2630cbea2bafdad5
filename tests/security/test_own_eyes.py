"""Threat: a bot reads what another client of its account does: its deposits, its volume, its exports.

*Must hold* 10. An endpoint that is on no list here, as a new one would be, is denied under ``sees = "own"``.
"""

from __future__ import annotations

import pytest

from signer.model import Action
from signer.venues.kraken.endpoints import ENDPOINTS
from tests.harness.bots import Bot
from tests.harness.rig import Rig

RULE = "sees: "

NO_ACCOUNT = ["GetApiKeyInfo", "GetAPIKeyInfo", "Level3"]
"""These show nothing of an account: the client's own key, and the market."""

NOT_NARROWED = [
    *("Balance", "BalanceEx", "TradeBalance"),
    *("OpenOrders", "ClosedOrders", "QueryOrders", "OrderAmends", "TradesHistory", "QueryTrades", "OpenPositions"),
    *("Ledgers", "QueryLedgers"),
]
"""These show the whole account to all who have the permission, until rows are narrowed to the client's own."""

UNGRANTED = ["WithdrawAddresses", "WithdrawInfo", "WithdrawMethods"]
"""These want a permission that no policy can grant."""

WHOLE_ACCOUNT = sorted(
    name
    for name, endpoint in ENDPOINTS.items()
    if endpoint.action in {Action.READ, Action.WRITE}
    and not endpoint.never
    and name not in NO_ACCOUNT + NOT_NARROWED + UNGRANTED
)
"""All the rest."""


@pytest.fixture(scope="module")
def bot(rig: Rig) -> Bot:
    """A client whose policy grants all but the sight of the account."""
    return rig.bot("blinkered")


@pytest.fixture(scope="module")
def tracker(rig: Rig) -> Bot:
    """A client whose policy grants that sight as well."""
    return rig.bot("wide")


@pytest.mark.parametrize("endpoint", WHOLE_ACCOUNT)
def test_a_call_that_shows_the_whole_account_needs_a_word_of_the_policy(
    rig: Rig, bot: Bot, tracker: Bot, endpoint: str
) -> None:
    """The rule is named, and nothing is sent. With ``sees = "account"`` the rule does not object."""
    with rig.nothing_arrives():
        first, reason = rig.call(bot, endpoint)
    assert (first, RULE in reason) == ("EGeneral:Permission denied", True)
    assert RULE not in " ".join(rig.call(tracker, endpoint))


@pytest.mark.parametrize("endpoint", ["Balance", "BalanceEx"])
def test_another_wallet_is_of_the_whole_account(rig: Rig, bot: Bot, endpoint: str) -> None:
    """A balance of the account in general passes, and one of a named wallet does not."""
    with rig.nothing_arrives():
        first, reason = rig.call(bot, endpoint, {"account_id": "AA0N84G"})
    assert (first, RULE in reason) == ("EGeneral:Permission denied", True)
    assert rig.call(bot, endpoint) == []


def test_every_call_that_passes_is_known_for_what_it_shows(rig: Rig, bot: Bot) -> None:
    """The rule does not object to these."""
    for endpoint in NO_ACCOUNT + NOT_NARROWED:
        assert RULE not in " ".join(rig.call(bot, endpoint))
