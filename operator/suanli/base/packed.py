"""JSON of which very much is kept and little is read: small while it rests."""

import json
import zlib
from functools import lru_cache
from typing import Any

FAST = 1  # zlib's level
MOST_AT_HAND = 1_024  # documents that were read a moment ago: who reads one reads it again at once


def packed(document: object) -> bytes:
    """A document of JSON's types. Equal ones whose fields come in the same order are packed alike."""
    return zlib.compress(json.dumps(document, separators=(",", ":")).encode(), FAST)


@lru_cache(MOST_AT_HAND)
def unpacked(resting: bytes) -> Any:
    """The document, for reading only: who asks again gets the same."""
    return json.loads(zlib.decompress(resting))
