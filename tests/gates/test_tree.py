from pathlib import Path

from gates import tree


def test_scripts_without_a_suffix_are_shell_too() -> None:
    found = set(tree.shell_scripts())
    assert {Path("hack/check"), Path("hack/test"), Path("hack/env.sh"), Path(".ci/run")} <= found
    assert not [path for path in found if path.suffix not in ("", ".sh")]


def test_what_git_ignores_is_left_out() -> None:
    assert not [path for path in tree.files() if "__pycache__" in path.parts]
