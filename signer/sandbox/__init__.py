"""A simulated Kraken to demo and test against.

It imports only ``model`` and ``errors`` of this package: the referee shares no code with the player.
"""
