"""Public calls: the allowlist, each way of asking, and that nothing of the client's bytes goes on."""

from __future__ import annotations

import pytest

from signer.errors import NotUnderstood
from signer.model import Request
from signer.venues.kraken.answers import words
from tests.harness.arriving import arriving
from tests.unit.venues.kraken.asking import FORM, JSON, KRAKEN


def ask(method: str, path: str, query: bytes = b"", body: bytes = b"", content_type: str = "") -> Request:
    """A public request with whatever credentials a careless client adds."""
    return arriving(method, path, query, content_type, "client-key", "client-sign", body, "127.0.0.1")


@pytest.mark.parametrize(
    "request_",
    [
        ask("GET", "/0/public/Ticker", b"pair=XBTUSD,ETH%2FUSD"),
        ask("POST", "/0/public/Ticker", body=b"pair=XBTUSD%2CETH/USD&nonce=123", content_type=FORM),
        ask("POST", "/0/public/Ticker", b"pair=XBTUSD,ETH/USD"),
        ask("POST", "/0/public/Ticker", body=b"&pair=XBTUSD,ETH/USD"),
    ],
    ids=["GET", "POST form with a needless nonce", "POST query", "POST without content type"],
)
def test_each_way_of_asking_becomes_one_get(request_: Request) -> None:
    """The request is written anew, without a header of the client's."""
    wire, _ = KRAKEN.public_request(request_)
    assert (wire.method, wire.target, wire.body) == ("GET", "/0/public/Ticker?pair=XBTUSD,ETH/USD", b"")
    assert [name for name, _ in wire.headers] == ["User-Agent"]


def test_a_long_list_of_pairs_does_not_grow() -> None:
    """A query that fits into a request line still fits when we have written it anew."""
    query = b"pair=" + b",".join([b"XBTUSD"] * 1100)
    wire, _ = KRAKEN.public_request(ask("GET", "/0/public/Ticker", query))
    assert wire.target == f"/0/public/Ticker?{query.decode()}"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_call_without_parameters_has_no_query(method: str) -> None:
    """A call for the time has no query."""
    assert KRAKEN.public_request(ask(method, "/0/public/Time"))[0].target == "/0/public/Time"


def test_json_is_refused_by_name() -> None:
    """No client sends it, and a form is what the reader takes it for."""
    with pytest.raises(NotUnderstood, match="not JSON"):
        KRAKEN.public_request(ask("POST", "/0/public/Time", body=b"nonce=1", content_type=JSON))


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (ask("GET", "/0/public/Nonsense"), "EGeneral:Unknown method"),
        (ask("GET", "/0/public/time"), "EGeneral:Unknown method"),
        (ask("GET", "/0/public/Time/"), "EGeneral:Unknown method"),
        (ask("GET", "/0/public/../private/Balance"), "EGeneral:Unknown method"),
        (ask("GET", "Time"), "EGeneral:Unknown method"),
        (ask("DELETE", "/0/public/Time"), "EGeneral:Unknown method"),
        (ask("GET", "/0/public/Ticker", b"pair[0]=XBTUSD"), "EGeneral:Invalid arguments"),
        (ask("GET", "/0/public/Ticker", b"pair%5B%5D=XBTUSD"), "EGeneral:Invalid arguments"),
        (ask("GET", "/0/public/Ticker", b"API-Key=abc"), "EGeneral:Invalid arguments"),
        (ask("GET", "/0/public/Ticker", b"pair=A&pair=B"), "EGeneral:Invalid arguments"),
        (ask("GET", "/0/public/Ticker", b"pair=A%0d%0aHost:%20x"), "EGeneral:Invalid arguments"),
        (ask("GET", "/0/public/Ticker", b"pair=A%26x"), "EGeneral:Invalid arguments"),
        (ask("GET", "/0/public/Ticker", b"pair=" + b"A" * 9000), "EGeneral:Invalid arguments"),
        (ask("GET", "/0/public/Ticker", b"pair=%D7%90"), "EGeneral:Invalid arguments"),
        (ask("POST", "/0/public/Ticker", b"pair=A", b"pair=B"), "EGeneral:Invalid arguments"),
        (ask("GET", "/0/public/Ticker", body=b"pair=B"), "EGeneral:Invalid arguments"),
        (ask("POST", "/0/public/Ticker", body=b'{"pair":"A"}', content_type=JSON), "EGeneral:Invalid arguments"),
        (ask("POST", "/0/public/Ticker", body=b"pair=A", content_type="text/plain"), "EGeneral:Invalid arguments"),
    ],
)
def test_what_is_not_on_the_list_is_refused(request_: Request, error: str) -> None:
    """An unknown path, method, parameter, value, size or encoding is refused."""
    with pytest.raises(NotUnderstood) as caught:
        KRAKEN.public_request(request_)
    assert words(caught.value)[0] == error


@pytest.mark.parametrize(
    ("query", "target", "dropped"),
    [
        (b"ticker_pair=XBTUSD", "?ticker_pair=XBTUSD", ()),
        (b"kwargs=%7B%7D&pair=XBTUSD", "?pair=XBTUSD&kwargs=%7B%7D", ()),
        (b"nonce=5&otp=123456&pair=XBTUSD", "?pair=XBTUSD", ()),
        (b"pair=XBTUSD&https%5BrejectUnauthorized%5D=false", "?pair=XBTUSD", ("https[rejectUnauthorized]",)),
        (b"a-b=1&long=" + b"x" * 200, "", ("a-b", "long")),
        (b"Pair=ETHUSD&pair=XBTUSD", "?pair=XBTUSD", ("Pair",)),
        (b"since=1616663618000", "?since=1616663618000", ()),
        (b"token=abc&users=all", "", ("token", "users")),
        (b"empty=&pair=XBTUSD", "?pair=XBTUSD", ()),
        (b"note=a%0d%0aHost:%20x&pair=XBTUSD", "?pair=XBTUSD", ("note",)),
    ],
)
def test_an_unknown_plain_parameter_is_written_anew_and_an_odd_one_is_dropped(
    query: bytes, target: str, dropped: tuple[str, ...]
) -> None:
    """A public call changes nothing, and a bot must not fail for a parameter that Kraken does not know."""
    wire, names = KRAKEN.public_request(ask("GET", "/0/public/Ticker", query))
    assert (wire.target, names) == (f"/0/public/Ticker{target}", dropped)
