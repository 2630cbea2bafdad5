"""What a policy file's messages say to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from signer.errors import ConfigError
from signer.policy import load_policy
from signer.venues.kraken.vocabulary import WORDS
from tests.unit.policy.examples import find, policy_file


@pytest.mark.parametrize(
    ("stated", "key", "hint"),
    [
        ('pairs = "XBT/USD"', "pairs", 'write a list, as pairs = ["XBT/USD", "ETH/EUR"]'),
        ("pairs = { a = 1 }", "pairs", 'write a list, as pairs = ["XBT/USD", "ETH/EUR"]'),
        ("pairs = [1]", "pairs[0]", "write text in quotes"),
        ('sides = "buy"', "sides", 'write a list, as sides = ["buy", "sell"]'),
        ('max_order_size = "0.5 XBT"', "max_order_size", 'write a list, as max_order_size = ["0.5 XBT"]'),
        ('max_order_size = ["0.5"]', "max_order_size[0]", 'write amounts with their unit, as "0.5 XBT"'),
        ("leverage = 0", "leverage", "write 1 or more"),
        ("leverage = 101", "leverage", "write 100 or less"),
        ('leverage = "5"', "leverage", "write a whole number, without quotes"),
        ("close_orders = 1", "close_orders", "write true or false, without quotes"),
        ('description = ["a"]', "description", "write text in quotes"),
        ('order_scope = "mine"', "order_scope", "write 'own' or 'account'"),
        ('cap = "x"', "cap", "write [[cap]], and its keys below"),
        ('[cap]\nwindow = "1d"', "cap", "write [[cap]], and its keys below"),
        ('[max_calls]\nwindow = "10s"\nnew = 5', "max_calls", "write [[max_calls]], and its keys below"),
        ('max_calls = "20"', "max_calls", "write [[max_calls]], and its keys below"),
        ('[[cap]]\nwindow = "1d"\nmax_orders = 0', "cap[0].max_orders", "write 1 or more"),
        ("[[cap]]\nwindow = 24\nmax_orders = 1", "cap[0].window", 'write a number and s, m, h or d, as "24h"'),
    ],
)
def test_a_hint_says_what_would_be_right(tmp_path: Path, stated: str, key: str, hint: str) -> None:
    """The shape comes before the form: whoever wrote text where a list stands is told of the list."""
    path = policy_file(tmp_path / "bot.toml", f'version = 1\npermissions = ["query-funds"]\n{stated}\n')
    with pytest.raises(ConfigError) as error:
        load_policy(path, WORDS, find)
    message = str(error.value)
    assert message.startswith(f"{path}: {key}: ")
    assert hint in message
    assert not {"valid", "Input", "tuple", "integer"} & set(message.split())
