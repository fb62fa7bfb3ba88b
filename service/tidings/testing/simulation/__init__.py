"""The whole of delivery against a broker and a ledger in memory, under a seeded scheduler and a virtual clock."""

from tidings.testing.simulation.run import Report, simulate

__all__ = ["Report", "simulate"]
