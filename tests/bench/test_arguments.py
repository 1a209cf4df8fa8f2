import pytest

from bench.dispatch.__main__ import Part, arguments
from bench.dispatch.ground import SITES


def test_defaults() -> None:
    args = arguments([])
    assert (args.jobs, args.members, args.output, args.only) == (2000, 2, "table", None)


def test_all_can_be_given() -> None:
    args = arguments(["--jobs", "200", "--members", "3", "--output", "json", "--only", "floor"])
    assert (args.jobs, args.members, args.output, args.only) == (200, 3, "json", Part.FLOOR)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--jobs", "19"], "'19' is not a whole number from 20 to 20000"),
        (["--jobs", "20001"], "'20001' is not a whole number from 20 to 20000"),
        (["--jobs", "many"], "'many' is not a whole number"),
        (["--members", "1"], f"'1' is not a whole number from 2 to {len(SITES)}"),
        (["--members", "9"], "'9' is not a whole number"),
        (["--output", "yaml"], "invalid choice: 'yaml'"),
        (["--only", "all"], "all"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_wrong_arguments_end_with_2_and_say_what_is_wrong(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(argv)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
