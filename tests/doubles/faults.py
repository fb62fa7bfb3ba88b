"""What goes wrong in a simulation: drawn from a seed, until as much has gone wrong as was agreed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

QUICK: Final = 0.02
SLOW: Final = 12.0
"""Seconds that a slow one takes at most: longer than any time limit."""


@dataclass(slots=True)
class Faults:
    """Decides at every await what happens there.

    Args:
        random: The seed's.
        budget: Troubles left; afterwards everything works.
        rates: How likely each kind is wherever it may happen.
        tell: Called for each.
    """

    random: Random
    budget: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)
    tell: Callable[[str], None] = print
    quick: float = QUICK
    """Seconds that most replies take at most."""

    def strikes(self, kind: str, where: str = "") -> bool:
        """Whether it goes wrong here."""
        if self.budget <= 0 or self.random.random() >= self.rates.get(kind, 0.0):
            return False
        self.budget -= 1
        self.tell(f"!! {kind} {where}")
        return True

    def latency(self) -> float:
        """Seconds that a message takes from one machine to another."""
        draw = self.random.random()
        return 0.0 if draw < 0.5 else draw * self.quick

    def delay(self) -> float:
        """Seconds that a slow one takes."""
        return self.random.uniform(0.5, SLOW)


def no_faults() -> Faults:
    """Nothing goes wrong, and nothing takes any time."""
    return Faults(Random(0), quick=0.0)  # no secret
