"""The one table of reasons: words that Kubernetes takes, each of them used and explained."""

import re
from pathlib import Path

from suanli.base.reasons import Reason

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [p.read_text() for p in (ROOT / "operator").rglob("*.py") if p.name != "reasons.py"]


def test_a_reason_is_one_word_as_conditions_want_it() -> None:
    assert [r for r in Reason if not re.fullmatch(r"[A-Z][A-Za-z]{1,62}", r)] == []


def test_a_name_is_its_value_in_capitals() -> None:
    assert [r for r in Reason if r.name != re.sub(r"(?<!^)(?=[A-Z])", "_", r).upper()] == []


def test_every_reason_is_used() -> None:
    assert [r for r in Reason if not any(re.search(rf"Reason\.{r.name}\b", text) for text in SOURCES)] == []
