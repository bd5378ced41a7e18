"""The free addresses of one pool, as intervals: a /64 costs as much as a single address."""

from bisect import bisect_right

from netlb.api.v1alpha1 import AddressPoolSpec
from netlb.net import Address, AddressRange, Family, confuses_buggy_firmware, family_of

__all__ = ["Space"]


class _Free:
    """Sorted, disjoint, non-adjacent intervals of integers that are free within one range."""

    def __init__(self, span: AddressRange) -> None:
        self.span = span
        self._starts = [span.first]
        self._ends = [span.last]

    def _find(self, value: int) -> int:
        """Return the index of the interval that holds a value, or -1."""
        index = bisect_right(self._starts, value) - 1
        return index if index >= 0 and value <= self._ends[index] else -1

    def __contains__(self, value: int) -> bool:
        return self._find(value) >= 0

    def lowest(self) -> int | None:
        return self._starts[0] if self._starts else None

    def take(self, value: int) -> None:
        index = self._find(value)
        start, end = self._starts[index], self._ends[index]
        pieces = [piece for piece in ((start, value - 1), (value + 1, end)) if piece[0] <= piece[1]]
        self._starts[index : index + 1] = [piece[0] for piece in pieces]
        self._ends[index : index + 1] = [piece[1] for piece in pieces]

    def give_back(self, value: int) -> None:
        index = bisect_right(self._starts, value)
        joins_lower = index > 0 and self._ends[index - 1] == value - 1
        joins_upper = index < len(self._starts) and self._starts[index] == value + 1
        if joins_lower and joins_upper:
            self._ends[index - 1] = self._ends.pop(index)
            del self._starts[index]
        elif joins_lower:
            self._ends[index - 1] = value
        elif joins_upper:
            self._starts[index] = value
        else:
            self._starts.insert(index, value)
            self._ends.insert(index, value)


class Space:
    """Which addresses of a pool are free. Not thread-safe, no I/O."""

    def __init__(self, spec: AddressPoolSpec) -> None:
        self._avoid_buggy = spec.avoid_buggy_ips
        self._free = [_Free(span) for span in spec.spans]
        self._held = {Family.IPV4: 0, Family.IPV6: 0}

    def __contains__(self, address: Address) -> bool:
        """Say whether the pool holds the address, free or not."""
        return any(address in free.span for free in self._free)

    def gives(self, address: Address) -> bool:
        """Say whether the pool would ever give the address out."""
        return address in self and not self._avoids(family_of(address), int(address))

    def is_free(self, address: Address) -> bool:
        """Say whether the address is the pool's and nobody holds it."""
        return any(address in free.span and int(address) in free for free in self._free)

    def take(self, address: Address) -> None:
        """Mark a free address as held."""
        free = next(free for free in self._free if address in free.span)
        free.take(int(address))
        self._held[family_of(address)] += 1

    def give_back(self, address: Address) -> None:
        """Mark a held address as free."""
        free = next(free for free in self._free if address in free.span)
        free.give_back(int(address))
        self._held[family_of(address)] -= 1

    def lowest(self, family: Family) -> Address | None:
        """Return the first free address: ranges in their written order, the lowest address of each first."""
        for free in self._free:
            if free.span.family is not family:
                continue
            while (value := free.lowest()) is not None:
                if not self._avoids(family, value):
                    return free.span.address(value)
                free.take(value)  # never given out: gone from the list, so that nobody meets it again
        return None

    def size(self, family: Family) -> int:
        """Count the addresses of a family that the pool would give out; exact at any size."""
        spans = [free.span for free in self._free if free.span.family is family]
        total = sum(span.size for span in spans)
        if self._avoid_buggy and family is Family.IPV4:
            total -= sum(_buggy_up_to(span.last) - _buggy_up_to(span.first - 1) for span in spans)
        return total

    def held(self, family: Family) -> int:
        """Count the addresses of a family that are held."""
        return self._held[family]

    def _avoids(self, family: Family, value: int) -> bool:
        return self._avoid_buggy and confuses_buggy_firmware(family, value)


def _buggy_up_to(value: int) -> int:
    """Count the IPv4 addresses from 0.0.0.0 to `value` (-1: none) that end in .0 or .255."""
    whole, rest = divmod(value + 1, 256)
    return 2 * whole + (rest > 0)
