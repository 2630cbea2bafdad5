"""A local proxy that holds the real exchange secret, so that trading bots never see it."""

__version__ = "0.1.0"
