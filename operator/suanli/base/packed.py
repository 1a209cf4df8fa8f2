"""JSON of which very much is kept and little is read: small while it rests."""

import json
import zlib
from functools import lru_cache
from typing import Any

FAST = 1  # zlib's level
WINDOW_BITS, MEMORY_LEVEL = 13, 5  # 8 KiB back: documents are hardly longer, and zlib's own buffers are large
MOST_AT_HAND = 1_024  # documents that were read a moment ago: who reads one reads it again at once


def typical(document: object) -> bytes:
    """What documents of a kind have in common: those that are packed `like` it are as large as the difference."""
    return _text(document)


def packed(document: object, like: bytes) -> bytes:
    """A document of JSON's types. Equal ones whose fields come in the same order are packed alike."""
    press = zlib.compressobj(FAST, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL, zdict=like)
    return press.compress(_text(document)) + press.flush()


@lru_cache(MOST_AT_HAND)
def unpacked(resting: bytes, like: bytes) -> Any:
    """The document, for reading only: who asks again gets the same."""
    return json.loads(zlib.decompressobj(-WINDOW_BITS, zdict=like).decompress(resting))


def _text(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
