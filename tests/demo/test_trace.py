import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo import trace
from suanli.simulate.trace import TraceRow

HEAD = "arrival_time,length,cpus\n"


def test_rows_are_read() -> None:
    assert trace.read([HEAD, "1.5,0.25,8\n"]) == [TraceRow(1.5, 0.25, 8)]


@pytest.mark.parametrize("line", ["1,2", "a,1,1", "1,0,1", "1,nan,1", "1,1,0", "-1,1,1", "1,inf,1"])
def test_a_bad_row_is_named_by_its_line(line: str) -> None:
    with pytest.raises(ValueError, match="line 3"):
        trace.read([HEAD, "1,1,1\n", line])


def test_other_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="line 1"):
        trace.read(["a,b,c\n"])


@given(seed=st.integers(), size=st.integers(1, 20))
def test_rotation_keeps_every_row_once(seed: int, size: int) -> None:
    rows = [TraceRow(float(i), 1.0, 1) for i in range(size)]
    turned = trace.rotate(rows, seed)
    assert sorted(turned, key=lambda r: r.arrival_h) == rows
    assert turned == trace.rotate(rows, seed)


def test_arrivals_keep_their_proportions_and_jump_over_the_seam() -> None:
    rows = [TraceRow(h, 1.0, 1) for h in (10.0, 12.0, 1.0, 3.0)]
    assert trace.arrivals_s(rows, 60) == [0.0, 30.0, 30.0, 60.0]
    assert trace.arrivals_s(rows[:1], 60) == [0.0]


@given(st.floats(0.001, 1_000))
def test_runs_are_short_and_longer_ones_stay_longer(hours: float) -> None:
    assert 2 <= trace.short_run_s(hours) <= 30
    assert trace.short_run_s(hours) <= trace.short_run_s(hours * 2)
