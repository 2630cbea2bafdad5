"""The only place that names concrete backends: from a home folder to a gateway that runs.

`prepare` reads and checks everything that can be wrong before a process is forked or a port answers; `Wiring` connects
the parts inside the worker process, and connects them anew on a reload.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from signer import __version__
from signer.accounts import Account, Credential
from signer.audit.disk import LocalDisk
from signer.audit.log import FileAuditLog
from signer.audit.throttle import Throttle
from signer.authenticate import Authenticator
from signer.clock import SystemClock
from signer.config import AccountConfig, Config, load_config
from signer.errors import ConfigError, SignerError, VenueError
from signer.gateway import Gateway
from signer.home import Home
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import Passphrase
from signer.lanes import CredentialLane
from signer.lanes.nonces import NonceSource
from signer.ledger.sqlite import SqliteLedger
from signer.market import fetch_pairs, load_pairs, save_pairs
from signer.metrics import Metrics
from signer.model import ClientInfo, CredentialInfo, Json
from signer.occupancy import Load, write_load
from signer.pending import Pending
from signer.policy.load import load_policies
from signer.policy.policy import Policy
from signer.public import PublicCalls, SourceRate
from signer.recovery import Recovery
from signer.snapshot import Client, Snapshot
from signer.trace import Watch
from signer.upstream import NOWHERE, Upstream
from signer.upstream.loop import OwnAddresses
from signer.venues.kraken.pairs import PairTable
from signer.venues.kraken.venue import Kraken
from signer.worker import ThreadWorker

PAIRS_FETCH_S = 3.0
PAIRS_EVERY_S = 24 * 3600.0
SUMMARY_EVERY_S = 60.0
HEAD_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A home that has been read and checked whole."""

    home: Home
    config: Config
    store: FileKeyStore
    pairs: PairTable
    policies: Mapping[str, Policy]


def prepare(home: Home, passphrase: Passphrase) -> Prepared:
    """Read ``home``. Raises `ConfigError` or `KeyStoreError` for the first thing that is wrong; changes nothing."""
    config = load_config(home.config)
    return _checked(home, config, FileKeyStore.open(home.keys, passphrase), pair_table(home.pairs))


def pair_table(path: Path) -> PairTable:
    """The venue's pairs as last fetched into ``path``, else those known when this version was made."""
    fetched = load_pairs(path)
    return PairTable.built_in() if fetched is None else PairTable.from_asset_pairs(fetched)


def warnings(prepared: Prepared) -> list[str]:
    """What is not wrong but should be known at every start."""
    config, lines = prepared.config, list[str]()
    for listener in config.gateway.listeners:
        if listener.wide:
            why = "over TLS" if listener.kind == "tls" else f"without TLS: {config.gateway.allow_wide_listen}"
            lines.append(f"listening beyond this machine on {listener}, {why}")
    if config.gateway.trusted_proxies:
        lines.append(f"believing X-Forwarded-For from {', '.join(config.gateway.trusted_proxies)}")
    for name, account in config.accounts.items():
        if account.origin.startswith("http://"):
            lines.append(f"account {name} talks plain HTTP to {account.origin}: a sandbox, not a real exchange")
        if not any(credential.account == name for credential in prepared.store.credentials()):
            lines.append(f"account {name} has no key yet; add one with `signer keys add NAME --account {name} --stdin`")
    uncapped = [policy for policy in prepared.policies.values() if policy.uncapped]
    return [*lines, *(f"policy {policy.name} has no caps: {policy.uncapped}" for policy in uncapped)]


def _checked(home: Home, config: Config, store: FileKeyStore, pairs: PairTable) -> Prepared:
    policies = load_policies(home.policies, pairs.find, [pair.wsname for pair in pairs.by_id.values()])
    owners: list[CredentialInfo | ClientInfo] = [*store.credentials(), *store.clients()]
    for info in owners:
        if info.account not in config.accounts:
            mend = f"add [accounts.{info.account}] or remove what uses it"
            raise ConfigError(f"{info.name} belongs to account {info.account}", where=str(home.config), mend=mend)
    for client in store.clients():
        if client.policy not in policies and not client.revoked:
            what = f"client {client.name} has the policy {client.policy}, and there is no such file"
            raise ConfigError(what, where=str(home.policies), mend=f"restore {client.policy}.toml or revoke the client")
    return Prepared(home, config, store, pairs, policies)


def _reread(before: Prepared) -> Prepared:
    """The home as it is now, read with the keys already derived. Raises as `prepare`, and if [gateway] has changed."""
    home = before.home
    fresh = _checked(home, load_config(home.config), before.store.reopened(), pair_table(home.pairs))
    _check_unmoved(before, fresh)
    return fresh


def _check_unmoved(before: Prepared, fresh: Prepared) -> None:
    if fresh.config.gateway != before.config.gateway:
        where = str(fresh.home.config)
        raise ConfigError("[gateway] has changed", where=where, mend="restart the gateway for that, or change it back")


class Wiring:
    """All parts of a running gateway, connected."""

    def __init__(
        self, prepared: Prepared, watch: Watch, ready: Callable[[], None], own: OwnAddresses = NOWHERE
    ) -> None:
        self.prepared = prepared
        self._own = own
        self._watch = watch
        self._ready = ready
        self._clock = SystemClock()
        self._ledger_worker, self._audit_worker = ThreadWorker("ledger"), ThreadWorker("audit")
        self.ledger = SqliteLedger(prepared.home.ledger, self._clock, self._ledger_worker)
        segment_bytes = prepared.config.audit.segment_mib * 1024 * 1024
        self._loop = asyncio.get_running_loop()
        self.audit = FileAuditLog(
            prepared.home.audit,
            self._clock,
            self._audit_worker,
            LocalDisk(),
            self._audit_alarm,
            segment_bytes=segment_bytes,
        )
        self._throttle = Throttle()
        self._upstreams: dict[tuple[str, ...], Upstream] = {}
        self._lanes: dict[tuple[str, str], CredentialLane] = {}
        self._swapping = asyncio.Lock()
        self._loads = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.ready = False

    async def start(self) -> None:
        """Open the stores, reconcile what the last run left open, and begin to serve. Raises `SignerError`."""
        # A worker that takes a dead one's place was forked from what the first one knew: who was revoked since, is not.
        self.prepared = _reread(self.prepared)
        await self.ledger.open()
        await self.audit.open(await self.ledger.head())
        first_time = not self.prepared.home.pairs.exists()
        if first_time:
            await self._refresh_pairs()
        left = await self.ledger.open_intents()
        self._pending = Pending(left)
        marks = await self.ledger.marks()
        snapshot = await self._snapshot()
        self.gateway = Gateway(
            snapshot,
            Authenticator(self.ledger, self._clock, marks),
            self.ledger,
            self.audit,
            self._pending,
            self._throttle,
            clock=self._clock,
            randomness=random.SystemRandom(),
            watch=self._watch,
        )
        rate = SourceRate(self.prepared.config.gateway.public_calls_per_second, self._clock)
        upstream = self._public_upstream()
        self.public = PublicCalls(snapshot.venue, upstream, rate, self._clock)
        self._recovery = Recovery(
            lambda: self.gateway.snapshot,
            self.ledger,
            self.audit,
            self._pending,
            clock=self._clock,
            watch=self._watch,
            gone_after_s=max(account.gone_after_seconds for account in self.prepared.config.accounts.values()),
        )
        # What is held stays held meanwhile, so nobody need wait for an exchange that may be slow to answer.
        loops = (
            self._recovery.run(),
            self._summarise(),
            self._keep_heads(),
            self._keep_pairs(PAIRS_EVERY_S if first_time else 0.0),
        )
        self._tasks = [asyncio.get_running_loop().create_task(loop) for loop in loops]
        self._loaded("start")
        self.ready = True
        self._ready()

    async def reload(self) -> None:
        """Read the home again and swap to it, or go on with what there is and say why (*Must hold* 8)."""
        before = self.prepared
        try:
            self.prepared = _reread(before)
            await self._swap()
        except SignerError as error:
            self.prepared = before
            self._watch.alarm("reload", f"not taken, the old settings stay: {error}")
            self._publish(str(error))
        else:
            self._loaded("reload")

    def trouble(self) -> str:
        """Why no order would be taken now; empty if all is well."""
        if not self.ready:
            return "starting or stopping"
        return "" if self.audit.healthy else "the audit log cannot be written"

    def gauge(self, metrics: Metrics) -> None:
        """Set what is measured only when somebody looks."""
        metrics.audit_healthy(self.audit.healthy)
        metrics.unknown_outcomes(self._recovery.held)
        for (name, _), lane in self._lanes.items():
            metrics.lane_waiting(name, lane.waiting)

    async def _swap(self) -> None:
        async with self._swapping:  # one after the other, so that the last one swaps to what was prepared last
            snapshot = await self._snapshot()
            self.gateway.snapshot, self.public.venue = snapshot, snapshot.venue
            self.public.upstream = self._public_upstream()

    async def stop(self) -> None:
        """Settle and record what is under way, then close everything."""
        self.ready = False
        for task in self._tasks:
            task.cancel()
        await self.gateway.drained()
        self._note_throttled()
        self.audit.note({"kind": "stop", "time": self._clock.now_us()})
        await self.audit.close()
        head = self.audit.head()
        if head is not None:
            await self.ledger.keep_head(head)
        await self.ledger.close()
        for upstream in self._upstreams.values():
            upstream.close()
        self._ledger_worker.close()
        self._audit_worker.close()

    async def _snapshot(self) -> Snapshot:
        config, store, pairs = self.prepared.config, self.prepared.store, self.prepared.pairs
        marks = await self.ledger.marks()
        accounts = {name: self._account(name, account, marks) for name, account in config.accounts.items()}
        clients = {
            info.api_key: self._client(info) for info in store.clients() if info.policy in self.prepared.policies
        }
        return Snapshot(Kraken(pairs), clients, accounts, pairs.by_id)

    def _client(self, info: ClientInfo) -> Client:
        return Client(info, self.prepared.store.client_key(info.name), self.prepared.policies[info.policy])

    def _account(self, name: str, config: AccountConfig, marks: Mapping[str, int]) -> Account:
        credentials = [
            Credential(
                info.name, info.api_key, self.prepared.store.signing_key(info.name), self._lane(info, config, marks)
            )
            for info in self.prepared.store.credentials()
            if info.account == name
        ]
        return Account(
            name, credentials, self._upstream(config.origin, config.resolve), config.call_seconds, self._clock
        )

    def _upstream(self, origin: str, addresses: Sequence[str]) -> Upstream:
        key = (origin, *addresses)
        if key not in self._upstreams:
            self._upstreams[key] = Upstream.open(origin, addresses=addresses, own=self._own)
        return self._upstreams[key]

    def _public_upstream(self) -> Upstream:
        config = self.prepared.config
        return self._upstream(config.public_origin, config.public_resolve)

    def _lane(self, info: CredentialInfo, config: AccountConfig, marks: Mapping[str, int]) -> CredentialLane:
        """One lane for as long as a credential lives: two would race for its nonces. A reload keeps its depth."""
        key = (info.name, info.fingerprint)
        if key not in self._lanes:
            mark = f"credential/{info.name}"
            nonces = NonceSource(
                mark,
                marks.get(mark, 0),
                self.ledger.raise_mark,
                self._clock,
                on_alarm=lambda text: self._watch.alarm("nonce", text),
            )
            self._lanes[key] = CredentialLane(
                info.name, clock=self._clock, nonces=nonces, depth=config.lane_depth, queue=config.queue
            )
        return self._lanes[key]

    async def _refresh_pairs(self) -> None:
        """Fetch the venue's pairs, if it can be reached in time; else go on with those known."""
        upstream = self._public_upstream()
        try:
            fetched = await fetch_pairs(upstream, self._clock.monotonic() + PAIRS_FETCH_S)
            prepared = self.prepared  # only now: a reload may have come meanwhile, and what it revoked stays revoked
            pairs = PairTable.from_asset_pairs(fetched)
            self.prepared = _checked(prepared.home, prepared.config, prepared.store, pairs)
            save_pairs(prepared.home.pairs, fetched)  # a list that our policies contradict would stop the next start
        except (VenueError, ConfigError) as error:
            self._watch.alarm("pairs", f"the venue's pairs cannot be taken, those known before are used: {error}")

    async def _keep_pairs(self, wait_s: float) -> None:
        while True:
            await asyncio.sleep(wait_s)
            wait_s = PAIRS_EVERY_S
            try:
                await self._refresh_pairs()
                await self._swap()
            except SignerError as error:
                self._watch.alarm(error.code, f"the venue's pairs could not be taken up: {error}")

    async def _summarise(self) -> None:
        while True:
            await asyncio.sleep(SUMMARY_EVERY_S)
            self._note_throttled()

    async def _keep_heads(self) -> None:
        kept = None
        while True:
            await asyncio.sleep(HEAD_EVERY_S)
            head = self.audit.head()
            if head is not None and head != kept:
                try:
                    await self.ledger.keep_head(head)
                    kept = head
                except SignerError as error:
                    self._watch.alarm(error.code, str(error))

    def _audit_alarm(self, text: str) -> None:
        """Called on the log's own thread."""
        self._loop.call_soon_threadsafe(self._watch.alarm, "audit", text)

    def _note_throttled(self) -> None:
        for entry in self._throttle.summaries(self._clock.now_us()):
            self.audit.note(entry)

    def _loaded(self, kind: str) -> None:
        """Say, in the log and to the CLI, that what the home holds is in force now."""
        policies: dict[str, Json] = {policy.name: policy.hash for policy in self.prepared.policies.values()}
        self.audit.note({"kind": kind, "time": self._clock.now_us(), "version": __version__, "policies": policies})
        self._publish("")

    def _publish(self, error: str) -> None:
        self._loads += 1
        write_load(self.prepared.home.state, Load(os.getpid(), self._loads, self._clock.now_us(), error))
