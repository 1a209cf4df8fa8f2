"""Plain YAML is read, and what could grow, run or deceive is refused while it is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suanli.federation.strictyaml import MAX_DEPTH, MAX_NODES, NotText, YamlRefused, load

PLAIN = """
apiVersion: v1
kind: "Config"
users:
- name: me
  user: {token: abc}
disabled: off
nothing: null
number: 12
when: 2026-01-31
quoted: "12"
text: |
  two
  lines
"""


def test_plain_yaml_is_read() -> None:
    assert load(PLAIN) == {
        "apiVersion": "v1",
        "kind": "Config",
        "users": [{"name": "me", "user": {"token": "abc"}}],
        "disabled": False,
        "nothing": None,
        "number": "12",
        "when": "2026-01-31",
        "quoted": "12",
        "text": "two\nlines\n",
    }


def test_json_is_plain_yaml() -> None:
    assert load('{"a": [{"b": "c"}, true, null]}') == {"a": [{"b": "c"}, True, None]}


def test_a_number_without_quotes_is_told_from_a_text() -> None:
    found = load("{a: 12, b: '12', c: 2026-01-31, d: 1.5, e: 0x10}")
    assert {k for k, v in found.items() if isinstance(v, NotText)} == {"a", "c", "d", "e"}


NOT_ONE = "it is not one valid YAML document"
NO_ALIAS = "anchors and aliases (& and *) are not allowed"
NO_TAG = "tags (!) are not allowed"
NO_NAME = "a field's name must be a text"
TWICE = "a field stands twice in one object"
TOO_MUCH = f"it is deeper than {MAX_DEPTH} levels or has more than {MAX_NODES} values"
BAD_CHARACTER = "it holds characters that YAML does not allow"
BOMB = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        ("# only a remark", "it is empty"),
        ("a: 'x", f"{NOT_ONE} (line 1)"),
        ("a: 1\n\tb: 2", f"{NOT_ONE} (line 2)"),
        ("a: b: c", f"{NOT_ONE} (line 1)"),
        ("a: 1\n---\nb: 2", f"{NOT_ONE} (line 2)"),
        ("]", f"{NOT_ONE} (line 1)"),
        ("%YAML 9.9\n---\na: b", f"{NOT_ONE} (line 1)"),
        ("a: &x b", f"{NO_ALIAS} (line 1)"),
        ("a: b\nc: *a", f"{NO_ALIAS} (line 2)"),
        ("&a {b: *a}", f"{NO_ALIAS} (line 1)"),
        ("a: {<<: *b}", f"{NO_ALIAS} (line 1)"),
        (BOMB, f"{NO_ALIAS} (line 1)"),
        ("!!python/object/apply:os.system [id]", f"{NO_TAG} (line 1)"),
        ("a: !!python/name:os.system x", f"{NO_TAG} (line 1)"),
        ("a: !!binary aGk=", f"{NO_TAG} (line 1)"),
        ("a: !!str b", f"{NO_TAG} (line 1)"),
        ("a: !mine b", f"{NO_TAG} (line 1)"),
        ("<<: {a: b}", f"{NO_NAME} (line 1)"),
        ("1: a", f"{NO_NAME} (line 1)"),
        ("~: a", f"{NO_NAME} (line 1)"),
        ("yes: a", f"{NO_NAME} (line 1)"),
        ("? [a]\n: b", f"{NO_NAME} (line 1)"),
        ("a: 1\na: 2", f"{TWICE} (line 2)"),
        ("b: {a: 1, c: 2, a: 1}", f"{TWICE} (line 1)"),
        ("x:\n- a: 1\n  'a': 1", f"{TWICE} (line 3)"),
        ("[" * 17 + "]" * 17, f"{TOO_MUCH} (line 1)"),
        ("{a: " * 40_000, f"{TOO_MUCH} (line 1)"),
        ("- " * 20_000, f"{TOO_MUCH} (line 1)"),
        ("- a\n" * 16_000, f"{TOO_MUCH} (line 1000)"),
        ("a: \x00", BAD_CHARACTER),
        ("a: \x1b[31m", BAD_CHARACTER),
        ("a: \ud800", BAD_CHARACTER),
        ('a: "\\UFFFFFFFF"', BAD_CHARACTER),
    ],
)
def test_everything_else_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(YamlRefused) as caught:
        load(text)
    assert str(caught.value) == why


@pytest.mark.parametrize(
    "secret", ["a: b: hunter2", "hunter2: 1\nhunter2: 2", "a: &hunter2 b", "[hunter2", "\x00hunter2"]
)
def test_a_refusal_quotes_nothing_of_the_text(secret: str) -> None:
    with pytest.raises(YamlRefused) as caught:
        load(secret)
    assert "hunter2" not in str(caught.value)


@given(st.text(st.sampled_from("abc:-?[]{}&*!|>'\"%@`#,\n\t \\xU\u00e9\u2028\ufeff\x00=~<019"), max_size=60))
def test_whatever_the_text_it_is_read_or_refused(text: str) -> None:
    try:
        found = load(text)
    except YamlRefused:
        return
    assert found is None or isinstance(found, dict | list | str | bool)
