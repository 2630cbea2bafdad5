"""Makes the running gateway read its home again, and waits until it has."""

from __future__ import annotations

import contextlib
import os
import time

from signer.errors import ConfigError, HomeError, SignerError
from signer.home.layout import Home
from signer.home.lock import RELOAD, Holder, holder, read_load
from signer.home.settings import load_config
from signer.operator.person import Person
from signer.operator.session import Session

RELOAD_S = 10.0
LOOK_EVERY_S = 0.02


def take_up(session: Session, what: str) -> bool:
    """Make a running gateway take up the change ``what``; whether one runs.

    Raises `HomeError` if it did not take it up, with a warning that the change is saved.
    """
    try:
        done = reload_running(session.home, session.person)
    except SignerError:
        session.person.warn(
            f"{what} is saved, but the running gateway goes on without it; run `signer reload` when fixed"
        )
        raise
    if done:
        session.person.note(done)
    return done is not None


def reload_running(home: Home, person: Person) -> str | None:
    """Make the gateway on ``home`` reload, and wait until it has. Return a line that says so, or None if none runs.

    Raises `HomeError` if it did not take the change up; the old settings are then still in force.
    """
    until = time.monotonic() + RELOAD_S
    running = _serving(home, until)
    if running is None:
        return None
    before = read_load(home.state)
    os.kill(running.pid, RELOAD)
    while time.monotonic() < until:
        now = read_load(home.state)
        if now is not None and now != before:
            if now.error:
                hint = "fix it and run `signer reload`; the gateway goes on with its old settings"
                raise HomeError(f"the running gateway did not take this up: {now.error}", hint=hint)
            for text in (*(f"refused: {each}" for each in now.refused), *now.broken, *now.unused):
                person.warn(text)
            return f"the gateway on {running.told} has taken it up"
        time.sleep(LOOK_EVERY_S)
    hint = "look at its log; the change is stored and will be in force after a restart"
    raise HomeError("the running gateway did not answer the reload", where=str(home.folder), hint=hint)


def reload_home(session: Session) -> bool:
    """Make the running gateway read its home again, after a fetch of the exchange's list of pairs.

    Return whether every client's policy loaded. Raises `HomeError` if no gateway runs.
    """
    from signer.operator.pairs_list import current_venues, warn_of_unlisted  # noqa: PLC0415 - a brake reloads without it

    home, person = session.home, session.person
    if holder(home.lock) is not None:
        with contextlib.suppress(ConfigError):  # the gateway says it too, and then `status` knows of the failed reload
            current_venues(home, load_config(home.config), person)
    done = reload_running(home, person)
    if done is None:
        raise HomeError("no gateway runs on this home", where=str(home.folder), hint="start it with `signer serve`")
    warn_of_unlisted(home, person)
    person.say(done)
    load = read_load(home.state)
    return load is None or not load.broken


def _serving(home: Home, until: float) -> Holder | None:
    """Wait until the gateway on ``home`` serves and return its process; None if none runs.

    A gateway that starts may have read the home before the change, and the signal would end it. Raises `HomeError` if
    it does not serve in time, as when it waits for its passphrase.
    """
    while (running := holder(home.lock)) is not None and not running.serves:
        if time.monotonic() >= until:
            hint = "run `signer reload` when it is ready"
            raise HomeError(f"the gateway (process {running.pid}) is still starting", where=str(home.folder), hint=hint)
        time.sleep(LOOK_EVERY_S)
    return running
