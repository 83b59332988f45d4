"""Facts of meters from the catalog, as steps need them."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from smartdata_ts._meter.units import amount_of
from smartdata_ts.kernels.arrays import Float64Array


@dataclass(frozen=True)
class Exchange:
    """A meter that took another's place."""

    time: int  # us UTC
    final: float  # of the old register
    initial: float  # of the new one
    multiplier: float | None  # of the new meter; None: as before
    register_digits: int | None


@dataclass(frozen=True)
class Facts:
    """Facts of the selection's series, by position."""

    kinds: list[str | None]
    intervals_us: list[int | None]
    register_digits: list[int | None]
    multipliers: list[float | None]
    units: list[str | None]
    quantities: list[str | None]
    exchanges: dict[int, list[Exchange]] = field(default_factory=dict)  # in the order of time
    tags: dict[str, list[str | None]] = field(default_factory=dict)  # by name, where rules ask for them

    @cached_property
    def amount_units(self) -> list[str | None]:
        """The unit of what each series amounts to over time."""
        return [amount_of(*said)[0] for said in zip(self.units, self.kinds, strict=True)]

    @cached_property
    def moduli(self) -> Float64Array:
        """Beyond what each register begins anew; 0: it is not known to."""
        return np.array([modulus_of(digits) for digits in self.register_digits], np.float64)

    @cached_property
    def factors(self) -> Float64Array:
        """By what each series' readings are multiplied."""
        return np.array([1.0 if factor is None else factor for factor in self.multipliers], np.float64)


def modulus_of(digits: int | None) -> float:
    """Beyond what a register of so many digits begins anew; 0 where they are not known."""
    return 10.0**digits if digits else 0.0
