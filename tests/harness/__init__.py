"""Homes, gateways, bots and exchanges for the tests that run more than one part of the program."""
