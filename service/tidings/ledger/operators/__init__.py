"""Remembers what operators order, and answers what they ask of the ledger as a whole."""
