"""A simulated Kraken to demo and test against.

Imports nothing of ours but layer 0: the referee shares no code with the player.
"""
