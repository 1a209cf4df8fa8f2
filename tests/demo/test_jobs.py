from itertools import islice
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from demo import jobs, trace
from demo.country import Country, Rooms
from suanli.api.job import ComputeJob
from suanli.simulate.trace import TraceRow
from suanli.simulate.workload import gang

SAMPLE = jobs.EXAMPLE / "trace" / "pai-sample.csv"


def drawn(country: Country, rooms: Rooms, seed: int, count: int) -> list[jobs.Manifest]:
    rows = trace.rotate(trace.read(SAMPLE.read_text().splitlines()), seed)
    return [job for _, job in islice(jobs.draw(rows, country, rooms, seed), count)]


@given(st.integers(1, 200))
def test_a_gang_keeps_all_units_on_nodes_of_eight(units: int) -> None:
    tasks, each = gang(units, jobs.PER_NODE)
    assert tasks * each == units
    assert each <= 8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_drawn_job_is_valid_and_has_a_site(country: Country, small: Rooms, seed: int) -> None:
    manifests = drawn(country, small, seed, 100)
    assert len(manifests) == 100
    for manifest in manifests:
        assert country.homes(ComputeJob.model_validate(manifest).spec, small), manifest["metadata"]["name"]


def test_the_same_seed_draws_the_same_and_another_does_not(country: Country, small: Rooms) -> None:
    assert drawn(country, small, 7, 50) == drawn(country, small, 7, 50)
    assert drawn(country, small, 7, 50) != drawn(country, small, 8, 50)


def test_a_jobs_draw_does_not_depend_on_how_many_follow(country: Country, small: Rooms) -> None:
    assert drawn(country, small, 7, 50)[:10] == drawn(country, small, 7, 10)


def test_units_of_the_trace_arrive_in_the_job(country: Country, small: Rooms) -> None:
    rows = trace.rotate(trace.read(SAMPLE.read_text().splitlines()), 1)
    for row, job in islice(jobs.draw(rows, country, small, 1), 50):
        per_task = job["spec"]["resources"]["perTask"]
        assert job["spec"]["tasks"] * int(per_task.get("cards", per_task["cpu"])) == row.units


def test_a_row_that_fits_nowhere_is_left_out(country: Country, small: Rooms) -> None:
    huge = TraceRow(0.0, 1.0, 1_000)
    assert list(jobs.draw([huge], country, small, 1)) == []


def test_the_command_prints_manifests(capsys: pytest.CaptureFixture[str]) -> None:
    assert jobs.main(["--count", "5", "--seed", "3"]) == 0
    printed = list(yaml.safe_load_all(capsys.readouterr().out))
    assert len(printed) == 5
    assert len({ComputeJob.model_validate(job).metadata.name for job in printed}) == 5


def test_the_sample_says_where_it_comes_from() -> None:
    readme = Path(SAMPLE.parent / "README.md").read_text(encoding="utf-8")
    assert "62a5efc" in readme
    assert "MIT" in readme
