"""Whether a real key is what the settings ask of it: as powerful as the calls that it signs need, and no more.

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
FUNDING = frozenset({"add-funds", "withdraw-funds"})
"""Permissions that make a call one for a credential of that role."""
MOST_WORD = 40
"""Characters shown of a permission that the venue names: it is the venue's text, not ours."""


@dataclass(slots=True)
class Standing:
    """What is known of one real key, and so which calls may go by it. Nothing is known of a new one."""

    key: KeyInfo | None = None
    """What the venue last said of it."""
    due: bool = True
    """Whether it is to be asked about now: it was not, or without an answer."""
    moved: bool = False
    """Whether its nonce moved without us, when it was last asked."""
    findings: tuple[Finding, ...] = ()
    refused: bool = False
    """Whether no call of a client may go by it."""

    def found(self, findings: tuple[Finding, ...]) -> None:
        """Take these findings in the place of earlier ones."""
        self.findings = findings
        self.refused = any(finding.weight is Weight.REFUSED for finding in findings)

    def admits(self, action: Action) -> bool:
        """Whether a client's call that does ``action`` may go by it: reads alone, while it is not proven."""
        return not self.refused and (self.key is not None or action is Action.READ)

    @property
    def word(self) -> str:
        """``refused``, ``proven`` or ``unproven``."""
        return "refused" if self.refused else "unproven" if self.key is None else "proven"


@dataclass(frozen=True, slots=True)
class Duty:
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


def roles_of(call: Call) -> tuple[Role, ...]:
    """Whose credentials may sign such a call, those that are meant for it first."""
    if any(words & FUNDING for words in call.needs):
        return (Role.FUNDING, Role.TRADE)
    return (Role.READ, Role.TRADE) if call.action is Action.READ else (Role.TRADE,)


def duties(
    credentials: Sequence[CredentialInfo],
    clients: Iterable[tuple[ClientInfo, Policy]],
    venue: Venue,
    waivers: Mapping[str, Mapping[str, str]],
    now_us: int,
    excess: Weight = Weight.WARNING,
) -> Mapping[str, Duty]:
    """What is asked of each credential, by its name, for the clients that may call now."""
    live = [(info, policy) for info, policy in clients if not info.revoked and not _over(info, now_us)]
    asked = [_duty(info, credentials, live, venue, waivers.get(info.name, {})) for info in credentials]
    return {duty.credential: replace(duty, excess=excess) for duty in asked}


def judge(key: KeyInfo, duty: Duty, venue: Venue, now_us: int) -> tuple[Finding, ...]:
    """What is to be said of a key with that duty, worst first; one that all is well, if there is nothing else."""
    about = f"credential {duty.credential}"
    found = [Finding(weight, kind, about, what, hint) for weight, kind, what, hint in _judged(key, duty, venue, now_us)]
    return tuple(found) or (Finding(Weight.FINE, "fit", about, f"may do what it must ({_listed(key.permissions)})"),)


def used_elsewhere(credential: str) -> Finding:
    """The finding that somebody else counts the nonces of this key up."""
    what = "is used by another program too: its nonce at the exchange moved without us"
    hint = "make a key for each program; one that this gateway alone has is never refused for its nonce"
    return Finding(Weight.WARNING, "used-elsewhere", f"credential {credential}", what, hint)


def _over(client: ClientInfo, now_us: int) -> bool:
    return client.expires_us is not None and client.expires_us <= now_us


_Said = tuple[Weight, str, str, str]


def _judged(key: KeyInfo, duty: Duty, venue: Venue, now_us: int) -> Iterator[_Said]:
    yield from _too_powerful(key, duty, venue)
    yield from _too_weak(frozenset(key.permissions), duty)
    yield from _expiring(key, now_us)
    if key.nonce_window:
        what = f"has a nonce window of {key.nonce_window}: a captured call could be sent once more within it"
        yield Weight.WARNING, "nonce-window", what, "set it to 0 at Kraken, unless lane_depth is above 1"
    if not key.sources:
        what = "may be used from any address"
        yield Weight.WARNING, "any-address", what, "allow only the address of this machine, at Kraken"
    unneeded = sorted(set(duty.waived) - set(key.permissions))
    if unneeded:
        what = f"does not have what is waived for it: {_listed(unneeded)}"
        yield Weight.WARNING, "waiver-unneeded", what, f"remove that from [waivers.{duty.credential}]"


def _too_powerful(key: KeyInfo, duty: Duty, venue: Venue) -> Iterator[_Said]:
    """What is dangerous in itself is refused, whoever uses the key: no change of ours makes it so, or fixes it."""
    excess = frozenset(key.permissions) - duty.waived.keys()
    unknown, withdrawing, earning = excess - venue.permissions, excess & venue.withdrawing, excess & venue.earning
    if withdrawing:
        what = f"may take money out of the account ({_listed(withdrawing)})"
        yield Weight.REFUSED, "may-withdraw", what, _waiver(duty, withdrawing)
    if earning:
        what = f"may move funds into Earn, where they can be locked ({_listed(earning)})"
        yield Weight.REFUSED, "may-earn", what, _waiver(duty, earning)
    if unknown:
        what = f"has permissions that this version does not know ({_listed(unknown)})"
        yield Weight.REFUSED, "unknown-permission", what, _waiver(duty, unknown)
    unused = excess - unknown - withdrawing - earning - duty.usable
    if duty.serves and unused:
        what = f"may do more than any client of it can use ({_listed(unused)})"
        yield duty.excess, "unused-permission", what, _waiver(duty, unused)


def _too_weak(held: frozenset[str], duty: Duty) -> Iterator[_Said]:
    for policy, needs in duty.promised.items():
        missing = _missing(needs, held)
        if missing:
            what = f"may not do what policy {policy} promises ({missing})"
            yield Weight.ERROR, "missing-permission", what, "give it that at Kraken, or take it out of the policy"
    missing = _missing(duty.looked_up, held)
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


def _waiver(duty: Duty, words: Iterable[str]) -> str:
    example = " ".join(f'{_shown(word)} = "reason"' for word in sorted(words)[:1])
    return f"take that away at Kraken, or waive it in signer.toml: [waivers.{duty.credential}] {example}"


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
) -> Duty:
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
    return Duty(info.name, bool(policies), frozenset(usable), promised, looked_up, waived)


def _signer_of(call: Call, present: Set[Role]) -> Role | None:
    """The role whose credentials sign such a call, where those of ``present`` are there."""
    return next((role for role in roles_of(call) if role in present), None)
