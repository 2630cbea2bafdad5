"""Public calls: the allowlist, each way of asking, and that nothing of the client's bytes goes on."""

from __future__ import annotations

import pytest

from signer.errors import NotUnderstood
from signer.model import Request
from tests.unit.kraken.asking import FORM, JSON, KRAKEN


def ask(method: str, path: str, query: bytes = b"", body: bytes = b"", content_type: str = "") -> Request:
    """A public request with whatever credentials a careless client adds."""
    return Request(method, path, query, content_type, "client-key", "client-sign", body, "127.0.0.1")


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
    """Written anew by us, without a header of the client's."""
    wire = KRAKEN.public_request(request_)
    assert (wire.method, wire.target, wire.body) == ("GET", "/0/public/Ticker?pair=XBTUSD%2CETH%2FUSD", b"")
    assert [name for name, _ in wire.headers] == ["User-Agent"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_call_without_parameters_has_no_query(method: str) -> None:
    """As for the time."""
    assert KRAKEN.public_request(ask(method, "/0/public/Time")).target == "/0/public/Time"


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
        (ask("GET", "/0/public/Time", b"pair=XBTUSD"), "EGeneral:Invalid arguments"),
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
    """Path, method, parameter, value, size and encoding."""
    with pytest.raises(NotUnderstood) as caught:
        KRAKEN.public_request(request_)
    assert caught.value.answer[0] == error
