import pytest

from suanli.simulate.trace import Columns, TraceRow, read

HEAD = "arrival_time,length,cpus\n"


def test_rows_are_read_and_other_columns_are_not_looked_at() -> None:
    found = read(["cpus,name,length,arrival_time\n", "8,a,0.25,1.5\n", "\n", "2.5,b,1,2\n"])
    assert found.rows == (TraceRow(1.5, 0.25, 8), TraceRow(2.0, 1.0, 3))
    assert (found.bad, found.told, found.warnings) == (0, (), ())


def test_columns_have_the_names_and_the_unit_that_are_said() -> None:
    found = read(["submit,run,gpus\n", "3600,1800,1\n"], Columns("submit", "run", "gpus", "s"))
    assert found.rows == (TraceRow(1.0, 0.5, 1),)


@pytest.mark.parametrize("missing", ["arrival_time", "length", "cpus"])
def test_a_missing_column_is_named_with_those_there_are(missing: str) -> None:
    there = [name for name in ("arrival_time", "length", "cpus") if name != missing]
    with pytest.raises(ValueError, match=rf'line 1: there is no column "{missing}" .there is {", ".join(there)}.'):
        read([",".join(there), "1,1"])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1,2", "too few columns"),
        ("a,1,1", "not two times and a number"),
        ("nan,1,1", "arrival is not between"),
        ("1,nan,1", "length is not between"),
        ("1,1,nan", "units are not above 0"),
        ("-1,1,1", "arrival is not between"),
        ("1,0,1", "length is 0"),
        ("1,inf,1", "length is not between"),
        ("1e300,1,1", "arrival is not between"),
        ("1,1,0", "units are not above 0"),
        ("1,1,-3", "units are not above 0"),
        ("1,1,1e12", "units are not above 0"),
    ],
)
def test_a_bad_row_is_counted_and_told_with_its_line(line: str, says: str) -> None:
    found = read([HEAD, "1,1,1\n", line + "\n", "2,1,1\n"])
    assert (len(found.rows), found.bad) == (2, 1)
    assert found.told[0].startswith("line 3: ")
    assert says in found.told[0]


def test_of_many_bad_rows_the_first_are_told_and_all_are_counted() -> None:
    found = read([HEAD, "1,1,1\n", *["x,1,1\n"] * 50])
    assert (found.bad, len(found.told)) == (50, 5)


@pytest.mark.parametrize("lines", [[HEAD], [HEAD, "x,1,1\n"], []])
def test_no_row_at_all_is_an_error(lines: list[str]) -> None:
    with pytest.raises(ValueError, match=r"can be used|there is no column"):
        read(lines)


def test_time_that_goes_backwards_is_put_in_order_with_a_warning() -> None:
    found = read([HEAD, "1,1,1\n", "3,1,2\n", "2,1,3\n", "2.5,1,4\n", "0,1,5\n"])
    assert [row.units for row in found.rows] == [5, 1, 3, 4, 2]
    assert found.warnings == (
        "line 4: the arrival is before that of the row above (2 such rows); they are put in order",
    )
