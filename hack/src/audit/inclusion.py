"""The root of a tree of hashes (RFC 6962, section 2.1) from some of its leaves and what a proof says of the others."""

import hashlib
from collections.abc import Mapping, Sequence


class Growing:
    """The tree over all leaves, as they come."""

    def __init__(self) -> None:
        self._done: list[
            bytes | None
        ] = []  # at place i the hash of a full part of 2**i leaves that waits for its neighbour

    def add(self, leaf: str) -> None:
        """The next one."""
        node, place = _of_leaf(leaf), 0
        while place < len(self._done) and (left := self._done[place]) is not None:
            self._done[place] = None
            node, place = _of_two(left, node), place + 1
        self._done[place : place + 1] = [node]

    def root(self) -> str:
        """The root."""
        found: bytes | None = None
        for part in self._done:
            if part is not None:
                found = part if found is None else _of_two(part, found)
        return (hashlib.sha256().digest() if found is None else found).hex()


def root(count: int, leaves: Mapping[int, str], told: Sequence[str]) -> str:
    """The root over `count` leaves; of greatest parts without a known leaf, `told` has the hashes from left to right.

    Raises: ValueError where that is too little, too much, or no hash.
    """
    places, rest = sorted(leaves), iter(told)
    if not all(0 <= place < count for place in places):
        raise ValueError(f"an entry is beyond the {count} of the ledger")

    def of(begin: int, end: int, known: Sequence[int]) -> bytes:
        if not known:
            hash_ = next(rest, None)
            if hash_ is None:
                raise ValueError("it has too few hashes")
            return bytes.fromhex(hash_)
        if end - begin == 1:
            return _of_leaf(leaves[begin])
        half = 1
        while half * 2 < end - begin:
            half *= 2
        middle = begin + half
        left = [place for place in known if place < middle]
        return _of_two(of(begin, middle, left), of(middle, end, known[len(left) :]))

    found = of(0, count, places) if count else hashlib.sha256().digest()
    if next(rest, None) is not None:
        raise ValueError("it has more hashes than are needed")
    return found.hex()


def _of_leaf(leaf: str) -> bytes:
    return hashlib.sha256(b"\0" + bytes.fromhex(leaf)).digest()


def _of_two(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
