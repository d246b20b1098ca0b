"""Several rounds of one number: its median, and how far the rounds lie apart."""

import statistics
from collections.abc import Iterable, Sequence

from attrs import frozen


@frozen
class Spread:
    """The median of some rounds with the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """:raises ValueError: no values."""
        numbers = sorted(values)
        if not numbers:
            raise ValueError("no rounds to sum up")
        return cls(statistics.median(numbers), numbers[0], numbers[-1])

    def __format__(self, spec: str) -> str:
        """The median and the range: ``2.31 (2.25-2.40)``, each number by ``spec``."""
        return f"{self.median:{spec}} ({self.least:{spec}}-{self.most:{spec}})"


def percentile(values: Sequence[float], share: float) -> float:
    """The least of the sorted ``values`` that at least ``share`` (0 to 1) of them don't exceed."""
    return values[min(len(values) - 1, max(0, -int(-share * len(values) // 1) - 1))]
