from pathlib import Path

from gates import dead


def test_what_only_tests_use_is_dead_in_the_product(tmp_path: Path) -> None:
    (tmp_path / "operator").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "operator" / "a.py").write_text("def used() -> None: ...\ndef tested() -> None: ...\nused()\n")
    (tmp_path / "tests" / "test_a.py").write_text("from a import tested\ntested()\n")
    vulture = dead.reader()
    found = dead.unused(vulture, ("operator",), ("operator/",), tmp_path)
    assert found == ["operator/a.py:2: unused function 'tested'"]
    assert dead.unused(vulture, ("tests",), ("operator/", "tests/"), tmp_path) == []


def test_fields_of_the_resources_are_not_dead(tmp_path: Path) -> None:
    folder = tmp_path / "operator" / "suanli" / "api"
    folder.mkdir(parents=True)
    (folder / "kind.py").write_text("class Spec:\n    field: int = 0\n\ndef forgotten() -> Spec: ...\n")
    (found,) = dead.unused(dead.reader(), ("operator",), ("operator/",), tmp_path)
    assert found.endswith("unused function 'forgotten'")
