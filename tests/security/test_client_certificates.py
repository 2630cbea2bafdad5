"""Threat: a stolen API key and secret, used from elsewhere. With client certificates they are worth nothing alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from signer.serving.protocol import _common_name
from tests.security.doorway import ACCEPTED, Doorway, request

INVALID = "EAPI:Invalid key"


@pytest.mark.parametrize("name", ["", "other", "Grid", "grid ", "grid\0", "*"])
async def test_another_certificate_opens_nothing(name: str) -> None:
    """Only the client's own name will do, spelt exactly; a certificate without one name is nobody's."""
    door = Doorway()
    bot = door.bot()
    shown = replace(request(bot, 1), certified=name)
    assert await door.knock(shown) == INVALID
    assert await door.knock(replace(request(bot, 2), certified=bot.name)) == ACCEPTED


async def test_where_none_is_asked_for_none_is_needed() -> None:
    """A plain listener has no certificate to compare."""
    door = Doorway()
    assert await door.knock(request(door.bot(), 1)) == ACCEPTED


async def test_a_certificate_does_not_stand_in_for_a_signature() -> None:
    """The right certificate with a wrong signature says what a wrong signature says."""
    door = Doorway()
    bot = door.bot()
    forged = replace(request(bot, 1, api_sign="AAAA"), certified=bot.name)
    assert await door.knock(forged) == "EAPI:Invalid signature"


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        (((("commonName", "grid"),),), "grid"),
        (((("organizationName", "grid"),), (("commonName", "bot"),)), "bot"),
        (((("commonName", "grid"),), (("commonName", "other"),)), ""),
        (((("commonName", "grid"), ("commonName", "other")),), ""),
        (((("organizationName", "grid"),),), ""),
        ((), ""),
    ],
)
def test_a_subject_with_two_names_has_none(subject: tuple[tuple[tuple[str, str], ...], ...], name: str) -> None:
    """Which of two counts is what two readers could understand differently."""
    assert _common_name({"subject": subject}) == name
