"""Peers that do a part of the gateway's work: verify, sign with another key, forward, keep a record."""
