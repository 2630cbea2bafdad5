"""Judges whether a real key fits the settings: as powerful as the calls that it signs need, and no more.

A key is refused for a permission that is dangerous in itself: a thief of the key, or a defect of ours, could take money
out of the account or lock it up. A permission that is merely not needed is a warning, because the need changes with
each client, and a revoked bot must not stop the others. This module is pure; `signer.keycheck.probe` asks the venue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from signer.contracts import Venue
from signer.findings import Finding, Weight
from signer.gateway.credential import roles_of
from signer.home.settings import Config
from signer.model import Action, Call, ClientInfo, CredentialInfo, KeyInfo, Role
from signer.policy.policy import Policy

SOON_US = 14 * 24 * 3600 * 1_000_000
"""A key that ends within two weeks should be rotated now."""
KINDS = (
    "may-withdraw",
    "may-earn",
    "unknown-permission",
    "unused-permission",
    "missing-permission",
    "waiver-unneeded",
    "any-address",
    "nonce-window",
    "expires",
    "used-elsewhere",
    "another-account",
)
"""Every kind of finding about a key, except that all is well."""
MOST_WORD = 40
"""Characters shown of a permission that the venue names: it is the venue's text, not ours."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """The needs of the settings for one credential."""

    credential: str
    serves: bool = False
    """Whether any client calls through its account. A key without clients has no permission too many."""
    usable: frozenset[str] = frozenset()
    """Permissions that some call of some client can need of it."""
    promised: Mapping[str, Sequence[frozenset[str]]] = field(default_factory=dict)
    """The sets of permissions by policy: its calls need one of each set."""
    looked_up: Sequence[frozenset[str]] = ()
    """Sets of permissions. The gateway's own look-ups of lost orders need one of each set."""
    waived: Mapping[str, str] = field(default_factory=dict)
    """Permissions that it may have all the same, with the reason."""
    excess: Weight = Weight.WARNING
    """How much it matters that the key may do more than is usable, as ``gateway.excess_permissions`` says."""


def requirements_of(
    credentials: Sequence[CredentialInfo],
    clients: Iterable[tuple[ClientInfo, Policy]],
    venues: Mapping[str, Venue],
    waivers: Mapping[str, Mapping[str, str]],
    now_us: int,
    excess: Weight = Weight.WARNING,
) -> Mapping[str, Requirements]:
    """Return the needs for each credential, by its name, of the clients that may call now.

    ``venues`` are those of the accounts, by account. A credential of no such account is left out.
    """
    live = [(info, policy) for info, policy in clients if not info.revoked and not _over(info, now_us)]
    asked = [
        _required(info, credentials, live, venues[info.account], waivers.get(info.name, {}))
        for info in credentials
        if info.account in venues
    ]
    return {requirements.credential: replace(requirements, excess=excess) for requirements in asked}


def requirements_in(
    config: Config,
    credentials: Sequence[CredentialInfo],
    clients: Iterable[ClientInfo],
    policies: Mapping[str, Policy],
    venues: Mapping[str, Venue],
    now_us: int,
) -> Mapping[str, Requirements]:
    """Return the settings' needs for each credential, by its name. A client without its policy needs nothing.

    ``venues`` are those that are known, by name.
    """
    of_accounts = {name: venues[each.venue] for name, each in config.accounts.items() if each.venue in venues}
    held = [(info, policies[info.policy]) for info in clients if info.policy in policies]
    excess = Weight.REFUSED if config.gateway.excess_permissions == "refuse" else Weight.WARNING
    return requirements_of(credentials, held, of_accounts, config.waivers, now_us, excess)


def judge_key(
    key: KeyInfo | None,
    requirements: Requirements,
    venue: Venue,
    now_us: int,
    *,
    moved: bool,
    others: Mapping[str, str],
) -> tuple[Finding, ...]:
    """Judge the venue's last answer about a key. Without any problem, the one finding is that all is well.

    ``moved`` says that its nonce rose without our calls. ``others`` are the other credentials of its account here, each
    with the account at the venue that its key is of.
    """
    about = f"credential {requirements.credential}"
    judged = _judged(key, requirements, venue, now_us) if key is not None else ()
    found = [Finding(weight, kind, about, what, hint) for weight, kind, what, hint in judged]
    if key is not None and not found:
        found = [Finding(Weight.FINE, "fit", about, f"may do what it must ({_listed(key.permissions)})")]
    return (*found, *judge_use(requirements.credential, key, moved=moved, others=others))


def judge_use(name: str, key: KeyInfo | None, *, moved: bool, others: Mapping[str, str]) -> Iterator[Finding]:
    """Judge a key without knowing the settings' needs for it, otherwise as `judge_key`."""
    about = f"credential {name}"
    stranger = next((other for other, account in others.items() if key and _differ(account, key.account)), "")
    if stranger:
        what = f"is of another account at the exchange than {stranger}, so orders would go to either"
        hint = f"take it back with `signer keys remove {name}`, and give it an account of its own in signer.toml"
        yield Finding(Weight.ERROR, "another-account", about, what, hint)
    if moved:
        what = "is used by another program too: its nonce at the exchange moved without us"
        hint = "make a key for each program; one that this gateway alone has is never refused for its nonce"
        yield Finding(Weight.WARNING, "used-elsewhere", about, what, hint)


def _differ(one: str, other: str) -> bool:
    """Tell whether these are two accounts at the venue. An account that the venue did not name may be any."""
    return bool(one and other) and one != other


def _over(client: ClientInfo, now_us: int) -> bool:
    return client.expires_us is not None and client.expires_us <= now_us


_Judged = tuple[Weight, str, str, str]


def _judged(key: KeyInfo, requirements: Requirements, venue: Venue, now_us: int) -> Iterator[_Judged]:
    yield from _too_powerful(key, requirements, venue)
    yield from _too_weak(frozenset(key.permissions), requirements)
    yield from _expiring(key, now_us)
    if key.nonce_window:
        what = f"has a nonce window of {key.nonce_window}: a captured call could be sent once more within it"
        yield Weight.WARNING, "nonce-window", what, "set it to 0 at the exchange, unless lane_depth is above 1"
    if not key.sources:
        what = "may be used from any address"
        yield Weight.WARNING, "any-address", what, "allow only the address of this machine, at the exchange"
    unneeded = sorted(set(requirements.waived) - set(key.permissions))
    if unneeded:
        what = f"does not have what is waived for it: {_listed(unneeded)}"
        yield Weight.WARNING, "waiver-unneeded", what, f"remove that from [waivers.{requirements.credential}]"


def _too_powerful(key: KeyInfo, requirements: Requirements, venue: Venue) -> Iterator[_Judged]:
    """Refuse permissions that are dangerous in themselves, whatever the clients are."""
    excess = frozenset(key.permissions) - requirements.waived.keys()
    unknown, withdrawing, earning = excess - venue.permissions, excess & venue.withdrawing, excess & venue.earning
    if withdrawing:
        what = f"may take money out of the account ({_listed(withdrawing)})"
        yield Weight.REFUSED, "may-withdraw", what, _waiver(requirements, withdrawing)
    if earning:
        what = f"may move funds into Earn, where they can be locked ({_listed(earning)})"
        yield Weight.REFUSED, "may-earn", what, _waiver(requirements, earning)
    if unknown:
        what = f"has permissions that this version does not know ({_listed(unknown)})"
        yield Weight.REFUSED, "unknown-permission", what, _waiver(requirements, unknown)
    unused = excess - unknown - withdrawing - earning - requirements.usable
    if requirements.serves and unused:
        what = f"may do more than any client of it can use ({_listed(unused)})"
        yield requirements.excess, "unused-permission", what, _waiver(requirements, unused)


def _too_weak(held: frozenset[str], requirements: Requirements) -> Iterator[_Judged]:
    for policy, needs in requirements.promised.items():
        missing = _missing(needs, held)
        if missing:
            what = f"may not do what policy {policy} promises ({missing})"
            yield Weight.ERROR, "missing-permission", what, "give it that at the exchange, or take it out of the policy"
    missing = _missing(requirements.looked_up, held)
    if missing:
        what = f"cannot look up orders whose answer was lost ({missing})"
        yield (
            Weight.ERROR,
            "missing-permission",
            what,
            "give it that at the exchange, or what it would charge stays held",
        )


def _missing(needs: Iterable[frozenset[str]], held: frozenset[str]) -> str:
    """Name the sets of which the key has no permission, but not a set of which a part is named already."""
    unmet = {need for need in needs if not need & held}
    least = [need for need in unmet if not any(other < need for other in unmet)]
    return ", ".join(sorted(" or ".join(sorted(need)) for need in least))


def _expiring(key: KeyInfo, now_us: int) -> Iterator[_Judged]:
    if key.expires_us is None or key.expires_us - now_us > SOON_US:
        return
    when = datetime.fromtimestamp(key.expires_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    weight, verb = (Weight.WARNING, "expires") if key.expires_us > now_us else (Weight.ERROR, "has expired")
    yield weight, "expires", f"{verb} on {when}", "make a new one at the exchange, then `signer keys rotate`"


def _waiver(requirements: Requirements, words: Iterable[str]) -> str:
    example = " ".join(f'{_shown(word)} = "reason"' for word in sorted(words)[:1])
    return f"take that away at the exchange, or waive it in signer.toml: [waivers.{requirements.credential}] {example}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(map(_shown, sorted(words))) or "nothing"


def _shown(word: str) -> str:
    """Return a permission as the venue spells it, fit for a terminal and a log."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in word[:MOST_WORD])


def _required(
    info: CredentialInfo,
    credentials: Sequence[CredentialInfo],
    clients: Sequence[tuple[ClientInfo, Policy]],
    venue: Venue,
    waived: Mapping[str, str],
) -> Requirements:
    present = {other.role for other in credentials if other.account == info.account}
    policies = {policy.name: policy for client, policy in clients if client.account == info.account}
    usable: set[str] = set()
    promised: dict[str, list[frozenset[str]]] = {}
    looked_up: list[frozenset[str]] = []
    for name, policy in policies.items():
        for call in venue.reach(policy.permissions):
            if _signer_of(call, present) is info.role:
                usable.update(*(need & policy.permissions for need in call.needs))
                promised.setdefault(name, []).extend(call.needs)
        if any(call.action is Action.ORDER for call in venue.reach(policy.permissions)):
            looked_up = [
                need for call in venue.lookup_reach() if _signer_of(call, present) is info.role for need in call.needs
            ]
    usable.update(*looked_up)
    return Requirements(info.name, bool(policies), frozenset(usable), promised, looked_up, waived)


def _signer_of(call: Call, present: Set[Role]) -> Role | None:
    """Return the role whose credentials sign such a call, if the account has those of ``present``."""
    return next((role for role in roles_of(call) if role in present), None)
