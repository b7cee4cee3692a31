"""The ledger: what was asked for, what runs where, and how each try ended."""
