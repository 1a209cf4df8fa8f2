"""A page of HTML taken apart: the addresses it asks for, its tags and its SVG."""

import re
from html.parser import HTMLParser

ASKING = ("src", "href", "xlink:href", "srcset", "action", "data", "poster", "background")


class Page(HTMLParser):
    """What is in a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.tags: set[str] = set()
        self.addresses: list[str] = re.findall(r"(?:https?:)?//[\w.-]+|url\([^)]*\)|@import", text)
        self.svgs: list[str] = re.findall(r"<svg .*?</svg>", text, re.DOTALL)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what it would fetch."""
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ASKING]
