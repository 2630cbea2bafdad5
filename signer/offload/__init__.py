"""Blocking work off the event loop: one thread, one flush for all who wait."""
