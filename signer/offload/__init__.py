"""Keeps blocking work off the event loop: one thread, and one flush for all callers who wait."""
