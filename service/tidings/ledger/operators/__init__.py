"""Operators' orders, and reports about the ledger as a whole."""
