import pytest

from gates import reference
from suanli.base.reasons import Reason


def test_tables_are_written_between_their_marks_and_nothing_else_changes() -> None:
    marks = "".join(
        f"<!-- {name}: written by hack/generate -->\nstale row\n<!-- end of {name} -->\nkept {name}\n"
        for name in reference.TABLES
    )
    text = reference.operations(f"head\n{marks}tail\n")
    assert text.startswith("head\n")
    assert text.endswith("tail\n")
    assert "stale row" not in text
    assert "kept settings" in text
    assert "`SUANLI_LOG_LEVEL`" in text
    assert "`suanli_jobs_placed_total` | counter | site |" in text
    assert reference.operations(text) == text


def test_a_missing_mark_is_told() -> None:
    with pytest.raises(AssertionError, match=r"docs/operations\.md has no line"):
        reference.operations("nothing")


def test_the_pods_own_settings_are_not_the_charts() -> None:
    settings = reference.chart_settings()
    assert settings["logLevel"]["enum"] == ["DEBUG", "INFO", "WARNING", "ERROR"]
    assert settings["cycleMs"]["minimum"] == 10
    assert not {"namespace", "httpPort"} & settings.keys()


def test_reasons_are_each_explained_once() -> None:
    rows = "".join(f"| `{reason}` | x | |\n" for reason in Reason)
    assert list(reference.unexplained_reasons(f"## Reasons\n{rows}\n## After\n| `Other` | |\n")) == []
    wrong = rows.replace("| `Accepted` |", "| `Invented` |") + "| `Placed` | x | |\n"
    assert list(reference.unexplained_reasons(f"## Reasons\n{wrong}")) == [
        "docs/operations.md does not explain reason Accepted",
        "docs/operations.md explains Invented, which is no reason",
        "docs/operations.md explains Placed twice",
    ]
