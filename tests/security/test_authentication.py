"""Threat: somebody is taken for a client without holding its secret, uses a call of its again, or locks it out.

*Must hold* 1 and 7: an unknown key, a wrong signature, a call seen before, a revoked or expired credential and a
foreign address are refused, in the exchange's own words, before anything else happens.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from signer.cli.stage import signer
from signer.errors import NotAuthentic
from signer.gateway import authenticate
from signer.gateway.authenticate import KEY_FAILURES, LOCKOUT_S, SOURCE_FAILURES
from signer.gateway.source_rate import SOURCES
from signer.model import Request, Response
from signer.secret import Secret
from signer.serving.edge import Edge
from signer.venues import open_venue
from signer.venues.kraken.answers import words
from tests.harness.arriving import altered, arriving
from tests.harness.bots import Bot
from tests.harness.clocks import NOON_US, SetClock
from tests.harness.rig import Rig
from tests.harness.wire import ask, http
from tests.security.doorway import ACCEPTED, PATH, CountingKey, Doorway, request

LOCKOUT = "EGeneral:Temporary lockout"
KEY, SIGNATURE, NONCE = "EAPI:Invalid key", "EAPI:Invalid signature", "EAPI:Invalid nonce"
WRONG = "A" * 86 + "=="
NOW_MS = NOON_US // 1000


@pytest.fixture
def door() -> Doorway:
    """A fresh doorway."""
    return Doorway()


# Who is it?


@pytest.mark.parametrize("signature", [WRONG, "", "no base64!", "AAAA", "A" * 4000, WRONG + "\n", "é"])
async def test_an_unknown_key_costs_the_same_work_as_a_bad_signature(
    door: Doorway, monkeypatch: pytest.MonkeyPatch, signature: str
) -> None:
    """An unknown key costs one HMAC over the same message, so that time does not tell which keys exist."""
    nobody = CountingKey(Secret(bytes(64)).key())
    monkeypatch.setattr(authenticate, "dummy_key", lambda _: nobody)
    bot = door.bot()
    known, unknown = request(bot, 1, api_sign=signature), request(bot, 1, api_sign=signature, api_key="K" * 56)
    assert [await door.knock(known), await door.knock(unknown)] == [SIGNATURE, KEY]
    assert door.key(bot).messages == nobody.messages
    assert len(nobody.messages) == 1


async def test_nobody_signs_for_an_unknown_key(door: Doorway) -> None:
    """A signature with the dummy key, which is no secret, does not pass."""
    stranger = Bot("nobody", "K" * 56, "A" * 86 + "==")
    assert b64decode(stranger.api_secret) == bytes(64)
    assert await door.knock(request(stranger, 1)) == KEY


@pytest.mark.parametrize("key", ["", " ", "K" * 4000, "é", "\x00"])
async def test_odd_keys_are_unknown_keys(door: Doorway, key: str) -> None:
    """An absent, huge or strange key is an unknown key."""
    assert await door.knock(request(door.bot(), 1, api_key=key)) == KEY


async def test_a_signature_is_over_all_of_path_nonce_and_body(door: Doorway) -> None:
    """Another path, another byte of the body or another client's key is a bad signature."""
    bot, other = door.bot("one"), door.bot("two")
    good = request(bot, 5, {"asset": "XBT"})
    changes: list[dict[str, Any]] = [
        {"target": b"/0/private/Withdraw"},
        {"body": good.body.replace(b"XBT", b"ETH")},
        {"body": good.body.replace(b"nonce=5", b"nonce=6")},
        {"body": good.body + b"&a=1"},
        {"body": b"&" + good.body},
        {"headers": {**good.headers, "api-key": other.api_key}},
    ]
    assert [await door.knock(replace(good, **change)) for change in changes] == [SIGNATURE] * len(changes)
    assert await door.knock(good) == ACCEPTED


@pytest.mark.parametrize(
    ("about", "source"),
    [
        ({"revoked": True}, "127.0.0.1"),
        ({"expires_us": NOON_US}, "127.0.0.1"),
        ({"sources": (ip_network("10.0.0.0/8"),)}, "127.0.0.1"),
        ({"sources": (ip_network("10.0.0.0/8"),)}, ""),
        ({"sources": (ip_network("10.0.0.0/8"),)}, "::ffff:11.0.0.1"),
        ({"sources": (ip_network("fd00::/8"),)}, "10.0.0.1"),
    ],
    ids=["revoked", "expired", "address", "no address", "mapped address", "other family"],
)
async def test_a_credential_that_does_not_stand_is_an_unknown_key(
    door: Doorway, about: dict[str, Any], source: str
) -> None:
    """Only whoever holds the secret is told even that; a bad signature is a bad signature as ever."""
    bot = door.bot(**about)
    assert await door.knock(request(bot, 1, source=source, api_sign=WRONG)) == SIGNATURE
    assert await door.knock(request(bot, 2, source=source)) == KEY


async def test_a_credential_stands_until_it_expires_and_from_where_it_may(door: Doorway) -> None:
    """The other side of the same borders."""
    bot = door.bot(expires_us=NOON_US + 1, sources=(ip_network("10.0.0.0/8"),))
    assert await door.knock(request(bot, 1, source="10.255.0.1")) == ACCEPTED
    door.clock.us += 1
    assert await door.knock(request(bot, 2, source="10.255.0.1")) == KEY


def test_each_failed_login_is_audited_with_its_cause(rig: Rig) -> None:
    """What the client is not told the operator is: revoked, expired and foreign, under kind ``login-failed``."""
    revoked, expired, foreign = (
        rig.bot("tracker"),
        rig.bot("tracker", expires_us=1),
        rig.bot("tracker", sources=(ip_network("10.0.0.0/8"),)),
    )
    rig.update(revoked, revoked=True)
    for bot in (revoked, expired, foreign):
        with rig.nothing_arrives():
            assert rig.call(bot, "Balance") == [KEY]
    rig.restart()  # what is recorded in the background is on disk then
    listed = signer(rig.home.folder, "audit", "search", "--kind", "login-failed", "--json")
    details = [json.loads(line)["detail"] for line in listed.splitlines()]
    assert f"client {revoked.name} is revoked" in details
    assert f"client {expired.name} has expired" in details
    assert f"client {foreign.name} is not allowed from this address" in details


MALFORMED = [
    b"nonce=7&asset=XBT&asset=ETH",
    b"asset=%zz&nonce=7",
    b"&nonce=7&x=\xff",
    b'{"nonce": "7", "asset": "XBT", "asset": "ETH"}',
    b'{"asset":1e5,"nonce":7}',
]


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_call_is_named_for_its_author_only_if_the_signature_holds(door: Doorway, body: bytes) -> None:
    """Anybody can write to a client's key; only its holder can sign. The nonce is not used up by it."""
    bot, other = door.bot("one"), door.bot("two")
    signed = arriving("POST", PATH, b"", "", bot.api_key, bot.sign(PATH, "7", body), body, "127.0.0.1")
    author = door.authenticator.author(signed, door.snapshot())
    assert author is not None
    assert author.info.name == "one"
    forged = [
        altered(signed, api_sign=WRONG),
        altered(signed, api_key=other.api_key),
        altered(signed, api_key="unknown"),
        replace(signed, body=body + b" "),
        replace(signed, body=body.replace(b"nonce", b"once")),
        altered(signed, path="/0/private/Withdraw"),
    ]
    assert [door.authenticator.author(each, door.snapshot()) for each in forged] == [None] * len(forged)


def test_a_refusal_while_decoding_is_logged_with_the_client_s_name(rig: Rig) -> None:
    """An operator sees whose bot sends what cannot be read; a forged call stands without a name."""
    bot, path, body = rig.bot("tracker"), "/0/private/Balance", b"nonce=1&asset=XBT&asset=ETH"
    for signature in (bot.sign(path, "1", body), WRONG):
        answer = ask(rig.url, http("POST", path, body, f"API-Key: {bot.api_key}", f"API-Sign: {signature}"))
        assert answer is not None
        assert answer.errors[0] == "EGeneral:Invalid arguments"
    rig.restart()  # what is recorded in the background is on disk then
    lines = signer(rig.home.folder, "audit", "search", "--kind", "denied", "--json").splitlines()
    denied = [json.loads(line) for line in lines if "given twice" in line and '"asset' in line.replace("\\", "")]
    assert [each["client"] for each in denied[-2:]] == [bot.name, ""]


# Replay


@pytest.mark.parametrize("ahead_ms", [0, 3 * 24 * 3600 * 1000], ids=["used before", "far in the future"])
async def test_the_log_names_the_client_whose_nonce_is_refused(door: Doorway, ahead_ms: int) -> None:
    """The operator learns which bot it is and why; the bot hears Kraken's words."""
    bot = door.bot("clockwork")
    assert await door.knock(request(bot, NOW_MS)) == ACCEPTED
    with pytest.raises(NotAuthentic) as refused:
        await door.authenticator.authenticate(request(bot, NOW_MS + ahead_ms), door.snapshot())
    assert words(refused.value) == (NONCE,)
    assert refused.value.detail.startswith("client clockwork: the nonce ")


async def test_a_call_is_accepted_once(door: Doorway) -> None:
    """The same bytes are refused again, at once, together, and under another spelling of the same signature."""
    bot = door.bot()
    calls = [request(bot, NOW_MS + n) for n in range(3)]
    assert sorted(await asyncio.gather(*(door.knock(calls[0]) for _ in range(5)))) == [NONCE] * 4 + [ACCEPTED]
    assert await door.knock(calls[1]) == ACCEPTED
    assert await door.knock(calls[1]) == NONCE
    respelled = altered(calls[2], api_sign=_respelled(calls[2].headers["api-sign"]))
    assert b64decode(respelled.headers["api-sign"]) == b64decode(calls[2].headers["api-sign"])
    assert [await door.knock(calls[2]), await door.knock(respelled)] == [ACCEPTED, NONCE]


def _respelled(signature: str) -> str:
    """Return another base64 text of the same 64 bytes: four bits of the last letter mean nothing."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(signature[-3])
    return signature[:-3] + alphabet[last ^ 1] + "=="


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000, 10**9], ids=["s", "ms", "us", "ns"])
async def test_a_call_is_a_replay_after_a_restart_too(door: Doorway, unit: int) -> None:
    """A replayed call is refused after a restart in every unit that clients count in; a call of two seconds later
    passes."""
    bot = door.bot()
    nonce = NOON_US // 1_000_000 * unit
    used = [request(bot, nonce + n) for n in (0, 2, 1)]
    assert [await door.knock(call) for call in used] == [ACCEPTED] * 3
    door.restart()
    assert [await door.knock(call) for call in used] == [NONCE] * 3
    assert await door.knock(request(bot, nonce + 3 * unit + 3)) == ACCEPTED


def test_a_captured_call_is_useless_whenever_it_is_sent_again(rig: Rig) -> None:
    """Over real sockets and a real restart: refused, and the exchange hears nothing."""
    bot = rig.bot("tracker")
    captured = [bot.request("Balance") for _ in range(3)]
    assert [answer.errors for data in captured if (answer := ask(rig.url, data))] == [[], [], []]
    with rig.nothing_arrives():
        assert {tuple(answer.errors) for data in captured if (answer := ask(rig.url, data))} == {(NONCE,)}
        rig.restart()
        assert {tuple(answer.errors) for data in captured if (answer := ask(rig.url, data))} == {(NONCE,)}
    assert rig.call(bot, "Balance") == []


async def test_the_same_nonce_under_another_signature_is_another_call(door: Doorway) -> None:
    """Bots that count bare milliseconds repeat one (quirk 14); only the secret's owner can have signed it."""
    bot = door.bot()
    one, two = request(bot, NOW_MS, {"asset": "XBT"}), request(bot, NOW_MS, {"asset": "ETH"})
    assert [await door.knock(call) for call in (one, two, one, two)] == [ACCEPTED, ACCEPTED, NONCE, NONCE]


async def test_strict_is_the_exchanges_own_rule(door: Doorway) -> None:
    """With ``nonces = "strict"`` only a nonce above the last one passes, whatever the signature."""
    bot = door.bot(nonces="strict")
    calls = [request(bot, NOW_MS), request(bot, NOW_MS, {"asset": "XBT"}), request(bot, NOW_MS - 1)]
    assert [await door.knock(call) for call in calls] == [ACCEPTED, NONCE, NONCE]


async def test_a_nonce_that_cannot_be_stored_is_not_accepted(door: Doorway) -> None:
    """*Must hold* 3: else the call could be played again after a crash."""
    bot = door.bot()
    door.marks.broken = True
    assert await door.knock(request(bot, NOW_MS)) == "EService:Unavailable"
    door.marks.broken = False
    assert await door.knock(request(bot, NOW_MS)) == NONCE
    assert await door.knock(request(bot, NOW_MS + 1)) == ACCEPTED


async def test_a_new_credential_begins_anew(door: Doorway) -> None:
    """A new credential may count in a smaller unit, and the old one's calls stay refused."""
    old = door.bot("bot")
    call = request(old, NOON_US * 1000)
    assert await door.knock(call) == ACCEPTED
    assert await door.knock(request(door.bot("bot"), NOW_MS)) == ACCEPTED
    assert await door.knock(call) == NONCE


# Harm to others


async def test_a_refused_call_uses_up_no_nonce(door: Doorway) -> None:
    """A caller who cannot sign moves neither a client's nonces nor its stored mark."""
    bot, other = door.bot("one"), door.bot("two")
    assert await door.knock(request(bot, 2**64 - 1, api_sign=WRONG)) == SIGNATURE
    assert await door.knock(altered(request(other, 2**64 - 1), api_key=bot.api_key)) == SIGNATURE
    assert door.marks.kept == {}
    assert await door.knock(request(bot, 1)) == ACCEPTED


async def test_clients_do_not_touch_each_others_nonces(door: Doorway) -> None:
    """A high nonce of one leaves the lowest of another free, after a restart too."""
    one, two = door.bot("one"), door.bot("two")
    assert await door.knock(request(one, NOON_US * 10_000)) == ACCEPTED
    assert await door.knock(request(two, 1)) == ACCEPTED
    door.restart()
    assert await door.knock(request(two, 2)) == ACCEPTED


async def test_nobody_can_lock_a_client_out(door: Doorway) -> None:
    """Failures in its name, from its own address, are answered as a lockout; its good signature passes all the same."""
    bot, other = door.bot("one"), door.bot("two")
    answers = [await door.knock(request(bot, 1, api_sign=WRONG)) for _ in range(KEY_FAILURES + 5)]
    assert answers == [SIGNATURE] * KEY_FAILURES + [LOCKOUT] * 5
    assert await door.knock(request(bot, 1)) == ACCEPTED
    assert await door.knock(request(bot, 2, api_sign=WRONG, source="10.0.0.1")) == SIGNATURE
    assert await door.knock(request(other, 1, api_sign=WRONG)) == SIGNATURE
    door.clock.us += LOCKOUT_S * 1_000_000
    assert await door.knock(request(bot, 2, api_sign=WRONG)) == SIGNATURE


async def test_a_source_that_sprays_keys_is_locked_out_without_any_work(
    door: Doorway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each unknown key fails once, none thirty times: the source's own bound holds, and then no HMAC is computed."""
    nobody = CountingKey(Secret(bytes(64)).key())
    monkeypatch.setattr(authenticate, "dummy_key", lambda _: nobody)
    template = request(door.bot(), 1)
    sprayed = [altered(template, api_key=f"{number:056}") for number in range(SOURCE_FAILURES + 50)]
    assert [await door.knock(each) for each in sprayed] == [KEY] * SOURCE_FAILURES + [LOCKOUT] * 50
    assert len(nobody.messages) == SOURCE_FAILURES
    assert await door.knock(replace(sprayed[0], source="10.0.0.1")) == KEY
    door.clock.us += 1_000_000
    per_second = SOURCE_FAILURES // LOCKOUT_S
    assert [await door.knock(each) for each in sprayed[:3]] == [KEY] * per_second + [LOCKOUT] * (3 - per_second)


async def test_a_bot_at_the_address_of_a_spray_goes_on(door: Doorway) -> None:
    """All bots of one machine share 127.0.0.1: a good signature passes, and only failures hear of the lockout."""
    bot, other = door.bot("one"), door.bot("two")
    for number in range(SOURCE_FAILURES * 2):
        await door.knock(request(other, 1, api_key=f"{number:056}"))
        assert await door.knock(request(bot, number + 1)) == ACCEPTED
    assert await door.knock(request(other, 1, api_sign=WRONG)) == LOCKOUT
    assert await door.knock(request(other, 1)) == ACCEPTED


async def test_a_failing_source_is_alarmed_once_in_a_while(door: Doorway) -> None:
    """Once when it is locked out, once again after a minute of it, and for each source; never its key."""
    template = request(door.bot(), 1)
    for minute in range(2):
        for number in range(SOURCE_FAILURES * 2):
            await door.knock(altered(template, api_key=f"{number:056}"))
        assert len(door.alarms) == minute + 1
        door.clock.us += LOCKOUT_S * 1_000_001
    for number in range(SOURCE_FAILURES + 1):
        await door.knock(altered(replace(template, source="10.0.0.1"), api_key=f"{number:056}"))
    assert [text.split()[0] for text in door.alarms] == ["loopback", "loopback", "10.0.0.1"]
    assert not any("0" * 9 in text for text in door.alarms)


async def test_what_is_remembered_of_failures_is_bounded(door: Doorway) -> None:
    """A flood of made-up keys and addresses takes the place of older ones."""
    template = request(door.bot(), 1)
    for number in range(SOURCES + 100):
        await door.knock(
            altered(replace(template, source=f"10.{number % 40}.{number // 40}.1"), api_key=f"{number:0560}")
        )
    assert len(door.authenticator._of_key._buckets) == len(door.authenticator._of_source._buckets) == SOURCES
    assert max(len(key) for _, key in door.authenticator._of_key._buckets) <= 64


# Time


@pytest.mark.parametrize(("took", "waited"), [(0.0, 0.0011), (0.0004, 0.0007), (0.0011, 0.0), (0.5, 0.0)])
@pytest.mark.parametrize("ours", [True, False])
async def test_our_own_answers_leave_no_sooner_than_1_1_ms(
    monkeypatch: pytest.MonkeyPatch, ours: bool, took: float, waited: float
) -> None:
    """Our own answers wait for 1.1 ms, so that a client that counts milliseconds repeats no nonce (quirk 14)."""
    clock, slept = SetClock(), list[float]()

    async def answer(_: Request) -> Response:
        clock.us += round(took * 1_000_000)
        return Response(200, "application/json", b"{}", ours=ours)

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 6))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(*_: Any) -> None:
        return None

    monkeypatch.setattr(asyncio, "sleep", sleep)
    edge = Edge(
        open_venue("kraken"), answer, answer, lambda _: None, clock=clock, body_seconds=1, on_defect=pytest.fail
    )
    scope: dict[str, Any] = {
        "method": "POST",
        "raw_path": b"/0/private/Balance",
        "query_string": b"",
        "client": None,
        "headers": [],
    }
    await edge(scope, receive, send)
    assert slept == ([waited] if ours and waited else [])
