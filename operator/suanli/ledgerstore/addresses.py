"""Addresses of PostgreSQL servers, and how they are shown."""

import re

SCHEMES = ("postgresql://", "postgres://")


def shown(text: str) -> str:
    """A place, or a sentence with one, without the password of an address in it."""
    without = re.sub(r"(?<=://)([^@/?#:]*):[^@/?#]*@", r"\1:***@", text)
    return re.sub(r"(password=)[^\s&]+", r"\1***", without)
