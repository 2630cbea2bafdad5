"""The private CA for bots that hard-code the exchange's name, and what TLS listeners show."""
