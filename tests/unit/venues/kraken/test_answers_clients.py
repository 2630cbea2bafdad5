"""Our answers, fed to the error handling of the real client libraries (docs/kraken.md §9)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import ccxt
import pytest
from kraken import exceptions as sdk
from kraken.base_api import ErrorHandler
from kraken.exceptions import EXCEPTION_ASSIGNMENT

from signer.errors import NotServed, Refused
from signer.model import Decision, RuleHit
from signer.policy.rules import denial as decided
from signer.venues.kraken import answers
from tests.unit.venues.kraken.asking import KRAKEN, LIMIT, NONCE, request


def denial(kind: Any, text: str) -> Refused:
    """The refusal of a decision that one rule denies."""
    return decided(Decision(False, (RuleHit("rule-7", False, text, kind),), (), (), "p", "h"))


def caught(endpoint: str, body: str) -> Refused:
    """The refusal of a request that is not understood."""
    with pytest.raises(Refused) as info:
        KRAKEN.parse(KRAKEN.decode(request(endpoint, body)))
    return info.value


CCXT = ccxt.kraken()
UNKNOWN_PAIR = "&".join(f"{name}={value}" for name, value in {**LIMIT, "pair": "FOOUSD", "nonce": NONCE}.items())

CASES = [
    (denial("feature", "x"), sdk.KrakenPermissionDeniedError, ccxt.PermissionDenied),
    (denial("limit", "x"), sdk.KrakenInvalidOrderError, ccxt.InvalidOrder),
    (denial("rate", "x"), sdk.KrakenRateLimitExceededError, ccxt.DDoSProtection),
    (denial("nothing", "x"), sdk.KrakenInvalidOrderError, ccxt.InvalidOrder),
    (NotServed.unavailable("the lane is full"), sdk.KrakenServiceUnavailableError, ccxt.ExchangeNotAvailable),
    (answers.invalid("x"), sdk.KrakenInvalidArgumentsError, ccxt.BadRequest),
    (caught("Nonsense", "nonce=1"), sdk.KrakenUnknownMethodError, ccxt.ExchangeError),
    (caught("Balance", ""), sdk.KrakenInvalidNonceError, ccxt.InvalidNonce),
    (caught("AddOrder", UNKNOWN_PAIR), sdk.KrakenUnknownAssetError, ccxt.ExchangeError),
    (caught("AddOrder", "nonce=1&volume:EOrder=1"), sdk.KrakenInvalidArgumentsError, ccxt.BadRequest),
]


def ccxt_raises(body: str) -> Exception:
    """What ccxt makes of a body with status 200."""
    with pytest.raises(ccxt.BaseError) as info:
        CCXT.handle_errors(200, "OK", "url", "POST", {}, body, json.loads(body), {}, "")
    error: Exception = info.value
    return error


def sdk_raises(body: str) -> Exception:
    """What python-kraken-sdk makes of a body with status 200."""
    with pytest.raises(Exception, match="error") as info:
        ErrorHandler().check(json.loads(body))
    return info.value


@pytest.mark.parametrize(("refused", "of_sdk", "of_ccxt"), CASES, ids=lambda case: str(case)[:60])
def test_each_refusal_raises_the_exception_that_fits(
    refused: Refused, of_sdk: type[Exception], of_ccxt: type[Exception]
) -> None:
    """The exception is the class itself, not a parent of it."""
    body = KRAKEN.refusal(refused).body.decode()
    assert type(sdk_raises(body)) is of_sdk
    assert type(ccxt_raises(body)) is of_ccxt


PHRASES = [*EXCEPTION_ASSIGNMENT, *CCXT.exceptions["exact"], *CCXT.exceptions["broad"]]
REFUSALS: list[tuple[Callable[[str], Refused], type[Exception], type[Exception]]] = [
    (lambda text: denial("feature", text), sdk.KrakenPermissionDeniedError, ccxt.PermissionDenied),
    (lambda text: denial("limit", text), sdk.KrakenInvalidOrderError, ccxt.InvalidOrder),
    (lambda text: denial("rate", text), sdk.KrakenRateLimitExceededError, ccxt.DDoSProtection),
    (lambda text: denial("nothing", text), sdk.KrakenInvalidOrderError, ccxt.InvalidOrder),
    (NotServed.unavailable, sdk.KrakenServiceUnavailableError, ccxt.ExchangeNotAvailable),
    (answers.invalid, sdk.KrakenInvalidArgumentsError, ccxt.BadRequest),
    (answers.unknown_pair, sdk.KrakenUnknownAssetError, ccxt.ExchangeError),
]


@pytest.mark.parametrize("phrase", PHRASES)
def test_no_phrase_in_a_reason_changes_the_exception(phrase: str) -> None:
    """Every phrase that the libraries know, whole, quoted and by its text alone, in every kind of reason."""
    for text in (phrase, f"the caller said {answers.quoted(phrase)}", phrase.rpartition(":")[2]):
        for refuse, of_sdk, of_ccxt in REFUSALS:
            body = KRAKEN.refusal(refuse(text)).body.decode()
            assert type(sdk_raises(body)) is of_sdk
            assert type(ccxt_raises(body)) is of_ccxt


def test_the_reason_is_in_the_exception_s_text() -> None:
    """The text of the exception shows the rule to whoever reads the bot's log."""
    body = KRAKEN.refusal(denial("feature", "XETHZUSD is not listed")).body.decode()
    for error in (sdk_raises(body), ccxt_raises(body)):
        assert "Policy rule-7: XETHZUSD is not listed" in str(error)
