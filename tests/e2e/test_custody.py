"""Orders through accounts whose keys are in a file, in Vault, inside Vault and in an HSM; and when those are away."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from signer.sandbox.server import RunningSandbox
from tests.e2e.refusals import UNAVAILABLE
from tests.harness.bots import Bot, errors_of, order
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome
from tests.harness.waiting import until
from tests.vault.custody import KINDS, token_settings, vault_settings, wrapped_login
from tests.vault.proxy import Valve
from tests.vault.running import RunningVault
from tests.vault.softhsm import Token

NONCES = itertools.count(1)
OUTSIDE = ("vault-kv", "vault-transit", "pkcs11")


def toml(table: dict[str, Any], name: str) -> str:
    """A table of plain values and one level of tables, as signer.toml has it."""
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    lines = [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in plain.items()), ""]
    return "\n".join(lines + [toml(table[key], f"{name}.{key}") for key in table if key not in plain])


def add_stores(made: MadeHome, vault: RunningVault, token: Token, **settings: object) -> Path:
    """Have signer.toml name a store of each kind, ``settings`` for those in Vault; the administrator's token file."""
    tables = {kind: vault_settings(vault, kind, **settings) for kind in ("vault-kv", "vault-transit")}
    tables["pkcs11"] = token_settings(token)
    with made.home.config.open("a") as file:
        for kind, table in tables.items():
            file.write(toml(table, f"stores.{kind}"))
    admin = made.home.folder.with_name("admin-token")
    admin.touch(0o600)
    admin.write_text(vault.admin_token)
    return admin


def home_with_every_store(
    folder: Path, sandbox: RunningSandbox, vault: RunningVault, token: Token, **settings: object
) -> MadeHome:
    """Make a home with one account for each kind of store, whose key `signer keys add` put there."""
    made = MadeHome(folder / "home", sandbox)
    with made.home.config.open("a") as file:
        for kind in KINDS:
            store = "" if kind == "file" else f'store = "{kind}"\n'
            file.write(f'[accounts.{kind}]\ntier = "unlimited"\norigin = "{sandbox.url}"\n{store}')
    admin = add_stores(made, vault, token, **settings)
    for kind in KINDS:
        key = sandbox.control.make_key(f"custody-{folder.name}-{kind}", tier="unlimited")
        pasted = json.dumps({"api_key": key.api_key, "api_secret": key.api_secret})
        option = ["--vault-token-file", str(admin)] if kind.startswith("vault") else []
        done = made.signer("keys", "add", f"{kind}-key", "--account", kind, "--stdin", *option, stdin=pasted)
        assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def valve(vault: RunningVault) -> Iterator[Valve]:
    """The gateway's way to Vault."""
    with Valve.to(vault.address) as made:
        yield made


@pytest.fixture(scope="module")
def custody(
    shared_sandbox: RunningSandbox,
    vault: RunningVault,
    valve: Valve,
    token: Token,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningGateway]:
    """A gateway with a key of every kind."""
    folder = tmp_path_factory.mktemp("custody")
    made = home_with_every_store(folder, shared_sandbox, vault, token, address=valve.address, deadline_seconds=60)
    # The tests wait until Vault counts as away. Keys were added before with the patience that a busy machine needs.
    patient = made.home.config.read_text()
    made.home.config.write_text(patient.replace("deadline_seconds = 60", "deadline_seconds = 5"))
    with running(made) as gateway:
        yield gateway
    made.verify()


def ask(bot: Bot) -> dict[str, Any]:
    """Send one order; return its answer."""
    answer: dict[str, Any] = bot.post("AddOrder", order(), next(NONCES)).json()
    return answer


def taken(bot: Bot, answers: list[dict[str, Any]]) -> bool:
    """Whether the exchange takes an order now; its answer joins ``answers``."""
    answers.append(ask(bot))
    return not answers[-1]["error"]


@contextmanager
def settled(made: MadeHome, bot: Bot) -> Iterator[list[dict[str, Any]]]:
    """Check at the end that sandbox, book and audit log agree with the answers in the list."""
    name = f"custody-{made.home.folder.parent.name}-{bot.account}"
    arrived, placed = len(made.arrivals(bot.account)), len(made.orders(name))
    answers: list[dict[str, Any]] = []
    yield answers
    accepted = sum(answer["error"] == [] for answer in answers)
    until(lambda: not made.open_calls(bot.account), "every outcome settled")
    assert len(made.arrivals(bot.account)) - arrived == accepted
    assert len(made.orders(name)) - placed == accepted
    assert made.used(bot.name).get("USD", 0) == 200 * accepted
    until(lambda: len(made.records(kind="outcome", client=bot.name)) == len(answers), "every outcome recorded")
    outcomes = [record["outcome"] for record in made.records(kind="outcome", client=bot.name)]
    assert sorted(outcomes) == ["accepted"] * accepted + ["not-sent"] * (len(answers) - accepted)


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_signed_in_each_store(custody: RunningGateway, kind: str) -> None:
    """The exchange takes the signature, and all that counts orders agrees."""
    bot = custody.client(kind)
    with settled(custody.made, bot) as answers:
        answers += [ask(bot) for _ in range(3)]
        assert [answer["error"] for answer in answers] == [[], [], []]


def test_the_list_says_where_each_key_is(custody: RunningGateway) -> None:
    """`signer keys list` names the store of each; the home's file has no secret of those that are elsewhere."""
    rows = json.loads(custody.made.signer("keys", "list", "--json").stdout)
    assert {row["account"]: row["store"] for row in rows} == {kind: kind for kind in KINDS}


@pytest.mark.parametrize("trouble", ["sealed", "killed"])
def test_vault_away_in_the_middle_of_a_burst(custody: RunningGateway, vault: RunningVault, trouble: str) -> None:
    """Transit's orders are refused while it lasts, and nothing of them is sent or held; all others go on; it heals."""
    made = custody.made
    bots = {kind: custody.client(kind) for kind in KINDS}
    inside = bots["vault-transit"]
    with settled(made, inside) as answers, ThreadPoolExecutor(4) as pool:
        burst = [pool.submit(ask, inside) for _ in range(12)]
        with getattr(vault, trouble)():
            burst += [pool.submit(ask, inside) for _ in range(12)]
            answers += [each.result() for each in burst]
            for kind in ("file", "vault-kv", "pkcs11"):
                assert ask(bots[kind])["error"] == []
        refused = [errors_of(answer) for answer in answers if answer["error"]]
        assert refused
        assert all(first == UNAVAILABLE and "nothing was sent" in second for first, second in refused)
        until(lambda: taken(inside, answers), "Transit to sign again")


def test_vault_slow_in_the_middle_of_a_burst(custody: RunningGateway, valve: Valve) -> None:
    """Within the deadline an order waits and goes out once; behind it, it is refused and nothing of it is sent, also
    when the signature comes late. Other credentials do not wait."""
    inside, plain = custody.client("vault-transit"), custody.client("file")
    with settled(custody.made, inside) as answers, ThreadPoolExecutor(4) as pool:
        before = valve.waiting
        with valve.shut():
            burst = [pool.submit(ask, inside) for _ in range(4)]
            until(lambda: valve.waiting > before, "a signature held back")
            assert ask(plain)["error"] == []
        answers += [each.result() for each in burst]
        assert all(answer["error"] == [] for answer in answers)
        with valve.shut():
            late = ask(inside)
            assert errors_of(late)[0] == UNAVAILABLE
            assert ask(plain)["error"] == []
        answers.append(late)
        until(lambda: taken(inside, answers), "Transit to sign again")


def test_tokens_revoked_in_the_middle_of_a_burst(custody: RunningGateway, vault: RunningVault) -> None:
    """No order is refused: a call that meets the dead token waits for the next one."""
    inside = custody.client("vault-transit")
    with settled(custody.made, inside) as answers, ThreadPoolExecutor(4) as pool:
        burst = [pool.submit(ask, inside) for _ in range(10)]
        vault.revoke_logins()
        burst += [pool.submit(ask, inside) for _ in range(10)]
        answers += [each.result() for each in burst]
        assert all(answer["error"] == [] for answer in answers)


def test_the_token_is_pulled_out_and_put_back(custody: RunningGateway, token: Token) -> None:
    """Orders are refused while it is out, others go on, and it signs again by itself."""
    held, plain = custody.client("pkcs11"), custody.client("file")
    with settled(custody.made, held) as answers:
        answers.append(ask(held))
        assert answers[0]["error"] == []
        with token.removed():
            answers.append(ask(held))
            assert errors_of(answers[1])[0] == UNAVAILABLE
            assert ask(plain)["error"] == []
        until(lambda: taken(held, answers), "the token to sign again")


def test_a_token_expires_in_the_middle_of_a_burst(custody: RunningGateway, vault: RunningVault) -> None:
    """No order is refused though each token lasts two seconds: the next login follows."""
    role, inside = "auth/approle/role/signer-gateway", custody.client("vault-transit")
    vault.root.write_data(role, data={"token_ttl": "2s", "token_max_ttl": "2s"})
    seen: set[str] = set()
    try:
        vault.revoke_logins()
        with settled(custody.made, inside) as answers:

            def tokens() -> int:
                answers.append(ask(inside))
                seen.update(vault.logins())
                return len(seen)

            until(lambda: tokens() >= 3, "two tokens to expire")
            assert [answer["error"] for answer in answers if answer["error"]] == []
    finally:
        vault.root.write_data(role, data={"token_ttl": "1h", "token_max_ttl": "24h"})
        vault.revoke_logins()


def test_a_start_without_vault(
    shared_sandbox: RunningSandbox, vault: RunningVault, token: Token, tmp_path: Path
) -> None:
    """The gateway starts and serves what it can; the rest heals without a restart. The secret-id that its worker
    unwraps then, once for both stores, serves the worker that takes a dead one's place."""
    login = wrapped_login(vault, tmp_path / "logins")
    made = home_with_every_store(tmp_path, shared_sandbox, vault, token, login=login)
    with vault.killed():
        gateway = RunningGateway(made)
        bots = {kind: gateway.client(kind) for kind in KINDS}
        assert {kind for kind, bot in bots.items() if ask(bot)["error"]} == {"vault-kv", "vault-transit"}
    for kind in OUTSIDE:
        until(lambda kind=kind: not ask(bots[kind])["error"], f"{kind} to sign")  # type: ignore[misc]
    gateway.kill_worker_and_wait()
    assert {kind for kind, bot in bots.items() if ask(bot)["error"]} == set()
    assert gateway.stop() == 0
    done = made.process("serve")
    assert (done.returncode, "somebody else did" in done.stderr) == (4, True)


def test_a_setting_that_is_wrong_leaves_the_old_one_in_force(custody: RunningGateway) -> None:
    """A reload whose store cannot be used is refused in one line, and orders are signed as before."""
    config = custody.made.home.config
    before = config.read_text()
    config.write_text(before.replace('kind = "vault-transit"', 'kind = "vault-transit"\nmount = "nowhere"'))
    try:
        assert "stores" in custody.reload() or "store vault-transit" in custody.reload()
        assert custody.made.signer("reload").returncode == 3
    finally:
        config.write_text(before)
    bot = custody.client("vault-transit")
    assert ask(bot)["error"] == []


def test_the_gateways_login_cannot_add_keys(custody: RunningGateway) -> None:
    """`keys add` ends with status 4 and names the missing rights, and nothing is half stored."""
    pasted = json.dumps({"api_key": "a" * 56, "api_secret": "A" * 86 + "=="})
    for kind in ("vault-kv", "vault-transit"):
        done = custody.made.signer("keys", "add", "more", "--account", kind, "--stdin", stdin=pasted)
        assert (done.returncode, "admin.hcl" in done.stderr) == (4, True)
    assert "more" not in custody.made.signer("keys", "list").stdout
