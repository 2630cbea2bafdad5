"""The only place that names concrete backends: from a home that was read to a gateway that runs.

`Wiring` connects the parts inside the worker process, and connects them anew on a reload.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from signer.audit import close_audit, open_audit
from signer.audit.throttle import RecordThrottle
from signer.contracts import SigningKey, Venue
from signer.errors import SignerError
from signer.findings import Finding
from signer.gateway.authenticate import Authenticator
from signer.gateway.credential import Credential
from signer.gateway.forward import Account
from signer.gateway.line import Gateway
from signer.gateway.pending import Pending
from signer.gateway.public import PublicCalls
from signer.gateway.reconcile import Recovery
from signer.gateway.records import lane_record
from signer.gateway.resuming import Resuming
from signer.gateway.revocations import Revocations
from signer.gateway.snapshot import Client, Snapshot
from signer.gateway.trace import Watch
from signer.gateway.venue_pauses import Listeners
from signer.gateway.venue_time import VenueTime
from signer.home.settings import HOME_FILE, AccountConfig
from signer.home.stores import StoreConfig
from signer.keycheck.checks import DAILY_S, KeyChecks
from signer.keycheck.judgement import Requirements
from signer.keycheck.store_checks import StoreChecks
from signer.keys.probes import Probe, keep_probe, kept_probe
from signer.keys.stores import SigningStores
from signer.keys.unwrapped import Unwrapped
from signer.ledger import open_ledger
from signer.model import CredentialInfo, KeyInfo
from signer.offload.worker import ThreadWorker
from signer.secret import fingerprint
from signer.serving.admin import AdminSocket
from signer.serving.background import Background
from signer.serving.clearing import Clearing
from signer.serving.clock import SystemClock
from signer.serving.health import Health
from signer.serving.lasting import Lasting
from signer.serving.loaded import LoadedHome, relisted, requirements_now, reread
from signer.serving.loads import Loads
from signer.serving.metrics import Metrics
from signer.serving.pairs_listing import PairsListing
from signer.serving.pools import Pools, public_bounds
from signer.serving.verbs import AdminVerbs
from signer.upstream import NOWHERE, UpstreamPool
from signer.upstream.held import HeldAnswers
from signer.upstream.own_addresses import OwnAddresses

PROVE_S = 5.0
"""How long a start waits for what the venue says of the keys: with a venue that is away, reads pass all the same."""

Held: TypeAlias = tuple[CredentialInfo, StoreConfig | None]
"""A credential, and the settings of the store outside that holds its secret."""


class Wiring:
    """All parts of a running gateway, connected."""

    def __init__(
        self,
        loaded: LoadedHome,
        watch: Watch,
        ready: Callable[[], None],
        own: OwnAddresses = NOWHERE,
        *,
        unwrapped: Unwrapped | None = None,
        held: HeldAnswers | None = None,
    ) -> None:
        self.loaded = loaded
        self._watch = watch
        self._ready = ready
        self._clock = SystemClock()
        self._loop = asyncio.get_running_loop()
        self._audit_worker = ThreadWorker("audit")
        limits = loaded.config.limits
        self._throttle = RecordThrottle(
            per_second=limits.idle_records_per_second, bytes_a_day=limits.idle_records_mib_per_day * 1024 * 1024
        )
        self._pools = Pools(own, held)
        self._resuming = Resuming(lambda: self.gateway.snapshot, lambda: self._key_checks, watch.alarm, self._clock)
        self._stores = SigningStores(self._store_alarm, unwrapped=unwrapped)
        self._keys: Mapping[Held, SigningKey] = {}
        self._listing = PairsListing(
            loaded.home.pairs, lambda: self.loaded.venue, self._public_upstream, watch=watch, clock=self._clock
        )
        self._changing = asyncio.Lock()
        self._draining: set[asyncio.Task[None]] = set()
        self._revocations = Revocations()
        self.ready = False

    async def start(self) -> None:
        """Open the stores, reconcile what the last run left open, and begin to serve. Raises `SignerError`."""
        self.ledger = await open_ledger(self.loaded.home, self._clock)
        store_marks = await self.ledger.marks()  # before the file: a command may change both meanwhile
        # A worker that takes a dead one's place was forked from what the first one knew: who was revoked since, is not.
        self.loaded = reread(self.loaded, running=False)
        self.audit = await open_audit(
            self.loaded.home,
            self.ledger,
            self._clock,
            self._audit_alarm,
            self._audit_worker,
            segment_bytes=self.loaded.config.audit.segment_mib * 1024 * 1024,
        )
        listeners = Listeners(self._watch.alarm, self._lane_on_record, self._resuming.paused, self._resuming.locked)
        self._lasting = Lasting(self.ledger, self._watch, self._clock, self._kept_key, listeners)
        self._loads = Loads(self.audit, self._watch, self._clock)
        self._background = Background(self.ledger, self.audit, self._throttle, self._watch, self._clock)
        named_in_vain = any(policy.unlisted for policy in self.loaded.policies.values())
        fetched = named_in_vain or not self.loaded.venue.pairs.complete
        if fetched:
            fetched = await self._listing.refresh(self._judge_with)
        left = await self.ledger.open_intents()
        self._pending = Pending(left)
        marks = await self.ledger.marks()
        self.loaded.store.require_latest(store_marks)
        await self.ledger.raise_mark(*self.loaded.store.mark)
        self._keys = await self._signing_keys(self.loaded)
        snapshot = await self._snapshot()
        venue_time = VenueTime(self._clock)
        self._recovery = Recovery(
            lambda: self.gateway.snapshot,
            self.ledger,
            self.audit,
            self._pending,
            venue_time,
            clock=self._clock,
            watch=self._watch,
            gone_after_s=max(account.gone_after_seconds for account in self.loaded.config.accounts.values()),
        )
        self._authenticator = Authenticator(
            self.ledger, self._clock, marks, on_alarm=lambda text: self._watch.alarm("failing-source", text)
        )
        self.gateway = Gateway(
            snapshot,
            self._authenticator,
            self.ledger,
            self.audit,
            self._pending,
            self._throttle,
            venue_time,
            clock=self._clock,
            randomness=random.SystemRandom(),
            watch=self._watch,
            look_ups=self._recovery,
        )
        upstream, bounds = self._public_upstream(), public_bounds(self.loaded.config, self._clock)
        self.public = PublicCalls(self.loaded.venue, upstream, bounds, self._clock, self._watch)
        checks = StoreChecks(lambda: self.gateway.snapshot)
        self.health = Health(
            lambda: self.gateway.snapshot,
            lambda: self.loaded,
            self.ledger,
            self.audit,
            self._lasting.lanes,
            self._pools.all,
            self._pending,
            self._recovery,
            checks,
            self._loads,
            self._clock,
        )
        self._key_checks = KeyChecks(
            lambda: self.gateway.snapshot,
            self._requirements,
            self._keep_probe,
            audit=self.audit,
            watch=self._watch,
            clock=self._clock,
        )
        await self._key_checks.at_start(PROVE_S)
        # What is held stays held meanwhile, so nobody need wait for an exchange that may be slow to answer.
        loops = {
            "looking up lost outcomes": self._recovery.run(),
            "refreshing pairs": self._listing.run(self._take_pairs, at_once=not fetched),
            "asking about keys": self._key_checks.run(),
            "trying keys": checks.run(),
        }
        self._background.begin(loops)
        await self._open_admin()
        self._loads.taken("start", self.loaded, self._of_keys())
        self.ready = True
        self._ready()

    async def _open_admin(self) -> None:
        home = self.loaded.home
        verbs = AdminVerbs(
            lambda: self.gateway.snapshot,
            self.audit,
            self._drained,
            self._take_back,
            self._key_checks,
            self._recovery,
            clock=self._clock,
        )
        clearing = Clearing(
            lambda: self.gateway.snapshot,
            self.gateway.aiming,
            self._pending,
            self.audit,
            clock=self._clock,
            watch=self._watch,
        )
        table = {**verbs.table(), **clearing.verbs(), "readiness": self.health.answer}
        self._admin = AdminSocket(home.admin, table, lambda text: self._watch.alarm("defect", text))
        await self._admin.open()

    async def reload(self, refresh_tls: Callable[[], None] = lambda: None) -> None:
        """Read the home again and swap to it, or go on with what there is and say why (*Must hold* 8).

        ``refresh_tls`` takes up certificates, or raises `SignerError`.
        """
        async with self._changing:  # one after the other, so that the last one swaps to what was prepared last
            before, keys = self.loaded, self._keys
            try:
                refresh_tls()
                fresh = reread(before, running=True)
                self.loaded, self._keys = fresh, await self._signing_keys(fresh)
                await self._swap()
                await self._stores.keep_only(fresh.config)
            except Exception as error:  # noqa: BLE001 - nor may a defect leave it half applied, or in silence
                self.loaded, self._keys = before, keys
                # The text of what is no error of ours may hold anything.
                why = str(error) if isinstance(error, SignerError) else f"a defect ({type(error).__name__})"
                self._loads.failed(why, before, self._of_keys())
            else:
                if any(policy.unlisted for policy in fresh.policies.values()):
                    self._listing.want()  # after the change is in force, which may be a brake
                self._loads.taken("reload", self.loaded, self._of_keys())

    def trouble(self) -> str:
        """Why no order would be taken now; empty if all is well."""
        return self.health.readiness().trouble if self.ready else "starting or stopping"

    def gauge(self, metrics: Metrics) -> None:
        """Set what is measured only when somebody looks."""
        self.health.gauge(metrics)
        self._listing.gauge(metrics)

    def picture(self) -> list[str]:
        """What is under way, in counts and names, a line each."""
        return self.health.picture() if self.ready else ["starting or stopping"]

    async def _swap(self) -> None:
        snapshot = await self._snapshot()
        self._authenticator.forgive(await self.ledger.marks())
        self._key_checks.judge(snapshot)
        self.public.venue = self.loaded.venue
        # Once more: a credential may have been taken back since the snapshot was begun.
        self.gateway.snapshot = replace(snapshot, clients=self._revocations.applied(snapshot.clients))
        self.public.upstream = self._public_upstream()
        for key in self._lasting.lanes.keys() - self._live():
            task = self._loop.create_task(self._retire(key))
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)

    def _live(self) -> set[tuple[str, str]]:
        return {(info.name, info.fingerprint) for info in self.loaded.store.credentials()}

    async def _retire(self, key: tuple[str, str]) -> None:
        """Forget the lane of a credential that is no more, once the last call has left it."""
        lane = self._lasting.lanes[key]
        await lane.drained()
        if key not in self._live() and self._lasting.lanes.get(key) is lane:
            self._lasting.forget(key)

    def _take_back(self, from_when: Mapping[str, int], now_us: int) -> None:
        """Refuse these credentials, in the snapshot that is in force and in every later one."""
        self._revocations.take_back(from_when, now_us)
        snapshot = self.gateway.snapshot
        self.gateway.snapshot = replace(snapshot, clients=self._revocations.applied(snapshot.clients))

    async def _drained(self) -> None:
        await asyncio.gather(*self._draining, *(lane.drained() for lane in self._lasting.lanes.values()))

    async def stop(self) -> None:
        """Settle and record what is under way, then close everything."""
        self.ready = False
        await self._admin.close()
        self._resuming.close()
        self._background.end()
        await self.gateway.drained()
        self._recovery.stop()
        self._background.note_refusals()
        self.audit.note({"kind": "stop", "time": self._clock.now_us()})
        await close_audit(self.audit, self.ledger)
        await self.ledger.close()
        self._pools.close()
        await self._stores.close()
        self._audit_worker.close()

    async def _snapshot(self) -> Snapshot:
        config, store, venue = self.loaded.config, self.loaded.store, self.loaded.venue
        self._listing.say(self.loaded.policies.values(), complete=venue.pairs.complete)
        marks = await self.ledger.marks()
        accounts = {name: self._account(name, account, marks) for name, account in config.accounts.items()}
        handles = [*((info, store.client_key(info.name)) for info in store.clients()), *store.former_clients()]
        policies = self.loaded.policies
        clients = {
            info.api_key: Client(info, key, policies[info.policy]) for info, key in handles if info.policy in policies
        }
        return Snapshot({venue.name: venue}, self._revocations.applied(clients), accounts)

    async def _signing_keys(self, loaded: LoadedHome) -> Mapping[Held, SigningKey]:
        """The handle of each credential, from wherever its secret lives. Raises `KeyStoreError`.

        A store outside is asked for new ones only: a client is revoked at once, whether or not Vault answers today.
        """
        places = [(info, loaded.config.stores.get(info.store)) for info in loaded.store.credentials()]
        keys = await asyncio.gather(*(self._signing_key(info, loaded) for info, _ in places))
        return dict(zip(places, keys, strict=True))

    async def _signing_key(self, info: CredentialInfo, loaded: LoadedHome) -> SigningKey:
        if info.store == HOME_FILE:
            return loaded.store.signing_key(info.name)
        held = self._keys.get((info, loaded.config.stores.get(info.store)))
        return held or await self._stores.store(info.store, loaded.config).signing_key(info)

    def _account(self, name: str, config: AccountConfig, marks: Mapping[str, int]) -> Account:
        stores = self.loaded.config.stores
        infos = [info for info in self.loaded.store.credentials() if info.account == name]
        keys = [(info, self._keys[info, stores.get(info.store)]) for info in infos]
        upstream = self._pools.of(config.origin, config.resolve)
        return self._lasting.account(name, config, self.loaded.venue, keys, upstream, marks)

    def _public_upstream(self) -> UpstreamPool:
        return self._pools.public(self.loaded.config)

    def _kept_key(self, info: CredentialInfo) -> KeyInfo | None:
        """What the command said that has just added a key; at a start nothing is believed that was not heard now."""
        kept = kept_probe(self.loaded.home.probes, info.fingerprint) if self.ready else None
        fresh = kept is not None and 0 <= self._clock.now_us() - kept.at_us < DAILY_S * 1_000_000
        return kept.key if kept is not None and fresh else None

    def _requirements(self) -> Mapping[str, Requirements]:
        return requirements_now(self.loaded, self._clock.now_us())

    async def _keep_probe(self, credential: Credential, key: KeyInfo) -> None:
        folder, kept = self.loaded.home.probes, Probe(self._clock.now_us(), key)
        await self._audit_worker.run(lambda: keep_probe(folder, fingerprint(credential.api_key), kept))

    async def _judge_with(self, venue: Venue) -> None:
        """Judge the policies by another list of pairs."""
        self.loaded = relisted(self.loaded, venue)

    async def _take_pairs(self, venue: Venue) -> None:
        async with self._changing:  # only now: a revocation does not wait for the exchange, and is not undone
            before = self.loaded
            try:
                await self._judge_with(venue)
                await self._swap()
            except SignerError:
                self.loaded = before
                raise

    def _lane_on_record(self, account: str, credential: str, state: str, text: str) -> None:
        self.audit.note(lane_record(account, credential, state, text, self._clock.now_us()))

    def _store_alarm(self, text: str) -> None:
        """Called on the loop or on a store's own thread."""
        self._loop.call_soon_threadsafe(self._watch.alarm, "key-store", text)

    def _audit_alarm(self, text: str) -> None:
        """Called on the log's own thread."""
        self._loop.call_soon_threadsafe(self._watch.alarm, "audit", text)

    def _of_keys(self) -> list[Finding]:
        live = self._live()
        return [finding for key, one in self._lasting.statuses.items() if key in live for finding in one.findings]
