import io
import json

from harness.watch import documents


def test_every_line_is_a_document() -> None:
    docs = [{"type": "ADDED", "object": {"text": "} {\n}"}}, {"type": "DELETED", "object": {}}]
    assert list(documents(io.StringIO("".join(json.dumps(d) + "\n" for d in docs)))) == docs


def test_half_a_line_at_the_end_is_dropped() -> None:
    assert list(documents(io.StringIO('{"a": 1}\n{"b": {"c"'))) == [{"a": 1}]
