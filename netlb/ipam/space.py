"""The addresses of one pool and family, and which of them are free; a /0 costs as much as a single address.

Addresses are integers here. They have positions: the first address of the first range as written is number 0, and
so on through all ranges; what is free is kept as intervals of positions, so the first free address is the end of a
list however large the pool is and however much of it is held.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from netlb.net import AddressRange, Family, confuses_buggy_firmware

__all__ = ["Space"]


class Space:
    """Not thread-safe, no I/O."""

    def __init__(self, family: Family, spans: Iterable[AddressRange], *, avoid_buggy: bool = False) -> None:
        """Begin with everything free. The spans do not overlap; those of the other family are passed over."""
        self._avoid_buggy = avoid_buggy and family is Family.IPV4
        self._family = family
        written = [span for span in spans if span.family is family]
        placed = []
        total = 0
        for span in written:
            placed.append((span.first, span.last, total))
            total += span.size
        self._by_position = [first for first, _, _ in placed], [position for _, _, position in placed]
        placed.sort()
        self._firsts = [first for first, _, _ in placed]
        self._lasts = [last for _, last, _ in placed]
        self._positions = [position for _, _, position in placed]
        # Both lists hold negated positions in ascending order: the lowest interval is the last, and cheap to change.
        self._starts = [0] if total else []
        self._ends = [1 - total] if total else []
        self.held = 0
        self.size = total
        """How many addresses can be given; exact, however many."""
        if self._avoid_buggy:
            self.size -= sum(_buggy_up_to(span.last) - _buggy_up_to(span.first - 1) for span in written)

    def __contains__(self, value: int) -> bool:
        """Say whether the address is one that can be given, free or not."""
        return self._position(value) >= 0 and not (self._avoid_buggy and confuses_buggy_firmware(self._family, value))

    def is_free(self, value: int) -> bool:
        """Say whether the address can be given now."""
        return value in self and self._find(self._position(value)) >= 0

    def has_free(self) -> bool:
        """Say whether any address can be given now."""
        return bool(self._starts) and (not self._avoid_buggy or self.lowest() is not None)

    def lowest(self) -> int | None:
        """Return the first free address: ranges in their written order, the lowest address of each first."""
        while self._starts:
            position = -self._starts[-1]
            firsts, positions = self._by_position
            index = bisect_right(positions, position) - 1
            value = firsts[index] + position - positions[index]
            if not (self._avoid_buggy and confuses_buggy_firmware(self._family, value)):
                return value
            self._remove(position)  # never given out: gone from the list, so that nobody meets it again
        return None

    def take(self, value: int) -> bool:
        """Mark a free address as held; False, and nothing, if it cannot be given."""
        if value not in self or not self._remove(self._position(value)):
            return False
        self.held += 1
        return True

    def give_back(self, value: int) -> bool:
        """Mark a held address as free; False, and nothing, if it could not have been given."""
        if value not in self:
            return False
        position = self._position(value)
        index = bisect_left(self._starts, -position)  # of the next lower interval
        self.held -= 1
        joins_lower = index < len(self._starts) and -self._ends[index] == position - 1
        joins_upper = index > 0 and -self._starts[index - 1] == position + 1
        if joins_lower and joins_upper:
            self._ends[index] = self._ends[index - 1]
            del self._starts[index - 1], self._ends[index - 1]
        elif joins_lower:
            self._ends[index] = -position
        elif joins_upper:
            self._starts[index - 1] = -position
        else:
            self._starts.insert(index, -position)
            self._ends.insert(index, -position)
        return True

    def order(self, value: int) -> int:
        """Return the address's position among all of the pool's, from 0."""
        return self._position(value)

    def _position(self, value: int) -> int:
        index = bisect_right(self._firsts, value) - 1
        if index < 0 or value > self._lasts[index]:
            return -1
        return self._positions[index] + value - self._firsts[index]

    def _find(self, position: int) -> int:
        """Return the index of the interval that holds a position, or -1."""
        index = bisect_left(self._starts, -position)
        return index if index < len(self._starts) and position <= -self._ends[index] else -1

    def _remove(self, position: int) -> bool:
        index = self._find(position)
        if index < 0:
            return False
        start, end = -self._starts[index], -self._ends[index]
        if start == end:
            del self._starts[index], self._ends[index]
        elif position == start:
            self._starts[index] = -(position + 1)
        else:
            self._ends[index] = -(position - 1)
            if position < end:
                self._starts.insert(index, -(position + 1))
                self._ends.insert(index, -end)
        return True


def _buggy_up_to(value: int) -> int:
    """Count the IPv4 addresses from 0.0.0.0 to `value` (-1: none) that end in .0 or .255."""
    whole, rest = divmod(value + 1, 256)
    return 2 * whole + (rest > 0)
