"""Several keys of one account: each signs what it is for, and one that the exchange refuses stops alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from signer.model import Role
from signer.sandbox.faults import Errors, Latency
from tests.e2e.test_lifecycle import account_of, asked, made, name_of
from tests.harness.bots import order
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome
from tests.harness.waiting import until

__all__ = ["made"]


@pytest.fixture
def own(made: MadeHome) -> Iterator[RunningGateway]:
    """A gateway whose account has a key for trading, and gets more."""
    with running(made) as gateway:
        yield gateway
        made.sandbox.control.clear_faults()


def keys_of(made: MadeHome, endpoint: str) -> list[str]:
    """The keys with which calls to an endpoint arrived, in order."""
    arrived = made.sandbox.control.arrivals(endpoint=endpoint)
    known = {info.api_key: info.name for info in made.store.credentials()}
    headers = [{name.lower(): value for name, value in arrival.headers} for arrival in arrived]
    return [known[one["api-key"]] for one in headers if one["api-key"] in known]


def test_each_call_goes_by_the_key_that_is_for_it(own: RunningGateway) -> None:
    """Reads by the read-only key, orders and cancels by the trading key."""
    made, account = own.made, account_of(own.made)
    made.add_key("reader", account, Role.READ)
    made.add_key("banker", account, Role.FUNDING)
    bot = own.client(account)
    assert asked(bot, "Balance") == []
    assert asked(bot, "AddOrder", order()) == []
    (txid,) = made.orders(account)
    assert asked(bot, "CancelOrder", {"txid": txid}) == []
    assert keys_of(made, "Balance") == ["reader"]
    assert keys_of(made, "AddOrder") == keys_of(made, "CancelOrder") == [name_of(made)]


def test_two_keys_of_a_role_make_two_lanes(own: RunningGateway) -> None:
    """One key signs while the other waits for its answer; an order's cancel may go by either."""
    made, account = own.made, account_of(own.made)
    made.add_key("second", account, Role.TRADE)
    bot = own.client(account)
    made.sandbox.control.add_fault(Latency(endpoint="AddOrder", seconds=3600, count=1))
    seen = len(made.sandbox.control.arrivals())
    slow = threading.Thread(target=asked, args=(bot, "AddOrder", order()))
    slow.start()
    made.sandbox.control.wait_for_arrival(after=seen, endpoint="AddOrder")
    assert asked(bot, "AddOrder", order()) == []
    assert slow.is_alive()
    made.sandbox.control.clear_faults()
    slow.join()
    assert sorted(keys_of(made, "AddOrder")) == sorted([name_of(made), "second"])
    for txid in made.orders(account):
        assert asked(bot, "CancelOrder", {"txid": txid}) == []


def test_a_key_that_the_exchange_refuses_is_paused_alone(own: RunningGateway) -> None:
    """No client's call goes by it, there is an alarm, others go on; a good answer to our question brings it back."""
    made, account, first = own.made, account_of(own.made), name_of(own.made)
    made.add_key("second", account, Role.TRADE)
    bot = own.client(account)
    made.sandbox.control.add_fault(Errors(endpoint="GetApiKeyInfo", count=1000, errors=("EService:Busy",)))
    made.sandbox.control.add_fault(Errors(endpoint="AddOrder", count=1, errors=("EAPI:Invalid key",)))
    assert asked(bot, "AddOrder", order()) == ["EAPI:Invalid key"]
    for _ in range(3):
        assert asked(bot, "AddOrder", order()) == []
    assert keys_of(made, "AddOrder") == [first, "second", "second", "second"]
    until(lambda: f"the exchange has refused the key of {first}" in own.log(), "the alarm")
    made.wait_for_record(kind="lane", credential=first, state="paused")
    made.sandbox.control.clear_faults()
    assert made.signer("keys", "test", first).returncode == 0
    assert asked(bot, "AddOrder", order()) == []
    assert keys_of(made, "AddOrder")[-1] == first
    made.wait_for_record(kind="lane", credential=first, state="resumed")


def test_the_only_key_refused_is_resumed_by_itself(own: RunningGateway) -> None:
    """Nothing is sent or held while the key is paused, and a second later calls go on."""
    made, account = own.made, account_of(own.made)
    bot = own.client(account)
    made.sandbox.control.add_fault(Errors(endpoint="Balance", count=1, errors=("EAPI:Invalid key",)))
    assert asked(bot, "Balance") == ["EAPI:Invalid key"]
    until(lambda: asked(bot, "AddOrder", order()) == [], "the key taken again")
    until(lambda: made.status()["open"] == [], "what was held given back")
    assert len(keys_of(made, "AddOrder")) == 1


def test_a_role_is_given_with_the_key(made: MadeHome) -> None:
    """`keys add --role`, and `keys list` shows it."""
    key = made.sandbox.control.make_key(account_of(made))
    pasted = f'{{"api_key": "{key.api_key}", "api_secret": "{key.api_secret}"}}'
    added = made.signer("keys", "add", "r", "--account", account_of(made), "--role", "read", "--stdin", stdin=pasted)
    assert added.returncode == 0, added.stderr
    assert '"role": "read"' in made.signer("keys", "list", "--json").stdout
    assert made.signer("keys", "add", "x", "--account", account_of(made), "--role", "admin", "--stdin").returncode == 2
