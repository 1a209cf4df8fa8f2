"""The tree of hashes over entries: as RFC 6962 has it, and its proofs are what the audit asks for."""

import hashlib
from random import Random

import pytest

from audit import inclusion
from suanli.billing.inclusion import NO_TREE, Tree, proof, tree_root

HASHES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(70)]


def of_rfc(hashes: list[str]) -> bytes:
    """Section 2.1, word for word."""
    if len(hashes) == 1:
        return hashlib.sha256(b"\0" + bytes.fromhex(hashes[0])).digest()
    k = max(1 << i for i in range(8) if 1 << i < len(hashes))
    return hashlib.sha256(b"\1" + of_rfc(hashes[:k]) + of_rfc(hashes[k:])).digest()


def test_the_root_is_that_of_the_rfc() -> None:
    tree, others = Tree(), inclusion.Growing()
    assert tree.root() == others.root() == tree_root([]) == NO_TREE
    for count, hash_ in enumerate(HASHES, 1):
        tree.add(hash_)
        others.add(hash_)
        assert tree.root() == others.root() == of_rfc(HASHES[:count]).hex()


def test_what_is_proved_and_the_last_entry_come_to_the_root() -> None:
    dice = Random(5)
    for _ in range(300):
        count = dice.randint(1, len(HASHES))
        places = sorted(dice.sample(range(count), dice.randint(0, count)))
        told = list(proof(HASHES[:count], count, places))
        leaves = {place: HASHES[place] for place in (*places, count - 1)}
        assert inclusion.root(count, leaves, told) == tree_root(HASHES[:count])
        assert len(told) <= len(leaves) * count.bit_length()
        wrong = dice.choice(sorted(leaves))
        assert inclusion.root(count, leaves | {wrong: "0" * 64}, told) != tree_root(HASHES[:count])
        with pytest.raises(ValueError, match="more hashes"):
            inclusion.root(count, leaves, [*told, HASHES[0]])
        if told:
            with pytest.raises(ValueError, match="too few"):
                inclusion.root(count, leaves, told[1:])
    with pytest.raises(ValueError, match="beyond the 3"):
        inclusion.root(3, {3: HASHES[3]}, [])
