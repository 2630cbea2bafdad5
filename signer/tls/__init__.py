"""The private CA for bots that hard-code the venue's name, and the certificates that TLS listeners show."""
