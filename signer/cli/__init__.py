"""The command line: one file per group of commands. Starts things; decides nothing."""
