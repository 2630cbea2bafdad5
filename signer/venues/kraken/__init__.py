"""How Kraken speaks. One file for each question: which endpoints are there, what does a request say, what do we answer.

Pure: no sockets, no clock; `signer.venues.kraken.venue.Kraken` is what the wiring puts behind `signer.contracts.Venue`.
"""
