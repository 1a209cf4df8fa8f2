"""`suanli plan`: the same country and jobs as table, JSON and YAML, its exit codes, and what it says of bad input."""

import re
from itertools import islice
from pathlib import Path

import pytest
import yaml

import planned
from checker import violations
from demo import jobs, trace
from demo.country import load
from planned import BAD_INPUT, DONE, HERE, NOW, SOME_WAIT, Put, a_job, a_site
from suanli.cli.manifests import read
from suanli.cli.plan import question
from worlds import NOW_MS, Raw, raw

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "national"


class Ran(planned.Ran):
    """A run of `suanli plan`."""

    command = "plan"


# --- three ways to print

CHEAP = a_job("a", limits={"maxCost": "8000000"})


def test_the_table(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_site("one"), a_site("two", "3"), CHEAP, a_job("b", namespace="team"), a_job("c")))
    assert ran.err == ""
    head, *rows, summary = ran.out.splitlines()
    assert re.split(r"\s{2,}", head) == ["JOB", "SITE", "CLASS", "COST CNY", "ONE WAY", "WHY"]
    assert [re.split(r"\s{2,}", row)[:5] for row in rows[:2]] == [
        ["default/a", "one", "gpu", "8.00", "0ms"],
        ["team/b", "two", "gpu", "24.00", "0ms"],
    ]
    assert rows[2].split()[:3] == ["default/c", "-", "-"]
    assert rows[2].endswith(
        "WaitingForCapacity: none of 2 sites: 2 WaitingForCapacity (one could take it, but what is free there goes to other "
        "jobs of this plan)"
    )
    assert [row.index(row.split()[1], len(row.split()[0])) for row in rows] == [head.index("SITE")] * 3
    assert summary == "2 of 3 jobs placed (one 1, two 1), 1 wait; expected cost 32.00 CNY; proven gap 0.0000 %"


def test_all_outputs_say_the_same(put: Put) -> None:
    folder = put(HERE, a_site("one"), a_site("two", "3"), a_job("a"), a_job("b"), a_job("c", latency={"oneWay": "1us"}))
    told = Ran("-f", folder, "-o", "json")
    assert yaml.safe_load(Ran("-f", folder, "--output", "yaml").out) == told.json
    assert set(told.json) == {"jobs", "summary", "kpis", "problems", "warnings"}
    assert told.json["kpis"] == []
    rows = Ran("-f", folder).out.splitlines()[1:-1]
    for job, row in zip(told.json["jobs"], rows, strict=True):
        assert row.split()[:2] == [f"{job['namespace']}/{job['name']}", job["site"] or "-"]
        assert row.endswith(job["message"])
    assert told.json["summary"] == {
        "placed": 2,
        "waiting": 1,
        "costCny": "32.00",
        "gapPercent": "0.0000",
        "jobsBySite": {"one": 1, "two": 1},
    }
    first = told.json["jobs"][0]
    assert first["cost"] == {"run": "8000000", "total": "8000000"}
    assert first["runnersUp"] == [{"site": "two", "class": "gpu", "total": "24000000"}]
    assert first["estimate"] == {"cost": "8000000", "start": NOW}
    assert told.json["jobs"][2]["rejections"][0]["count"] == 2


def test_nothing_of_nothing(put: Put) -> None:
    ran = Ran("-f", put(HERE))
    assert (ran.code, ran.err) == (DONE, "")
    assert ran.out.splitlines()[-1].startswith("0 of 0 jobs placed (none), 0 wait; expected cost 0.00 CNY")
    assert Ran("-f", put(HERE), "-o", "json").json["jobs"] == []


# --- exit codes


def test_all_placed_is_0_and_some_that_wait_is_3(put: Put) -> None:
    assert Ran("-f", put(HERE, a_site("one"), a_job("a"))).code == DONE
    assert Ran("-f", put(HERE, a_site("one"), a_job("a"), a_job("b"))).code == SOME_WAIT
    assert Ran("-f", put(HERE, a_site("one"), a_job("a", desiredState="Suspended"))).code == SOME_WAIT


def test_wrong_input_is_2_and_the_rest_is_planned(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_site("one"), a_job("bad", tasks=0), a_job("good")))
    assert ran.code == BAD_INPUT
    assert ran.err.startswith("error: ")
    assert "ComputeJob bad: spec.tasks: " in ran.err
    assert "default/good  one" in ran.out


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"origin": "atlantis"}, 'spec.origin: "atlantis" is no ComputeRegion; create it or correct the name'),
        ({"latency": {"tier": "village"}}, 'spec.latency.tier: "village" is no latency tier of HubPolicy national'),
        ({"data": {"allowedSites": ["two"]}}, 'spec.data.allowedSites: "two" is no ComputeSite; correct the name'),
    ],
)
def test_a_job_that_names_what_is_not_there_is_wrong_input(put: Put, spec: Raw, text: str) -> None:
    folder = put(HERE, a_site("one"), a_job("bad", **spec), a_job("good"))
    ran = Ran("-f", folder)
    assert ran.code == BAD_INPUT
    assert ran.err.startswith(f"error: {folder}/all.yaml (document 3): ComputeJob default/bad: {text}")
    assert "1 of 2 jobs placed" in ran.out


def test_a_class_that_nobody_offers_is_wrong_input(put: Put) -> None:
    job = a_job("bad")
    job["spec"]["resources"]["class"] = ["xpu"]
    ran = Ran("-f", put(HERE, a_site("one"), job))
    assert ran.code == BAD_INPUT
    assert 'spec.resources.class: no site offers "xpu" (they offer gpu); ask for another class' in ran.err


@pytest.mark.parametrize("what", ["missing", "empty", "broken", "unknown"])
def test_input_that_is_no_input(tmp_path: Path, what: str) -> None:
    if what != "missing":
        (tmp_path / "x").mkdir()
    if what == "broken":
        (tmp_path / "x" / "a.yaml").write_text("{")
    if what == "unknown":
        (tmp_path / "x" / "a.yaml").write_text("apiVersion: suanli.io/v1alpha1\nkind: Thing\n")
    ran = Ran("-f", tmp_path / "x")
    assert ran.code == BAD_INPUT
    assert ran.err.startswith(f"error: {tmp_path}/x")
    assert len(ran.err.splitlines()) == 1
    assert "0 of 0 jobs placed" in ran.out


@pytest.mark.parametrize(
    "now", ["soon", "2026-01-31", "2026-01-31T08:00:00", "0001-01-01T00:00:00+14:00", "9999-01-01T00:00:00Z"]
)
def test_a_moment_that_is_none(put: Put, now: str) -> None:
    ran = Ran("-f", put(HERE), "--now", now)
    assert ran.code == BAD_INPUT
    assert ran.err == f'error: --now: "{now}" is no time since 1970 with a zone; write it as "2026-01-31T08:00:00Z"\n'


def test_a_wrong_option_is_2(put: Put) -> None:
    assert Ran("-f", put(HERE), "-o", "xml").code == BAD_INPUT
    assert Ran().code == BAD_INPUT


def test_warnings_change_no_exit_code(put: Put) -> None:
    policy = raw("HubPolicy", "national", {"newBuild": {"maxRacksOutsideHubs": 10, "enforcement": "Warn"}})
    ran = Ran("-f", put(HERE, policy, a_site("one", standardRacks=11), a_job("a")))
    assert ran.code == DONE
    assert ran.err.startswith("warning: ")
    assert Ran("-f", put(HERE, policy, a_site("one", standardRacks=11)), "-o", "json").json["warnings"]


def test_a_policy_that_forbids_everything_is_told_by_every_job(put: Put) -> None:
    nowhere = {"name": "nowhere", "effect": "Require", "siteSelector": {"matchLabels": {"no": "where"}}}
    ran = Ran("-f", put(HERE, raw("HubPolicy", "national", {"placementRules": [nowhere]}), a_site("one"), a_job("a")))
    assert ran.code == BAD_INPUT
    assert (
        "HubPolicy national: rule nowhere requires no=where, and no ComputeSite is such a one: jobs can run nowhere"
        in ran.err
    )
    assert (
        "NoFeasibleSite: none of 1 sites: 1 PolicyForbids (one is outside the hubs; rule nowhere requires no=where)"
        in ran.out
    )


def test_the_figures_of_the_policy_are_those_of_the_plan(put: Put) -> None:
    target = {"kpi": "east-to-west-share", "comparison": "AtLeast", "value": "1", "by": "2030-01-01"}
    policy = raw(
        "HubPolicy", "national", {"hubs": [{"name": "h", "side": "East", "regions": ["here"]}], "targets": [target]}
    )
    folder = put(HERE, policy, a_site("one"), a_job("a"))
    kpis = {kpi["name"]: kpi for kpi in Ran("-f", folder, "-o", "json").json["kpis"]}
    share = kpis["east-to-west-share-cards"]
    assert (share["value"], share["target"], share["by"], share["met"]) == (
        "0.0000",
        "AtLeast 1",
        "2030-01-01",
        "False",
    )
    assert "east-to-west" not in Ran("-f", folder).out
    told = [line.split() for line in Ran("-f", folder, "--kpis").out.splitlines()]
    assert next(line for line in told if line[0] == "east-to-west-share-cards")[1:4] == ["0.0000", "0", "of"]


# --- what it reads as capacity, order and time


def test_earlier_jobs_are_older(put: Put) -> None:
    assert Ran("-f", put(HERE, a_site("one"), a_job("z"), a_job("a")), "-o", "json").json["jobs"][0]["site"] == "one"


def test_declared_units_are_one_large_node(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_site("one", units=64), a_job("a", cards=64), a_job("b", cards=65)), "-o", "json")
    assert [job["site"] for job in ran.json["jobs"]] == ["one", None]


def test_cores_and_memory_are_those_declared(put: Put) -> None:
    small = a_site("one", declaredCapacity={"cpu": "4", "memory": "8Gi"})
    jobs = [a_job(name, cards=1, tasks=2) for name in ("a", "b", "c")]
    ran = Ran("-f", put(HERE, small, *jobs), "-o", "json")
    assert [job["site"] for job in ran.json["jobs"]] == ["one", "one", None]


def test_what_is_not_declared_is_no_limit(put: Put) -> None:
    job = a_job("a", cards=1, tasks=1_000)
    job["spec"]["resources"]["perTask"] |= {"memory": "1Ti", "cpu": "100k"}
    assert Ran("-f", put(HERE, a_site("one", units=1_000), job)).code == DONE


def test_hours_and_deadlines_count_from_now(put: Put) -> None:
    folder = put(HERE, a_site("one"), a_job("a", timing={"notBefore": "2026-01-31T09:00:00Z"}))
    assert "NotBefore: spec.timing.notBefore is 2026-01-31T09:00:00Z" in Ran("-f", folder).out
    assert Ran("-f", folder, "--now", "2026-01-31T09:00:00Z").code == DONE


def test_standard_input(put: Put) -> None:
    put(HERE)
    ran = Ran("-f", "-", stdin=yaml.safe_dump_all([HERE, a_site("one"), a_job("a")]))
    assert (ran.code, ran.err) == (DONE, "")


# --- the example country


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example country's map, and 120 jobs of the trace."""
    folder = tmp_path_factory.mktemp("country")
    country = load(EXAMPLE)
    rows = trace.rotate(trace.read((EXAMPLE / "trace" / "pai-sample.csv").read_text().splitlines()), 1)
    drawn = [job for _, job in islice(jobs.draw(rows, country, country.declared_rooms(), 1), 120)]
    (folder / "jobs.yaml").write_text(yaml.safe_dump_all(drawn), encoding="utf-8")
    return folder


def test_the_example_country_takes_the_jobs_of_the_trace_and_keeps_every_rule(thousand: Path) -> None:
    files = [EXAMPLE / name for name in ("regions.yaml", "policy.yaml", "links.yaml", "sites")]
    found = read([*files, thousand])
    assert found.problems == found.warnings == []
    asked = question(found, NOW_MS)
    made = asked.plan()
    assert violations(*asked[:4], made, asked.tenancy) == []
    assert all(decision.site for decision in made.decisions.values())
    assert made.gap_ppm < 1_000


def test_the_examples_of_jobs_are_planned_and_the_impossible_one_says_why() -> None:
    ran = Ran("-f", EXAMPLE, "-o", "json")
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    waiting = {job["name"]: job for job in ran.json["jobs"] if job["site"] is None}
    assert set(waiting) == {"film-render", "impossible"}
    render = waiting["film-render"]
    assert (render["reason"], render["estimate"]["start"][:10]) == ("Deferred", "2026-01-31")
    assert "saves" in render["message"]
    assert sum(r["count"] for r in waiting["impossible"]["rejections"]) == len(list((EXAMPLE / "sites").glob("*.yaml")))


def test_a_tariff_of_the_manifests_is_what_a_job_costs_and_is_limited_by(put: Put) -> None:
    item = {"name": "card", "unit": "CardHour", "price": "3", "bandPrices": [{"band": "night", "price": "2"}]}
    hours = [{"from": "00:00", "to": "20:00", "band": "day"}, {"from": "20:00", "to": "24:00", "band": "night"}]
    spec = {
        "provider": "East Compute", "effectiveFrom": "2026-01-01", "items": [item],
        "schedules": [{"name": "all", "bands": hours}], "customerClasses": [{"name": "university", "percent": 50}],
    }  # fmt: skip
    account = raw("ComputeAccount", "lab", {"namespaces": ["team"], "customerClass": "university"})
    site = a_site("one", operator="East Compute")
    most = {
        "fits": "20000000",
        "poor": "19999999",
    }  # of 8 cards, an hour of the day and one of the night, at half the price
    jobs = [
        a_job(name, namespace="team", timing={"expectedDuration": "2h"}, limits={"maxCost": text})
        for name, text in most.items()
    ]
    folder = put(HERE, site, account, raw("Tariff", "east-2026", spec), *jobs)
    ran = Ran("-f", folder, "-o", "json", "--now", "2026-01-31T11:00:00Z")
    told = {job["name"]: job for job in ran.json["jobs"]}
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    assert told["fits"]["estimate"]["cost"] == "20000000"
    assert "would cost 20.000000 CNY by Tariff east-2026, limits.maxCost is 19.999999 CNY" in told["poor"]["message"]
