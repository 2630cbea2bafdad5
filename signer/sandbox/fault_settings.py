"""The settings that all faults have."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

EVERY = "*"
"""Matches every endpoint that a fault can meet: for most faults all, including public ones."""


class FaultSettings(BaseModel):
    """The settings of all faults: ``count`` requests to ``endpoint`` meet it, after ``skip`` requests that do not.

    With a ``chance`` below 1, the ``seed`` decides which of the requests meet it. ``acts`` says whether the exchange
    executes the request although the caller gets no proper answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    endpoint: str = EVERY
    count: PositiveInt = 1
    skip: Annotated[int, Field(ge=0)] = 0
    chance: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: int = 1

    def meets(self, endpoint: str) -> bool:
        """Answer whether a request to this endpoint can meet it."""
        return self.endpoint in {EVERY, endpoint}
