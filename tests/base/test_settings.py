"""Settings come from the environment, and what is wrong with them is one sentence."""

import pytest

from suanli.base.settings import PREFIX, Settings, load


def test_an_empty_environment_gives_the_defaults() -> None:
    assert load({"PATH": "/bin", "LANG": "C"}) == Settings()


def test_every_setting_has_its_variable() -> None:
    told = {f"{PREFIX}{name.upper()}": str(getattr(Settings(), name)) for name in Settings.model_fields}
    assert load(told) == Settings()


def test_numbers_are_numbers() -> None:
    assert load({"SUANLI_WORKERS": "7"}).workers == 7


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SUANLI_WORKERS", "0", ['SUANLI_WORKERS="0"', "greater than or equal to 1", "Jobs taken forward"]),
        ("SUANLI_WORKERS", "many", ['SUANLI_WORKERS="many"', "valid integer"]),
        ("SUANLI_WORKERS", "", ['SUANLI_WORKERS=""', "valid integer"]),
        ("SUANLI_LOG_LEVEL", "LOUD", ['SUANLI_LOG_LEVEL="LOUD"', "Least severe log line"]),
        ("SUANLI_DATA_DIR", "", ["SUANLI_DATA_DIR", "at least 1 character"]),
        ("SUANLI_BILL_TIMEZONE", "Asia/Shangai", ['SUANLI_BILL_TIMEZONE="Asia/Shangai"', "no time zone"]),
        ("SUANLI_BILL_TIMEZONE", "America/Argentina", ["no time zone", '"Asia/Shanghai"']),
        ("SUANLI_WORKER", "7", ["SUANLI_WORKER is not a setting", "docs/operations.md"]),
        ("SUANLI_IDENTITY", "x" * 10_000, ["SUANLI_IDENTITY", "at most 253 characters"]),
    ],
)
def test_what_is_wrong_names_variable_value_and_what_is_allowed(name: str, value: str, words: list[str]) -> None:
    with pytest.raises(ValueError, match="SUANLI_") as caught:
        load({name: value})
    text = str(caught.value)
    assert all(word in text for word in words), text
    assert "\n" not in text
    assert len(text) < 500


def test_the_variables_of_the_tools_around_are_no_settings_and_no_mistakes() -> None:
    assert load({"SUANLI_CACHE": "/tmp", "SUANLI_PYTHON": "python3.11", "SUANLI_CLUSTERS": "kind"}) == Settings()
