"""Acts of an operator, without a command line."""
