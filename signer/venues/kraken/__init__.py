"""Kraken spot, over REST."""
