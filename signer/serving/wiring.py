"""Connects the parts of a gateway inside the worker process, and closes them. This is the composition root."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Set

from signer.audit import close_journal, open_journal
from signer.audit.throttle import RecordThrottle
from signer.gateway.accounts import KeyStates
from signer.gateway.authenticate import Authenticator
from signer.gateway.credential import Listeners
from signer.gateway.forward import VenueTime
from signer.gateway.line import Gateway
from signer.gateway.public import PublicCalls
from signer.gateway.reconcile import Recovery
from signer.gateway.resuming import Resuming
from signer.gateway.snapshot import Snapshot
from signer.gateway.trace import Watch, lane_record
from signer.keycheck.checks import KeyChecks
from signer.keycheck.store_checks import StoreChecks
from signer.keys.stores import SigningStores
from signer.keys.unwrapped import Unwrapped
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.offload.worker import ThreadWorker
from signer.serving.admin import AdminSocket
from signer.serving.background import Loops, count_refusals, keep_heads, note_refusals
from signer.serving.brakes import BrakeWatch
from signer.serving.clearing import Clearing
from signer.serving.clock import SystemClock
from signer.serving.clock_check import ClockCheck
from signer.serving.health import Health
from signer.serving.in_force import HomeInForce
from signer.serving.kept_keys import KeptKeys
from signer.serving.loaded import LoadedHome, requirements_now, reread
from signer.serving.loads import Loads
from signer.serving.pools import Pools, public_bounds
from signer.serving.reload import Reloads
from signer.serving.telemetry import Metrics
from signer.serving.verbs import AdminVerbs
from signer.upstream import NOWHERE
from signer.upstream.held import HeldAnswers
from signer.upstream.own_addresses import OwnAddresses

KEY_ANSWERS_S = 5.0
"""How long a start waits for the venue's answers about the keys. Reads pass even without them."""


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
        self._home = loaded.home
        self._watch = watch
        self._say_ready = ready
        self._clock = SystemClock()
        self._audit_worker = ThreadWorker("audit")
        self._kept_keys = KeptKeys(loaded.home.probes, self._clock, self._audit_worker)
        limits = loaded.config.limits
        self._throttle = RecordThrottle(
            per_second=limits.idle_records_per_second, bytes_a_day=limits.idle_records_mib_per_day * 1024 * 1024
        )
        self.pools = Pools(own, held)
        self._stores = SigningStores(self._thread_alarm("key-store"), unwrapped=unwrapped)
        self._resuming = Resuming(self._snapshot, lambda: self.key_checks, watch.alarm, self._clock)
        self._read_before = loaded
        self.ready = False

    @property
    def loaded(self) -> LoadedHome:
        """Return the home that is in force."""
        return self._in_force.loaded

    async def start(self) -> None:
        """Open the stores, reconcile calls that the last run left open, and serve. Raises `SignerError`."""
        await self._open()
        fetched = await self._in_force.fetch_pairs()
        marks = await self.marks.marks()
        self.loaded.store.require_latest(self._store_marks)
        await self.marks.raise_mark(*self.loaded.store.mark)
        await self._in_force.take(self.loaded)
        self._connect(await self._in_force.snapshot(), marks)
        await self._clock_check.at_start()
        await self.key_checks.at_start(KEY_ANSWERS_S)
        # The start does not wait for a slow exchange: unknown outcomes stay held until they are looked up.
        self.loops = self._begin_loops(fetched)
        self.admin = self._admin_socket()
        await self.admin.open()
        self._loads.taken("start", self.loaded, self._in_force.findings())
        self.ready = self._kept_keys.trusted = True
        self._say_ready()

    async def stop(self) -> None:
        """Record what the calls have ended in, then close everything."""
        self.ready = False
        await self.admin.close()
        self._resuming.close()
        self.loops.cancel()
        await self.brakes.close()
        self.recovery.stop()
        note_refusals(self._throttle, self.journal, self._clock)
        self.journal.note({"kind": "stop", "time": self._clock.now_us()})
        await close_journal(self.journal, self.marks)
        await self.marks.close()
        self.pools.close()
        await self._stores.close()
        self._audit_worker.close()

    def not_ready_reason(self) -> str:
        """Return why no order would be taken now; empty if orders pass."""
        return self.health.readiness().not_ready_reason if self.ready else "starting or stopping"

    def measure(self, metrics: Metrics) -> None:
        """Set the metrics that are measured only on request."""
        self.health.measure(metrics)
        self._in_force.measure(metrics)

    def describe(self) -> list[str]:
        """Describe the work under way, in counts and names, a line each."""
        return self.health.describe() if self.ready else ["starting or stopping"]

    async def _open(self) -> None:
        """Open the marks, read the home, and open the journal, in that order."""
        home, clock = self._home, self._clock
        self.marks = await open_marks(home)
        self._store_marks = await self.marks.marks()  # before the file: a command may change both meanwhile
        # A worker that replaces a dead one was forked from the master's memory, which lacks later revocations.
        loaded = reread(self._read_before, running=False)
        del self._read_before  # a reload must leave no handle of an old key behind
        self.journal = await open_journal(
            home,
            self.marks,
            BookFile(home.book),
            clock,
            self._thread_alarm("audit"),
            self._audit_worker,
            segment_bytes=loaded.config.audit.segment_mib * 1024 * 1024,
        )
        self._loads = Loads(self.journal, self._watch, clock)
        listeners = Listeners(self._watch.alarm, self._record_lane, self._resuming.paused, self._resuming.locked)
        states = KeyStates(self.marks, clock, listeners, self._kept_keys.believed)
        self._in_force = HomeInForce(loaded, self.marks, self.journal, states, self.pools, self._stores, self._watch)
        revocations = self._in_force.revocations
        self.brakes = BrakeWatch(
            home.brakes, self.journal, revocations, lambda: self.loaded, watch=self._watch, clock=clock
        )

    def _connect(self, snapshot: Snapshot, marks: Mapping[str, int]) -> None:
        """Build the line, the public calls and the parts that look after them. ``marks`` are those stored."""
        clock, watch, config = self._clock, self._watch, self.loaded.config
        venue_time = VenueTime(clock)
        self.recovery = Recovery(
            self._snapshot,
            self.journal,
            venue_time,
            clock=clock,
            watch=watch,
            gone_after_s=max(account.gone_after_seconds for account in config.accounts.values()),
        )
        authenticator = Authenticator(
            self.marks, clock, marks, on_alarm=lambda text: watch.alarm("failing-source", text)
        )
        self.gateway = Gateway(
            snapshot,
            authenticator,
            self.journal,
            self._throttle,
            venue_time,
            clock=clock,
            randomness=random.SystemRandom(),
            watch=watch,
            look_ups=self.recovery,
        )
        bounds = public_bounds(config, clock)
        self.public = {
            name: PublicCalls(venue, self._in_force.public_upstream(name), bounds, clock, watch)
            for name, venue in self.loaded.venues.items()
        }
        self._look_after(authenticator)

    def _look_after(self, authenticator: Authenticator) -> None:
        """Build the checks of keys and stores, the reload and the health."""
        clock, watch = self._clock, self._watch
        self.key_checks = KeyChecks(
            self._snapshot,
            lambda: requirements_now(self.loaded, clock.now_us()),
            self._kept_keys.keep,
            journal=self.journal,
            watch=watch,
            clock=clock,
        )
        self.reloads = Reloads(
            self._in_force,
            self.gateway,
            self.public,
            authenticator,
            self.key_checks,
            self.marks,
            self._loads,
            self.brakes.extend,
        )
        self.brakes.apply_with(self.reloads.apply_revocations)
        self.brakes.extend()
        self._store_checks = StoreChecks(self._snapshot)
        self._clock_check = ClockCheck(self._snapshot, self.journal, watch=watch, clock=clock)
        self.health = Health(
            self._snapshot,
            lambda: self.loaded,
            self.journal,
            self._in_force.states.lanes,
            self.pools.all,
            self.recovery,
            self._store_checks,
            self._loads,
            clock,
        )

    def _begin_loops(self, fetched: Set[str]) -> Loops:
        """Begin the loops. ``fetched`` are the venues whose list of pairs is fresh."""
        listings = {
            f"refreshing pairs of {name}": listing.run(self.reloads.take_pairs, at_once=name not in fetched)
            for name, listing in self._in_force.listings.items()
        }
        loops = {
            "counting refusals": count_refusals(self._throttle, self.journal, self._clock),
            "keeping the log's head": keep_heads(self.journal, self.marks, self._watch.alarm),
            "looking up lost outcomes": self.recovery.run(),
            "asking about keys": self.key_checks.run(),
            "trying keys": self._store_checks.run(),
            "looking at brakes": self.journal.braked.watch(),
            "asking for the time": self._clock_check.run(),
        }
        return Loops(loops | listings, self._watch.alarm)

    def _admin_socket(self) -> AdminSocket:
        verbs = AdminVerbs(
            self._snapshot,
            self.journal,
            self.reloads.drained,
            self.reloads.take_back,
            self.key_checks,
            self.recovery,
            self.gateway.paces,
            clock=self._clock,
        )
        clearing = Clearing(self._snapshot, self.gateway.aiming, self.journal, clock=self._clock, watch=self._watch)
        parts = (clearing.verbs(), self.brakes.verbs(), self._clock_check.verbs())
        table = {**verbs.table(), **{word: verb for part in parts for word, verb in part.items()}}
        table["readiness"] = self.health.answer
        return AdminSocket(self._home.admin, table, lambda text: self._watch.alarm("defect", text))

    def _snapshot(self) -> Snapshot:
        return self.gateway.snapshot

    def _record_lane(self, account: str, credential: str, state: str, text: str) -> None:
        self.journal.note(lane_record(account, credential, state, text, self._clock.now_us()))

    def _thread_alarm(self, kind: str) -> Callable[[str], None]:
        """Return an alarm of that kind that may be raised on any thread."""
        running = asyncio.get_running_loop()

        def alarm(text: str) -> None:
            running.call_soon_threadsafe(self._watch.alarm, kind, text)

        return alarm
