"""The ledger: all state that must be atomic, behind `contracts.Ledger`."""
