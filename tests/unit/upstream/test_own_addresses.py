"""The way to the exchange: pinned addresses instead of the resolver's, and never back into the gateway."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from signer.errors import ConfigError, NotSent
from signer.upstream import UpstreamPool
from signer.upstream.own_addresses import OwnAddresses, refuse_loop
from tests.unit.upstream.certificates import Authority
from tests.unit.upstream.venue import Play, Venue, send


def own(*addresses: tuple[str, int]) -> OwnAddresses:
    """A gateway that listens there."""
    return OwnAddresses(frozenset(addresses))


@pytest.mark.parametrize(
    ("listening", "host", "port", "included"),
    [
        (("127.0.0.1", 443), "127.0.0.1", 443, True),
        (("127.0.0.1", 443), "::ffff:127.0.0.1", 443, True),
        (("127.0.0.1", 443), "127.0.0.1", 8443, False),
        (("127.0.0.1", 443), "127.0.0.2", 443, False),
        (("0.0.0.0", 443), "127.0.0.1", 443, True),
        (("::", 443), "127.0.0.1", 443, True),
        (("0.0.0.0", 443), "192.0.2.1", 443, False),
        (("0.0.0.0", 443), "127.0.0.1", 80, False),
    ],
)
def test_which_addresses_are_our_own(listening: tuple[str, int], host: str, port: int, included: bool) -> None:
    """The addresses listened on are ours; behind a wildcard all of this machine are, and none of another."""
    assert own(listening).include(host, port) is included


def test_own_addresses_are_those_of_bound_sockets(tmp_path: Path) -> None:
    """Ports that signer.toml left open included; unix sockets lead nowhere."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "bots"))
        assert OwnAddresses.of([tcp, unix]) == own(tcp.getsockname())


@pytest.mark.parametrize(
    ("origin", "addresses", "says"),
    [
        ("https://127.0.0.1", [], "accounts.main.origin: its name leads back to this gateway"),
        ("https://api.kraken.com", ["192.0.2.1", "127.0.0.1"], 'set resolve = ["…"] beside it, to the addresses that'),
        ("http://127.0.0.1:8787", [], "set origin to where the exchange is"),
    ],
)
def test_a_loop_is_refused_with_its_hint(origin: str, addresses: Sequence[str], says: str) -> None:
    """The loop is found by name, by pinned address and over plain HTTP."""
    with pytest.raises(ConfigError) as error:
        refuse_loop({"accounts.main.origin": (origin, addresses)}, own(("127.0.0.1", 443), ("127.0.0.1", 8787)), "toml")
    assert says in str(error.value)
    assert str(error.value).startswith("toml: ")


def test_what_leads_elsewhere_or_nowhere_is_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another port or address is no loop, and a name that does not resolve now does not stop the start."""

    def fails(*_: object, **__: object) -> None:
        raise socket.gaierror("no network")

    refuse_loop(
        {"one": ("https://127.0.0.1:8443", []), "two": ("https://x.test", ["127.0.0.2"])}, own(("127.0.0.1", 443)), ""
    )
    monkeypatch.setattr(socket, "getaddrinfo", fails)
    refuse_loop({"three": ("https://api.kraken.com", [])}, own(("127.0.0.1", 443)), "")


async def test_a_call_never_goes_to_ourselves(venue: Venue) -> None:
    """Found out at each new connection: the name may lead here only since a moment ago. No byte is sent."""
    upstream = UpstreamPool.open(venue.origin, own=own(("127.0.0.1", venue.port)))
    with pytest.raises(NotSent, match="its name leads back to this gateway"):
        await send(upstream)
    assert venue.received == []


async def test_pinned_addresses_are_asked_instead_of_the_resolver(tmp_path: Path) -> None:
    """The pinned addresses are tried in their order, and whoever answers must prove the origin's name."""
    authority = Authority(tmp_path)
    venue = Venue(tls=authority.server("api.kraken.test"), plays=[Play()])
    await venue.start()
    try:
        origin, addresses = f"https://api.kraken.test:{venue.port}", ["127.0.0.9", "127.0.0.1"]
        upstream = UpstreamPool.open(origin, addresses=addresses, ca_file=authority.file)
        assert (await send(upstream)).status == 200
        upstream.close()
        with pytest.raises(NotSent, match="does not prove that it is other"):
            await send(
                UpstreamPool.open(
                    f"https://other.kraken.test:{venue.port}", addresses=addresses, ca_file=authority.file
                )
            )
    finally:
        await venue.stop()
