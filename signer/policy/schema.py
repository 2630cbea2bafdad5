"""Defines a policy file: its keys and their types. The venue says which words it may list.

The JSON Schema for editors (policies/policy.schema.json) is made from these models. docs/policy.md explains each key.
"""

from __future__ import annotations

import json
from datetime import date
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from signer.model import Vocabulary

Side = Literal["buy", "sell"]
FLAGS = "oflags"
"""The key that lists flags, and the name of its rule."""

# The digits are bounded so that arithmetic with amounts is exact.
Money = Annotated[str, Field(pattern=r"^[0-9]{1,15}(\.[0-9]{1,18})? [A-Za-z0-9.]{1,16}$", examples=["2500 USD"])]
Window = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}[smhd]$", examples=["24h"])]


def _real_day(text: str) -> str:
    """Return ``text`` if it is a day of the calendar. Raises ValueError if not."""
    date.fromisoformat(text)
    return text


Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2027-01-31"]), AfterValidator(_real_day)]
Reason = Annotated[str, Field(pattern=r"^\S.*$")]


class Table(BaseModel):
    """A table of a policy file. Unknown keys are errors, and values are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CapTable(Table):
    """``[[cap]]``: the most that a client may trade within any period of this length."""

    window: Window = Field(description="Length of the rolling period: a number and s, m, h or d.")
    max_notional: Money | None = Field(None, description="Most value of all orders within the window.")
    max_orders: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="Most orders placed or changed within the window."
    )


Calls = Annotated[int, Field(ge=1, le=10_000)] | None


class MaxCallsTable(Table):
    """``[[max_calls]]``: the most calls of each kind that a client may make within any period of this length."""

    window: Window = Field(description="Length of the rolling period: a number and s, m, h or d.")
    new: Calls = Field(None, description="Most new orders; each of a batch counts.")
    amend: Calls = Field(None, description="Most orders amended or edited.")
    cancel: Calls = Field(None, description="Cancels above this are warned about; none is refused.")
    read: Calls = Field(None, description="Most other calls.")


class PolicyFile(Table):
    """Says what one kind of client may do. What it does not state is not allowed."""

    version: Literal[1] = Field(description="Version of this format.")
    description: str = Field("", description="What the policy is for, in a sentence.")
    review_by: Day | None = Field(
        None,
        description="Day (UTC) by which somebody should look at the policy again; decides nothing, warns when past.",
    )
    permissions: tuple[str, ...] = Field(
        strict=False, description="The exchange's own words, as on the page of an API key."
    )
    venue: str = Field("", description="The venue that it is for, needed only if the home has accounts at several.")
    pairs: tuple[str, ...] = Field((), strict=False, description="Pairs that may be traded, in any spelling.")
    sides: tuple[Side, ...] = Field((), strict=False, description="Sides that orders may have.")
    order_types: tuple[str, ...] = Field((), strict=False, description="Types that orders may have.")
    time_in_force: tuple[str, ...] = Field(
        ("GTC",), strict=False, description="Times in force that orders may have; an order that says none has GTC."
    )
    oflags: tuple[str, ...] = Field((), strict=False, description="Flags that orders may carry.")
    leverage: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None, description="Highest leverage; without it nothing on margin is allowed."
    )
    close_orders: bool = Field(False, description="Whether an order may carry a conditional close.")
    relative_prices: bool = Field(False, description="Whether prices may be relative to the market.")
    schedule: Window | None = Field(
        None, description="How far ahead the start or the end of an order may lie; without it none may."
    )
    order_scope: Literal["own", "account"] = Field(
        "own", description="Whose orders it may cancel and change: its own, or everybody's on the account."
    )
    sees: Literal["own", "account"] = Field(
        "own",
        description="Whether it may make calls that can only show the whole account, as trackers and tax tools do.",
    )
    max_order_size: tuple[Money, ...] = Field((), strict=False, description="Largest order, for each base asset.")
    max_order_notional: tuple[Money, ...] = Field(
        (), strict=False, description="Most valuable order, for each quote currency."
    )
    cap: tuple[CapTable, ...] = Field((), strict=False, description="Rolling caps over all orders.")
    max_calls: tuple[MaxCallsTable, ...] = Field((), strict=False, description="How fast it may call.")
    uncapped: Reason | None = Field(
        None, description="Why the policy trades without all of size, notional and rolling caps; shown at every start."
    )


def policy_form(words: Vocabulary) -> type[PolicyFile]:
    """Return the form of policy files for accounts of one venue, which takes only its words."""
    return _policy_form(words.permissions, words.order_types, words.times_in_force, words.flags)


@lru_cache(maxsize=16)
def _policy_form(
    permissions: tuple[str, ...], order_types: tuple[str, ...], times_in_force: tuple[str, ...], flags: tuple[str, ...]
) -> type[PolicyFile]:
    words = {
        "permissions": permissions, "order_types": order_types, "time_in_force": times_in_force, FLAGS: flags
    }  # fmt: skip
    listed: dict[str, Any] = {key: (_words(words[key]), PolicyFile.model_fields[key]) for key in words}
    return create_model("PolicyFile", __base__=PolicyFile, __doc__=PolicyFile.__doc__, **listed)


def _words(words: tuple[str, ...]) -> Any:
    return tuple[Literal[words], ...]  # type: ignore[valid-type]


def json_schema(words: Vocabulary) -> str:
    """Return the JSON Schema of a policy file for one venue, as committed in policies/policy.schema.json."""
    schema = policy_form(words).model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "signer policy"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
