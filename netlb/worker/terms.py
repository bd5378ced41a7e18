"""What a worker is started with, as arguments of its command line: nothing secret is among them."""

from typing import NamedTuple

__all__ = ["Terms"]


class Terms(NamedTuple):
    """The terms of one worker."""

    patience: float
    """Seconds for which it goes on without hearing the program."""
    directory: str = ""
    """Where it can be found by another program when its own is dead; none: it ends with its program."""
    name: str = ""
    """Its own among the workers that can be found there."""
    identity: str = ""
    """Only a program that gives the same may take it over: of the same version, for the same node."""

    @property
    def path(self) -> str:
        """Its socket."""
        return f"{self.directory}/{self.name}.sock"

    def arguments(self) -> list[str]:
        """Return them as words."""
        return [str(self.patience), self.directory, self.name, self.identity]

    @classmethod
    def parse(cls, words: list[str]) -> "Terms":
        """Read what `arguments` returned."""
        patience, directory, name, identity = words
        return cls(float(patience), directory, name, identity)
