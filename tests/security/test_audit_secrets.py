"""Threat: a secret reaches the audit log through a field that should not have been given (docs/threat-model.md)."""

from __future__ import annotations

import pytest

from signer.audit.chain import REDACTED, fit
from signer.model import Json
from tests.unit.audit.given import entry, new_journal
from tests.unit.audit.worse_disk import WorseDisk

CANARY = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRz"
NAMES = ["api_sign", "api_secret", "api_key", "secret", "token", "otp", "passphrase", "password", "API-Sign", "API-Key"]


@pytest.mark.parametrize("name", [*NAMES, "key"])
@pytest.mark.parametrize("background", [True, False])
async def test_nothing_under_a_secrets_name_is_written(name: str, background: bool) -> None:
    """A value under such a name, at any depth and of any shape, is not in any file of the log."""
    disk = WorseDisk()
    journal = new_journal(disk, [])
    await journal.open()
    given: dict[str, Json] = {**entry(), name: CANARY, "fields": {"orders": [{name: [CANARY]}, {name: {"in": CANARY}}]}}
    if background:
        journal.note(given)
    else:
        await journal.record(given)
    await journal.close()
    written = b"".join(bytes(inode.seen) for inode in disk.files.values())
    assert CANARY.encode() not in written
    assert written.count(REDACTED.encode()) == 3


def test_the_name_of_a_withdrawal_address_stays() -> None:
    """Kraken's Withdraw names its address in ``key``: which one a thief asked for is what the log is for."""
    assert fit({"fields": {"key": "mallory's wallet"}}) == {"fields": {"key": "mallory's wallet"}}


async def test_no_secret_in_the_error_of_an_unfit_entry() -> None:
    """The error for an entry that cannot be recorded does not quote its values."""
    alarms: list[str] = []
    journal = new_journal(WorseDisk(), alarms)
    await journal.open()
    bad: list[Json] = [CANARY, CANARY.encode()]  # type: ignore[list-item]  # bytes are the fault
    journal.note({**entry(), "fields": {"nonsense": bad}})
    await journal.close()
    assert len(alarms) == 1
    assert CANARY not in alarms[0]
