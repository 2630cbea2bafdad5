"""The book: what may still be spent, as a fold over the records of the audit log."""
