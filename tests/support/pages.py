"""A page of HTML taken apart: the addresses it asks for, its tags and its SVG."""

import re
from dataclasses import dataclass
from functools import cached_property

_ASKING = r"\s(?:src|href|xlink:href|srcset|action|data|poster|background)\s*="
_OUTSIDE = r"(?:https?:)?//[\w.-]+|url\([^)]*\)|@import"


@dataclass(frozen=True)
class Page:
    """What is in a page."""

    text: str

    @cached_property
    def tags(self) -> set[str]:
        """The names of its elements."""
        return set(re.findall(r"<([a-zA-Z][\w-]*)", self.text))

    @cached_property
    def addresses(self) -> list[str]:
        """Whatever it would fetch, or lead to."""
        asked = [tag for tag in re.findall(r"<[a-zA-Z][^>]*>", self.text) if re.search(_ASKING, tag)]
        return asked + re.findall(_OUTSIDE, self.text)

    @cached_property
    def svgs(self) -> list[str]:
        """Its charts."""
        return re.findall(r"<svg .*?</svg>", self.text, re.DOTALL)
