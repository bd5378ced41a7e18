"""What a benchmark is meant to show, and whether it did."""

from dataclasses import dataclass

__all__ = ["Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A measured value that is to stay below a limit. Missing it is a result and no failure of the run."""

    name: str
    value: float | None
    """None where it could not be measured."""
    limit: float
    unit: str

    @property
    def met(self) -> bool | None:
        """Whether the value is below the limit; None where there is no value."""
        return None if self.value is None else self.value < self.limit

    def as_json(self) -> dict[str, object]:
        """Return the target in the form of the results file."""
        return {"name": self.name, "value": self.value, "limit": self.limit, "unit": self.unit, "met": self.met}
