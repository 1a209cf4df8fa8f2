"""A tree of hashes over the ledger's entries: proves that some of them are in it, and shows nothing of the others. Pure.

The tree is that of RFC 6962, section 2.1, over the hashes of the entries: of `n` leaves the left part has the greatest power of two
below `n`. A proof is what is missing to compute the root again: the hash of every greatest part without an entry that is proved,
from left to right. The last entry is always proved: its hash is the root of the chain, so both roots speak of one ledger.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

NO_TREE = hashlib.sha256(b"").hexdigest()  # the root over no entries


class Tree:
    """The tree while entries are added; it keeps no more than a hash for each power of two."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, bytes]] = []  # sizes, each a smaller power of two, and their hashes

    def add(self, hash_: str) -> None:
        """The next entry, by its hash."""
        size, found = 1, _leaf(hash_)
        while self._parts and self._parts[-1][0] == size:
            size, found = 2 * size, _node(self._parts.pop()[1], found)
        self._parts.append((size, found))

    def root(self) -> str:
        """The root over all that was added."""
        if not self._parts:
            return NO_TREE
        found = self._parts[-1][1]
        for _, left in self._parts[-2::-1]:
            found = _node(left, found)
        return found.hex()


def tree_root(hashes: Iterable[str]) -> str:
    """The root over entries, given by their hashes in order."""
    tree = Tree()
    for hash_ in hashes:
        tree.add(hash_)
    return tree.root()


def proof(hashes: Iterable[str], count: int, proved: Sequence[int]) -> Iterator[str]:
    """What is missing beside the `proved` entries and the last one; `proved` are places from 0, ascending, below `count`.

    Reads the hashes once, and holds none.
    """
    places = proved if proved and proved[-1] == count - 1 else [*proved, count - 1]
    source = iter(hashes)

    def walk(begin: int, end: int) -> Iterator[str]:
        first = bisect_left(places, begin)
        if first == len(places) or places[first] >= end:
            yield tree_root(next(source) for _ in range(end - begin))
        elif end - begin == 1:
            next(source)
        else:
            middle = begin + _left(end - begin)
            yield from walk(begin, middle)
            yield from walk(middle, end)

    if count:
        yield from walk(0, count)


def _leaf(hash_: str) -> bytes:
    """The hash of an entry as a leaf."""
    return hashlib.sha256(b"\x00" + bytes.fromhex(hash_)).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _left(size: int) -> int:
    """The greatest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1
