"""A freqtrade strategy that enters at each candle, takes 1 % and stops at 2 %. The orders are freqtrade's own."""

from freqtrade.strategy import IStrategy
from pandas import DataFrame


class AlwaysIn(IStrategy):  # type: ignore[misc]
    """Its numbers alone say what it does."""

    timeframe = "1m"
    minimal_roi = {"0": 0.01}  # noqa: RUF012 - freqtrade's own way to state it
    stoploss = -0.02

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """None."""
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Enter at each candle."""
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, str]) -> DataFrame:
        """Leave exits to the numbers."""
        return dataframe
