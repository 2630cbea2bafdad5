"""A venue in the manner of OKX v5, for tests only: timestamps, HMAC-SHA256, a passphrase, GET and POST, rows.

Its orders are known by pair and id together, so the id that the rest of the program sees is ``BTC-USDT/123``.
"""
