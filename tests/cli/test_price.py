"""`suanli price`: what it prints of scarce places, by hour, and of bad input; the figures are tested in tests/placement."""

import pytest
import yaml

import planned
from planned import BAD_INPUT, DONE, HERE, Put, a_job, a_site


class Ran(planned.Ran):
    """A run of `suanli price`."""

    command = "price"


def two_sites(put: Put, duration: str = "90m") -> tuple[str, str]:
    jobs = [a_job(f"job-{i}", cards=1, timing={"expectedDuration": duration}) for i in range(40)]
    return "-f", str(put(HERE, a_site("one", units=20), a_site("two", "3", units=100), *jobs))


def test_the_table(put: Put) -> None:
    ran = Ran(*two_sites(put), "--hours", "4")
    assert (ran.code, ran.err) == (DONE, "")
    lines = ran.lines
    assert lines[0] == "2026-01-31T08:00:00Z: 40 running, 0 waiting for room; CNY an hour"
    assert lines[1] == "SITE CLASS UNIT LIST WORTH ONE CORE ONE GIB RUN WAITING"
    site, class_, unit, price, worth, run = lines[2].split()
    assert (site, class_, unit, price, run) == ("one", "gpu", "card", "1.0000", "1.5h")
    assert float(worth) == pytest.approx(2, rel=0.05)
    assert lines[3] == "At 1 of 2 classes at sites nothing is scarce: one more unit is worth nothing."
    assert lines[5:7] == ["Worth of one unit by hour, with the jobs of now", "SITE CLASS FROM (UTC): CNY AN HOUR"]
    assert lines[7] == f"one gpu 08:00 {worth}, 10:00 0"


def test_all_outputs_say_the_same(put: Put) -> None:
    folder = two_sites(put)
    told = Ran(*folder, "--hours", "3", "-o", "json").json
    assert yaml.safe_load(Ran(*folder, "--hours", "3", "-o", "yaml").out) == told
    assert [hour["from"] for hour in told["hours"]] == [f"2026-01-31T{h:02}:00:00Z" for h in (8, 9, 10)]
    assert [len(hour["worth"]) for hour in told["hours"]] == [1, 1, 0]
    first = told["hours"][0]["worth"][0]
    assert {key: first[key] for key in ("site", "class", "unit", "runHours", "waiting")} == {
        "site": "one",
        "class": "gpu",
        "unit": "Card",
        "runHours": "1.500000",
        "waiting": 0,
    }
    assert float(first["perUnit"]) == pytest.approx(2, rel=0.05)


def test_who_waits_is_told(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_site("one"), *(a_job(f"job-{i}") for i in range(3))), "--hours", "1")
    assert ran.lines[0].endswith("1 running, 2 waiting for room; CNY an hour")
    assert ran.lines[2] == "one gpu card 1.0000 0 1.0h 2"


def test_where_nothing_is_scarce(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_site("one"), a_job("a")))
    assert ran.lines[1:] == ["At 1 of 1 classes at sites nothing is scarce: one more unit is worth nothing."]


def test_a_change_is_made_first(put: Put) -> None:
    demand = {"kind": "WhatIf", "apiVersion": "suanli.io/v1alpha1", "spec": {"demand": [{"factor": "3"}]}}
    ran = Ran("-f", put(HERE, a_site("one"), a_job("a"), demand), "--hours", "1")
    assert ran.lines[0].endswith("1 running, 2 waiting for room; CNY an hour")
    assert Ran("-f", put(HERE, {**demand, "spec": {"demand": [{"factor": "x"}]}})).code == BAD_INPUT


def test_an_empty_country(put: Put) -> None:
    ran = Ran("-f", put(HERE))
    assert ran.code == DONE
    assert ran.lines[-1] == "There is no class at any site."
    assert Ran("-f", put(HERE), "-o", "json").json["hours"][0]["worth"] == []


def test_wrong_input_is_2_and_the_rest_is_priced(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_site("one"), a_job("a"), a_job("bad", tasks=0)))
    assert ran.code == BAD_INPUT
    assert "ComputeJob bad: spec.tasks: " in ran.err
    assert "1 running" in ran.out


@pytest.mark.parametrize("hours", ["0", "-1", "169", "many"])
def test_hours_that_are_none(put: Put, hours: str) -> None:
    assert Ran("-f", put(HERE), "--hours", hours).code == BAD_INPUT
