"""Facts about the market: the pairs that the venue lists."""
