"""Peers that do what the gateway does, as far as that is: verify, sign with another key, forward, keep a record."""
