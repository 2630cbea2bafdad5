"""One gateway before one exchange, both real processes, for bots that are up to no good.

What such a test asks is what an attacker can do from outside: so it speaks to sockets, reads files and processes, and
shares no code with the gateway but the commands that set it up.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

from signer.operator.reload import reload_running
from signer.sandbox.arrivals import Arrival
from signer.sandbox.control_client import MadeKey
from signer.sandbox.server import RunningSandbox
from signer.secret import Secret
from tests.harness.bots import AHEAD_NS, LIMIT, Bot, Nonces
from tests.harness.exchanges import small_exchange
from tests.harness.gateways import RunningGateway
from tests.harness.homes import MadeHome
from tests.harness.persons import Told
from tests.harness.policies import RIG_POLICIES
from tests.harness.wire import ask

ACCOUNT = "main"
CREDENTIAL = "real-key"
OWN_KEY = "own-key"
ASKED_BY_US = {"OpenOrders", "ClosedOrders", "QueryOrders", "OrderAmends", "GetApiKeyInfo"}
PUBLIC_OF_OURS = {"/0/public/Time", "/0/public/AssetPairs", "/0/public/AssetPairs?aclass_base=tokenized_asset"}
"""What a gateway asks by itself, at any moment: its clock and the pairs."""
PERMISSIONS = (
    "query-funds", "add-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades",
    "query-ledger", "export-data",
)  # fmt: skip
"""Of the real key: what the widest policy grants. Waived, since clients come and go."""


class Rig:
    """Exchange, gateway and bots."""

    def __init__(self, folder: Path, sandbox: RunningSandbox, settings: str = "") -> None:
        self.sandbox = sandbox
        self.made = MadeHome(folder / "home", sandbox, settings=settings, policies=RIG_POLICIES)
        self.made.describe_account(ACCOUNT)
        for credential in (CREDENTIAL, OWN_KEY):
            self.made.waive(credential, PERMISSIONS)
        real = Secret.from_base64(sandbox.api_secret, where="sandbox")
        self.made.store.add_credential(CREDENTIAL, ACCOUNT, sandbox.api_key, real, created_us=1)
        self.home = self.made.home
        self.gateway: RunningGateway
        self._known: list[Arrival] = []

    @property
    def url(self) -> str:
        """Return where bots connect."""
        return self.gateway.url

    def start(self) -> None:
        """Start the gateway and wait until it is ready."""
        self.gateway = RunningGateway(self.made)

    def restart(self) -> None:
        """Stop and start it again."""
        self.gateway.stop()
        Nonces.ahead += AHEAD_NS
        self.start()

    def policy(self, text: str) -> str:
        """The name of a new policy file with this text."""
        name = f"policy-{secrets.token_hex(4)}"
        (self.home.policies / f"{name}.toml").write_text(text)
        return name

    def bot(self, policy: str, name: str = "", **options: Any) -> Bot:
        """A new client under ``policy``, known to the gateway if it runs."""
        bot = self.made.add_client(name or f"bot-{secrets.token_hex(4)}", ACCOUNT, policy, **options)
        reload_running(self.home, Told())
        return bot

    def update(self, bot: Bot, **change: Any) -> None:
        """Change what is said of a client."""
        self.made.store.update_client(bot.name, **change)
        reload_running(self.home, Told())

    def call(self, bot: Bot, endpoint: str, fields: Mapping[str, str] | None = None) -> list[str]:
        """Make one call on a connection of its own; return the ``error`` array of its answer."""
        answer = ask(self.url, bot.request(endpoint, fields))
        assert answer is not None
        assert answer.status == 200
        return answer.errors

    def place(self, bot: Bot, **fields: str) -> str:
        """Place an order that must be accepted; its txid."""
        return str(self.result(bot, "AddOrder", {**LIMIT, **fields})["txid"][0])

    def result(self, bot: Bot, endpoint: str, fields: Mapping[str, str] | None = None) -> Any:
        """The ``result`` of a call that must be accepted."""
        answer = ask(self.url, bot.request(endpoint, fields))
        assert answer is not None
        assert not answer.errors, answer.errors
        return json.loads(answer.body)["result"]

    def place_by_hand(self, **fields: str) -> str:
        """An order of the account's owner, which signer never saw; its txid."""
        return str(self.sandbox.control.ask(self.sandbox.account, "AddOrder", **{**LIMIT, **fields})["txid"][0])

    def is_open(self, txid: str) -> bool:
        """Whether the exchange has it open."""
        return txid in self.sandbox.control.ask(self.sandbox.account, "OpenOrders")["open"]

    def copied(self, folder: Path) -> tuple[MadeHome, MadeKey]:
        """A copy of the home with a real key of its own: two gateways with one key spoil each other's nonces."""
        made = self.made.copied(folder / "home")
        key = self.sandbox.control.make_key(self.sandbox.account, permissions=PERMISSIONS)
        made.store.remove_credential(CREDENTIAL)
        real = Secret.from_base64(key.api_secret, where="sandbox")
        made.store.add_credential(OWN_KEY, ACCOUNT, key.api_key, real, created_us=1)
        return made, key

    @contextmanager
    def nothing_arrives(self) -> Iterator[None]:
        """The block must not cause one private request at the exchange."""
        before = len(self.arrivals())
        yield
        assert [(a.path, a.body) for a in self.arrivals()[before:]] == []

    def arrivals_of_callers(self) -> Sequence[Arrival]:
        """Every request at the exchange, public ones too, in order, but for what the gateway asks for itself."""
        return [a for a in self._arrived() if a.path not in PUBLIC_OF_OURS and a.endpoint not in ASKED_BY_US]

    def arrivals(self) -> Sequence[Arrival]:
        """Every request at the exchange, in order, but for public data and what the gateway asks for itself."""
        return [a for a in self._arrived() if not a.path.startswith("/0/public/") and a.endpoint not in ASKED_BY_US]

    def _arrived(self) -> Sequence[Arrival]:
        """Every request at the exchange, in order. Those that it is done with are asked for once: they are many."""
        fresh = self.sandbox.control.arrivals(after=self._known[-1].seq if self._known else 0)
        done = list(takewhile(lambda arrival: arrival.answered, fresh))
        self._known += done
        return [*self._known, *fresh[len(done) :]]


@contextmanager
def serving_rig(folder: Path, settings: str = "") -> Iterator[Rig]:
    """A rig that serves, and is ended when the block ends."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(small_exchange(PERMISSIONS))
        rig = Rig(folder, sandbox, settings)
        rig.start()
        stack.callback(lambda: rig.gateway.stop())  # noqa: PLW0108 - whichever runs then
        yield rig
