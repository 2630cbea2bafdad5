"""Money comes in, goes out, is put to work and is reported as at Kraken."""

from __future__ import annotations

import io
import zipfile
from decimal import Decimal

import pytest

from tests.unit.sandbox.desk import START, Desk

DOT = "ESRFUO3-Q62XD-WIOIL7"


def test_an_accounts_first_money_is_a_deposit(desk: Desk) -> None:
    """DepositStatus and the ledger tell it alike."""
    (deposit,) = desk.ask("DepositStatus", asset="XBT")
    assert (deposit["asset"], deposit["amount"], deposit["status"]) == ("XXBT", "2.0000000000", "Success")
    (entry,) = desk.ask("Ledgers", asset="XBT")["ledger"].values()
    assert (entry["type"], entry["refid"]) == ("deposit", deposit["refid"])


def test_deposit_addresses_are_made_when_asked_for(desk: Desk) -> None:
    """There is no address before the first is made; later calls list the same ones, five at most."""
    fields = {"asset": "XBT", "method": desk.ask("DepositMethods", asset="XBT")[0]["method"]}
    assert desk.ask("DepositAddresses", **fields) == []
    (made,) = desk.ask("DepositAddresses", **fields, new="true")
    assert made["new"]
    assert [row["address"] for row in desk.ask("DepositAddresses", **fields)] == [made["address"]]
    for _ in range(4):
        desk.ask("DepositAddresses", **fields, new=True)
    assert desk.refused("DepositAddresses", **fields, new=True) == "EFunding:Too many addresses"


@pytest.mark.parametrize(
    ("method", "fields", "error"),
    [
        ("DepositMethods", {}, "EGeneral:Invalid arguments:asset"),
        ("DepositMethods", {"asset": "GOLD"}, "EFunding:Unknown asset"),
        ("DepositAddresses", {"asset": "XBT", "method": "Pigeon"}, "EFunding:No funding method"),
        ("DepositAddresses", {"asset": "USD", "method": "Wire (US)"}, "EGeneral:Invalid arguments:asset"),
        ("Withdraw", {"asset": "XBT", "key": "thief", "amount": "1"}, "EFunding:Unknown withdraw key"),
        ("Withdraw", {"asset": "XBT", "key": "cold-storage", "amount": "3"}, "EFunding:Invalid amount"),
        ("Withdraw", {"asset": "XBT", "key": "cold-storage", "amount": "0.00001"}, "EFunding:Invalid amount"),
        (
            "Withdraw",
            {"asset": "XBT", "key": "cold-storage", "amount": "1", "address": "elsewhere"},
            "EFunding:Unknown withdraw key",
        ),
        (
            "Withdraw",
            {"asset": "XBT", "key": "cold-storage", "amount": "1", "max_fee": "0.00001"},
            "EFunding:Max fee exceeded",
        ),
        ("WithdrawCancel", {"asset": "XBT", "refid": "A"}, "EFunding:Unknown reference id"),
        (
            "WalletTransfer",
            {"asset": "XBT", "amount": "1", "from": "Futures Wallet"},
            "EGeneral:Invalid arguments:from",
        ),
        (
            "AccountTransfer",
            {"asset": "XBT", "amount": "1", "from": "AA", "to": "AB"},
            "EGeneral:Invalid arguments:from",
        ),
        ("Earn/Allocate", {"strategy_id": "none", "amount": "1"}, "EGeneral:Invalid arguments:strategy_id"),
        ("Earn/Allocate", {"strategy_id": DOT, "amount": "0.01"}, "EEarnings:Below min"),
        ("Earn/Allocate", {"strategy_id": DOT, "amount": "1"}, "EEarnings:Insufficient funds"),
        ("AddExport", {"report": "secrets", "description": "x"}, "EGeneral:Invalid arguments:report"),
        ("RetrieveExport", {"id": "ABCD"}, "EGeneral:Invalid arguments:id"),
        ("Level3", {"pair": "XBTUSD", "depth": "7"}, "EGeneral:Invalid arguments:depth"),
    ],
)
def test_a_bad_request_is_refused_and_moves_nothing(
    desk: Desk, method: str, fields: dict[str, object], error: str
) -> None:
    """A bad request is refused in Kraken's words, and the balances stay as they were."""
    before = desk.money()
    assert desk.refused(method, **fields) == error
    assert desk.money() == before


def test_a_withdrawal_leaves_with_its_fee_and_can_be_taken_back_for_a_minute(desk: Desk) -> None:
    """The fee is part of the amount asked for; a cancel gives back both."""
    fields = {"asset": "XBT", "key": "cold-storage", "amount": "1"}
    info = desk.ask("WithdrawInfo", **fields)
    assert Decimal(info["amount"]) + Decimal(info["fee"]) == 1
    refid = desk.ask("Withdraw", **fields)["refid"]
    assert desk.money()["XXBT"][0] == "1.0000000000"
    (row,) = desk.ask("WithdrawStatus", asset="XBT")
    assert (row["refid"], row["amount"], row["status"], row["key"]) == (
        refid,
        info["amount"],
        "Pending",
        "cold-storage",
    )
    assert desk.ask("WithdrawCancel", asset="XBT", refid=refid) is True
    assert desk.money()["XXBT"][0] == "2.0000000000"
    assert desk.ask("WithdrawStatus")[0]["status-prop"] == "canceled"
    assert desk.refused("WithdrawCancel", asset="XBT", refid=refid) == "EFunding:Unknown reference id"


def test_a_withdrawal_that_is_done_cannot_be_taken_back(desk: Desk) -> None:
    """A withdrawal is done after a minute and can no longer be cancelled."""
    refid = desk.ask("Withdraw", asset="XBT", key="cold-storage", amount="1")["refid"]
    desk.time += 60
    assert desk.ask("WithdrawStatus")[0]["status"] == "Success"
    assert desk.refused("WithdrawCancel", asset="XBT", refid=refid) == "EFunding:Invalid reference id"


def test_held_money_cannot_be_withdrawn(desk: Desk) -> None:
    """What an open order holds stays."""
    desk.add("sell", "limit", "1.5", "70000")
    refused = desk.refused("Withdraw", asset="XBT", key="cold-storage", amount="1")
    assert refused == "EFunding:Invalid amount"


def test_approved_addresses_are_listed_for_each_asset(desk: Desk) -> None:
    """Each asset has one approved address, always the same."""
    (row,) = desk.ask("WithdrawAddresses", asset="XBT")
    assert (row["key"], row["verified"]) == ("cold-storage", True)
    assert row in desk.ask("WithdrawAddresses")
    assert desk.ask("WithdrawAddresses", key="thief") == []
    assert {row["asset"] for row in desk.ask("WithdrawMethods")} >= {"XXBT", "ZUSD", "DOT"}


def test_transfers_reach_the_other_wallet_and_the_other_account(desk: Desk) -> None:
    """What leaves one arrives at the other."""
    desk.exchange.open_account("other", {})
    (mine,) = desk.ask("ListWalletAccounts")
    theirs = desk.ask_as("other", "ListWalletAccounts")[0]
    desk.ask("WalletTransfer", asset="XBT", amount="0.5", **{"from": "Spot Wallet", "to": "Futures Wallet"})
    between = {"from": mine["account_id"], "to": theirs["account_id"]}
    assert desk.ask("AccountTransfer", asset="XBT", amount="0.5", **between)["status"] == "complete"
    assert desk.money()["XXBT"][0] == "1.0000000000"
    assert desk.ask_as("other", "Balance") == {"XXBT": "0.5000000000"}


def test_money_put_to_work_stands_apart_until_it_is_taken_back(desk: Desk) -> None:
    """Allocated money leaves the tradable balance, shows in the allocations, and returns."""
    desk.exchange.open_account("earner", {"DOT": Decimal(10)})
    assert desk.ask_as("earner", "Earn/Allocate", strategy_id=DOT, amount="4") is True
    assert desk.ask_as("earner", "Balance") == {"DOT": "6.0000000000", "DOT.F": "4.0000000000"}
    assert desk.ask_as("earner", "Earn/AllocateStatus", strategy_id=DOT) == {"pending": False}
    (item,) = desk.ask_as("earner", "Earn/Allocations", converted_asset="USD")["items"]
    assert item["amount_allocated"]["total"] == {"native": "4.0000000000", "converted": "26.0000"}
    assert desk.ask_as("earner", "Earn/Deallocate", strategy_id=DOT, amount="4") is True
    assert desk.ask_as("earner", "Balance") == {"DOT": "10.0000000000", "DOT.F": "0.0000000000"}


def test_strategies_are_listed_by_asset(desk: Desk) -> None:
    """All strategies are listed, or those of one asset."""
    assert len(desk.ask("Earn/Strategies")["items"]) == 4
    (strategy,) = desk.ask("Earn/Strategies", asset="DOT")["items"]
    assert (strategy["id"], strategy["lock_type"]["type"]) == (DOT, "instant")


@pytest.mark.parametrize(("report", "fmt"), [("ledgers", "CSV"), ("trades", "TSV")])
def test_an_export_is_a_zip_of_the_rows(desk: Desk, report: str, fmt: str) -> None:
    """Asked for, listed, retrieved with what had happened by then, and removed."""
    desk.add("buy", "market", "0.1")
    made = desk.ask("AddExport", report=report, description="my books", format=fmt)["id"]
    desk.add("buy", "market", "0.1")
    (status,) = desk.ask("ExportStatus", report=report)
    assert (status["id"], status["descr"], status["status"]) == (made, "my books", "Processed")
    with zipfile.ZipFile(io.BytesIO(desk.ask("RetrieveExport", id=made))) as archive:
        (name,) = archive.namelist()
        lines = archive.read(name).decode().splitlines()
    assert name == f"{report}.{fmt.lower()}"
    assert len(lines) == {"ledgers": 1 + 4, "trades": 1 + 1}[report]
    assert desk.ask("RemoveExport", id=made, type="delete") == {"delete": True}
    assert desk.ask("ExportStatus", report=report) == []


def test_an_export_has_the_columns_and_times_asked_for(desk: Desk) -> None:
    """An export has no other columns and no other times."""
    desk.time += 10
    desk.add("buy", "market", "0.1")
    made = desk.ask("AddExport", report="ledgers", description="x", fields="asset,amount", starttm=str(int(START) + 5))
    with zipfile.ZipFile(io.BytesIO(desk.ask("RetrieveExport", id=made["id"]))) as archive:
        text = archive.read("ledgers.csv").decode()
    assert text == "asset,amount\nZUSD,-6000.0100\nXXBT,0.1000000000\n"


def test_the_book_order_by_order_agrees_with_the_depth(desk: Desk) -> None:
    """Level3 has the prices that Depth sums up."""
    book = desk.ask("Level3", pair="XBTUSD", depth="10")
    depth = desk.exchange.public("Depth", {"pair": "XBTUSD", "count": "10"})
    assert isinstance(depth, dict)
    assert [row["price"] for row in book["asks"]] == [row[0] for row in depth["XXBTZUSD"]["asks"]]
    assert len({row["order_id"] for row in book["asks"] + book["bids"]}) == 20
