"""Makes ids in Kraken's shapes from one seed, so that a run repeats exactly."""

from __future__ import annotations

import random

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Ids:
    """Makes ids like Kraken's that are unique within one exchange."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - names that repeat, not secrets
        self._used: set[str] = set()
        self._prints = 0

    def order(self) -> str:
        """Answer a new order's txid, as ``OQCLML-BW3P3-BUCMWZ``."""
        return self._new("O", (5, 5, 6))

    def trade(self) -> str:
        """Answer a new id of a trade, position or amend, as ``TDLH43-DVQXD-2KHVYY``."""
        return self._new("T", (5, 5, 6))

    def ledger(self) -> str:
        """Answer a new ledger entry's id, as ``LMKZCZ-Z3GVL-CXKK4H``."""
        return self._new("L", (5, 5, 6))

    def transfer(self, kind: str) -> str:
        """Answer a new funding reference that begins with ``kind`` (``A`` withdrawal, ``B`` wallet, ``E`` earn)."""
        return self._new(kind, (6, 6, 6))

    def export(self) -> str:
        """Answer a new export's id, as ``TCJA``."""
        return self._new("", (4,))

    def iban(self) -> str:
        """Answer a new account's id for transfers, as ``AA61 N84G 2WQP XNBA``."""
        return "AA" + self._new("", (2, 4, 4, 4)).replace("-", " ")

    def print(self) -> int:
        """Answer the next number of a trade on the public tape."""
        self._prints += 1
        return self._prints

    def hex(self, length: int) -> str:
        """Answer ``length`` hexadecimal digits: an address, a transaction hash."""
        return "".join(self._random.choices("0123456789abcdef", k=length))

    def _new(self, first: str, lengths: tuple[int, ...]) -> str:
        while True:
            groups = ["".join(self._random.choices(_LETTERS, k=length)) for length in lengths]
            made = first + "-".join(groups)
            if made not in self._used:
                self._used.add(made)
                return made
