"""Judges whether a real key fits the settings: as powerful as the calls that it signs need, and no more.

A key is refused for what is dangerous in itself: with it a thief of the key, or a defect of ours, could take money out
of the account or lock it up. What is merely more than needed is a warning, because who needs what changes with each
client: to revoke one bot must not stop the others. Pure: what the venue says of a key comes from
`signer.keycheck.probe`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from signer.contracts import Venue
from signer.findings import Finding, Weight
from signer.gateway.credential import roles_of
from signer.model import Action, Call, ClientInfo, CredentialInfo, KeyInfo, Role
from signer.policy.policy import Policy

SOON_US = 14 * 24 * 3600 * 1_000_000
"""A key that ends within a fortnight is to be rotated now."""
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
)
"""Every kind of finding about a key, but that all is well."""
MOST_WORD = 40
"""Characters shown of a permission that the venue names: it is the venue's text, not ours."""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the settings ask of one credential."""

    credential: str
    serves: bool = False
    """Whether any client calls through its account: of a key that nobody uses nothing can be too much."""
    usable: frozenset[str] = frozenset()
    """Permissions that some call of some client can need of it."""
    promised: Mapping[str, Sequence[frozenset[str]]] = field(default_factory=dict)
    """By policy: of each set, its calls need one."""
    looked_up: Sequence[frozenset[str]] = ()
    """Of each set, the gateway's own reads need one: they find out what became of an order whose answer was lost."""
    waived: Mapping[str, str] = field(default_factory=dict)
    """Permissions that it may have all the same, with the reason."""
    excess: Weight = Weight.WARNING
    """How much it matters that the key may do more than is usable, as ``gateway.excess_permissions`` says."""


def requirements_of(
    credentials: Sequence[CredentialInfo],
    clients: Iterable[tuple[ClientInfo, Policy]],
    venue: Venue,
    waivers: Mapping[str, Mapping[str, str]],
    now_us: int,
    excess: Weight = Weight.WARNING,
) -> Mapping[str, Requirements]:
    """What is asked of each credential, by its name, for the clients that may call now."""
    live = [(info, policy) for info, policy in clients if not info.revoked and not _over(info, now_us)]
    asked = [_duty(info, credentials, live, venue, waivers.get(info.name, {})) for info in credentials]
    return {requirements.credential: replace(requirements, excess=excess) for requirements in asked}


def judge(key: KeyInfo, requirements: Requirements, venue: Venue, now_us: int) -> tuple[Finding, ...]:
    """Judge what the venue says of a key, worst finding first; one that all is well, if there is nothing else."""
    about = f"credential {requirements.credential}"
    found = [
        Finding(weight, kind, about, what, hint)
        for weight, kind, what, hint in _judged(key, requirements, venue, now_us)
    ]
    return tuple(found) or (Finding(Weight.FINE, "fit", about, f"may do what it must ({_listed(key.permissions)})"),)


def used_elsewhere(credential: str) -> Finding:
    """The finding that somebody else counts the nonces of this key up."""
    what = "is used by another program too: its nonce at the exchange moved without us"
    hint = "make a key for each program; one that this gateway alone has is never refused for its nonce"
    return Finding(Weight.WARNING, "used-elsewhere", f"credential {credential}", what, hint)


def _over(client: ClientInfo, now_us: int) -> bool:
    return client.expires_us is not None and client.expires_us <= now_us


_Said = tuple[Weight, str, str, str]


def _judged(key: KeyInfo, requirements: Requirements, venue: Venue, now_us: int) -> Iterator[_Said]:
    yield from _too_powerful(key, requirements, venue)
    yield from _too_weak(frozenset(key.permissions), requirements)
    yield from _expiring(key, now_us)
    if key.nonce_window:
        what = f"has a nonce window of {key.nonce_window}: a captured call could be sent once more within it"
        yield Weight.WARNING, "nonce-window", what, "set it to 0 at Kraken, unless lane_depth is above 1"
    if not key.sources:
        what = "may be used from any address"
        yield Weight.WARNING, "any-address", what, "allow only the address of this machine, at Kraken"
    unneeded = sorted(set(requirements.waived) - set(key.permissions))
    if unneeded:
        what = f"does not have what is waived for it: {_listed(unneeded)}"
        yield Weight.WARNING, "waiver-unneeded", what, f"remove that from [waivers.{requirements.credential}]"


def _too_powerful(key: KeyInfo, requirements: Requirements, venue: Venue) -> Iterator[_Said]:
    """What is dangerous in itself is refused, whoever uses the key: no change of ours makes it so, or fixes it."""
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


def _too_weak(held: frozenset[str], requirements: Requirements) -> Iterator[_Said]:
    for policy, needs in requirements.promised.items():
        missing = _missing(needs, held)
        if missing:
            what = f"may not do what policy {policy} promises ({missing})"
            yield Weight.ERROR, "missing-permission", what, "give it that at Kraken, or take it out of the policy"
    missing = _missing(requirements.looked_up, held)
    if missing:
        what = f"cannot look up orders whose answer was lost ({missing})"
        yield Weight.ERROR, "missing-permission", what, "give it that at Kraken, or what it would charge stays held"


def _missing(needs: Iterable[frozenset[str]], held: frozenset[str]) -> str:
    """The sets of which nothing is held, in words; a set of which each member is asked for anyway is not said twice."""
    unmet = {need for need in needs if not need & held}
    least = [need for need in unmet if not any(other < need for other in unmet)]
    return ", ".join(sorted(" or ".join(sorted(need)) for need in least))


def _expiring(key: KeyInfo, now_us: int) -> Iterator[_Said]:
    if key.expires_us is None or key.expires_us - now_us > SOON_US:
        return
    when = datetime.fromtimestamp(key.expires_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    weight, verb = (Weight.WARNING, "expires") if key.expires_us > now_us else (Weight.ERROR, "has expired")
    yield weight, "expires", f"{verb} on {when}", "make a new one at Kraken, then `signer keys rotate`"


def _waiver(requirements: Requirements, words: Iterable[str]) -> str:
    example = " ".join(f'{_shown(word)} = "reason"' for word in sorted(words)[:1])
    return f"take that away at Kraken, or waive it in signer.toml: [waivers.{requirements.credential}] {example}"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(map(_shown, sorted(words))) or "nothing"


def _shown(word: str) -> str:
    """A permission as the venue spells it, fit for a terminal and a log."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in word[:MOST_WORD])


def _duty(
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
    """The role whose credentials sign such a call, where those of ``present`` are there."""
    return next((role for role in roles_of(call) if role in present), None)
