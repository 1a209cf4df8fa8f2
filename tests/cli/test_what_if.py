"""`suanli what-if`: what a change does, told as it is; and changes that cannot be made."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import planned
from planned import BAD_INPUT, DONE, HERE, SOME_WAIT, Put, a_job, a_site
from worlds import Raw, raw

CHANGES = Path(__file__).resolve().parents[2] / "examples" / "what-if"


class Ran(planned.Ran):
    """A run of `suanli what-if`."""

    command = "what-if"


def a_change(**spec: Any) -> Raw:
    return {"apiVersion": "suanli.io/v1alpha1", "kind": "WhatIf", "metadata": {"name": "trial"}, "spec": spec}


LOST = a_change(remove=[{"kind": "ComputeSite", "name": "one"}])


def figures(ran: Ran) -> dict[str, tuple[str, str]]:
    return {figure["name"]: (figure["before"], figure["after"]) for figure in ran.json["figures"]}


# --- each kind of change


def test_a_lost_site(put: Put) -> None:
    folder = put(HERE, a_site("one"), a_site("two", "3"), a_job("a"), a_job("b"), a_job("c"), LOST)
    ran = Ran("-f", folder)
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    assert ran.lines == [
        "BEFORE AFTER CHANGE",
        "jobs with a place 2 1 -1",
        "jobs that wait 1 2 +1",
        "to be paid, CNY 32.00 24.00 -8.00",
        "with policy weights, CNY 32.00 24.00 -8.00",
        "proven gap, % 0.0000 0.0000 0",
        "placed of tier any 2 of 3 1 of 3 -1",
        "",
        "Jobs that move: 1",
        "FROM TO JOBS",
        "one (gpu) two (gpu) 1",
        "",
        "Jobs that wait now: 1",
        "JOB REASON WHY",
        "default/b WaitingForCapacity none of 1 sites: 1 WaitingForCapacity (two could take it, but what is free there goes "
        "to other jobs of this plan)",
        "",
        "Unchanged: 0 in the same place, 1 still waiting",
        "",
        "Units in use, where that changes",
        "SITE CLASS UNIT BEFORE OF AFTER OF",
        "one gpu card 8 8 - -",
    ]
    told = Ran("-f", folder, "-o", "json").json
    assert yaml.safe_load(Ran("-f", folder, "-o", "yaml").out) == told
    assert told["moved"] == [
        {"from": {"site": "one", "class": "gpu"}, "to": {"site": "two", "class": "gpu"}, "jobs": 1}
    ]
    assert [w["job"] for w in told["newlyWaiting"]] == ["default/b"]
    assert told["unchanged"] == {"samePlace": 0, "stillWait": 1}
    assert told["figures"][-1] == {"name": "placed of tier any", "before": "2 of 3", "after": "1 of 3"}
    assert {use["site"]: use["after"] and use["after"]["held"] for use in told["use"]} == {"one": None, "two": "8"}


def test_a_new_site(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_site("one"), a_job("a"), a_job("b"), a_change(apply=[a_site("new", "2")])))
    assert (ran.code, ran.err) == (DONE, "")
    assert "default/b new (gpu)" in ran.lines
    assert "new gpu card - - 8 8" in ran.lines


def test_a_site_that_changes(put: Put) -> None:
    bigger = a_change(apply=[a_site("one", units=16)])
    ran = Ran("-f", put(HERE, a_site("one"), a_job("a"), a_job("b"), bigger), "-o", "json")
    assert [job["job"] for job in ran.json["newlyPlaced"]] == ["default/b"]


def test_a_changed_policy(put: Put) -> None:
    here = {"name": "here", "effect": "Require", "siteSelector": {"matchLabels": {"side": "b"}}}
    labelled = a_site("two", "3")
    labelled["metadata"]["labels"] = {"side": "b"}
    policy = raw("HubPolicy", "national", {"placementRules": [here]})
    ran = Ran("-f", put(HERE, a_site("one"), labelled, a_job("a"), a_change(apply=[policy])), "-o", "json")
    assert ran.json["moved"][0]["to"] == {"site": "two", "class": "gpu"}
    assert figures(ran)["to be paid, CNY"] == ("8.00", "24.00")


@pytest.mark.parametrize(
    ("price", "paid"),
    [
        ({"class": "gpu", "factor": "2"}, ("8.00", "16.00")),
        ({"class": "gpu", "site": "one", "factor": "5"}, ("8.00", "24.00")),
        ({"class": "gpu", "site": "two", "listPrice": "0.5"}, ("8.00", "4.00")),
        ({"class": "gpu", "factor": "0"}, ("8.00", "0.00")),
        ({"class": "gpu", "factor": "1"}, ("8.00", "8.00")),
        ({"class": "gpu", "site": "two", "factor": "999999.999999"}, ("8.00", "8.00")),
    ],
)
def test_another_price(put: Put, price: Raw, paid: tuple[str, str]) -> None:
    folder = put(HERE, a_site("one"), a_site("two", "3"), a_job("a"), a_change(prices=[price]))
    ran = Ran("-f", folder, "-o", "json")
    assert (ran.code, figures(ran)["to be paid, CNY"]) == (DONE, paid)


@pytest.mark.parametrize(
    ("demand", "jobs"),
    [
        ({"factor": "2"}, 8),
        ({"factor": "1.5"}, 6),
        ({"factor": "0.5"}, 2),
        ({"factor": "0"}, 0),
        ({"factor": "3", "match": {"categories": ["Backup"]}}, 6),
        ({"factor": "3", "match": {"origins": ["there"], "categories": ["General"]}}, 6),
        ({"factor": "2", "match": {"originSides": ["West"]}}, 6),
    ],
)
def test_more_and_less_demand(put: Put, demand: Raw, jobs: int) -> None:
    there = raw("ComputeRegion", "there", {"displayName": "there", "latitude": "30", "longitude": "111"})
    policy = raw("HubPolicy", "national", {"hubs": [{"name": "hub", "side": "West", "regions": ["there"]}]})
    four = [
        a_job("a", cards=1),
        a_job("b", cards=1, category="Backup"),
        a_job("c", cards=1, origin="there"),
        a_job("d", cards=1, origin="there", category="Finance"),
    ]
    ran = Ran("-f", put(HERE, there, policy, a_site("one"), *four, a_change(demand=[demand])), "-o", "json")
    assert (ran.code, ran.err) == (DONE, "")
    assert figures(ran)["jobs with a place"] == ("4", str(jobs))
    assert len(ran.json["new"]) - len(ran.json["gone"]) == jobs - 4


def test_copies_are_named_after_the_job_and_as_old(put: Put) -> None:
    folder = put(HERE, a_site("one", units=16), a_job("a"), a_job("b"), a_change(demand=[{"factor": "2"}]))
    ran = Ran("-f", folder)
    assert {"Jobs that are new: 2", "one (gpu) 1", "waits 1", "Jobs that wait now: 2"} <= set(ran.lines)
    told = Ran("-f", folder, "-o", "json").json
    assert [(new["job"], new["site"]) for new in told["new"]] == [("default/a+2", "one"), ("default/b+2", None)]
    assert [w["job"] for w in told["newlyWaiting"]] == ["default/b"]


def test_several_changes_are_made_one_after_the_other(put: Put) -> None:
    back = a_change(apply=[a_site("one", "2")], prices=[{"class": "gpu", "factor": "2"}], demand=[{"factor": "2"}])
    ran = Ran("-f", put(HERE, a_site("one", units=16), a_job("a"), LOST, back), "-o", "json")
    assert figures(ran)["to be paid, CNY"] == ("8.00", "32.00")


def test_a_job_that_is_new_or_no_more(put: Put) -> None:
    change = a_change(
        remove=[{"kind": "ComputeJob", "name": "a", "namespace": "team"}],
        apply=[a_job("b", cards=4), a_job("new", cards=4)],
    )
    folder = put(HERE, a_site("one"), a_site("two", "3"), a_job("a", namespace="team"), a_job("b"), change)
    told = Ran("-f", folder, "-o", "json").json
    assert [job["job"] for job in told["gone"]] == ["team/a"]
    assert [job["job"] for job in told["new"]] == ["default/new"]
    assert told["moved"] == [] or told["moved"][0]["jobs"] == 1


def test_what_changes_nothing_says_so(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_site("one"), a_job("a"), a_change()))
    assert (ran.code, ran.err) == (DONE, "")
    assert ran.lines[-1] == "Unchanged: 1 in the same place, 0 still waiting; the change moves nothing"
    assert "Units in use" not in ran.out


def test_long_lists_are_cut_for_people_only(put: Put) -> None:
    folder = put(HERE, a_site("one", units=40), *(a_job(f"j{i}", cards=1) for i in range(40)), LOST)
    ran = Ran("-f", folder)
    assert "Jobs that wait now: 40" in ran.lines
    assert "and 20 more; -o json lists all" in ran.lines
    assert len(Ran("-f", folder, "-o", "json").json["newlyWaiting"]) == 40


def test_an_empty_country(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_change(apply=[a_site("one")], demand=[])))
    assert ran.code == DONE
    assert "jobs with a place 0 0 0" in ran.lines


@pytest.mark.parametrize("change", sorted(CHANGES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_do_something(change: Path) -> None:
    ran = Ran("-f", CHANGES.parent / "national", "-f", change)
    assert (ran.code, ran.err) == (SOME_WAIT, "")  # one job of the example country is impossible
    assert "Units in use, where that changes" in ran.lines


# --- changes that cannot be made


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"remove": [{"kind": "ComputeSite", "name": "onne"}]}, 'spec.remove.0.name: there is no ComputeSite "onne"; did you mean one?'),
        ({"remove": [{"kind": "ComputeJob", "name": "zzz"}]}, 'spec.remove.0.name: there is no ComputeJob "default/zzz"; '),
        ({"remove": [{"kind": "Pod", "name": "a"}]}, 'WhatIf: spec.remove.0.kind: "Pod": '),
        ({"remove": [{"kind": "ComputeSite"}]}, "WhatIf: spec.remove.0.name: it is missing; add it"),
        ({"prices": [{"class": "gpu", "site": "tow", "factor": "2"}]}, 'spec.prices.0.site: there is no ComputeSite "tow"; did you mean two?'),
        ({"prices": [{"class": "gpus", "factor": "2"}]}, 'spec.prices.0.class: no site offers "gpus"; did you mean gpu?'),
        ({"prices": [{"class": "npu", "site": "one", "factor": "2"}]}, 'spec.prices.0.class: ComputeSite one does not offer "npu"'),
        ({"prices": [{"class": "gpu"}]}, 'WhatIf: spec.prices.0.factor: "": give either factor or listPrice'),
        ({"prices": [{"class": "gpu", "factor": "2", "listPrice": "1"}]}, 'WhatIf: spec.prices.0.factor: "2": give either'),
        ({"prices": [{"class": "gpu", "factor": "-2"}]}, 'WhatIf: spec.prices.0.factor: "-2": is not a decimal number'),
        ({"demand": [{"factor": "-1"}]}, 'WhatIf: spec.demand.0.factor: "-1": is not a decimal number'),
        ({"demand": [{"factor": "NaN"}]}, 'WhatIf: spec.demand.0.factor: "NaN": is not a decimal number'),
        ({"demand": [{"factor": 2}]}, 'WhatIf: spec.demand.0.factor: "2": '),
        ({"demand": [{"factor": "1e9"}]}, 'WhatIf: spec.demand.0.factor: "1e9": is not a decimal number'),
        ({"demand": [{"factor": "999999"}]}, 'spec.demand.0.factor: "999999" makes more than 1000000 jobs of 2; make it smaller'),
        ({"demand": [{}]}, "WhatIf: spec.demand.0.factor: it is missing; add it"),
        ({"demand": [{"factor": "2", "match": {"origins": ["atlantis"]}}]}, "spec.demand.0.match: no job matches; correct it"),
        ({"demand": [{"factor": "2", "match": {"categories": ["Chess"]}}]}, 'WhatIf: spec.demand.0.match.categories.0: "Chess": '),
        ({"apply": [{"kind": "Pod", "apiVersion": "v1"}]}, 'spec.apply.0: apiVersion "v1", kind "Pod" is not known'),
        ({"apply": [a_site("new", units=-1)]}, "spec.apply.0: ComputeSite new: spec.resources.0.declaredUnits: "),
        ({"apply": [a_site("new", region="atlantis")]}, 'spec.apply.0: ComputeSite new: spec.region: "atlantis" is no ComputeRegion'),
        ({"apply": [a_site("new"), a_site("new")]}, "spec.apply.1: ComputeSite new is there twice, first in spec.apply.0"),
        ({"apply": ["text"]}, 'WhatIf: spec.apply.0: "text": '),
        ({"surprise": 1}, "WhatIf: spec.surprise: there is no such field; correct its name or remove it"),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_made_is_2_and_names_field_value_and_remedy(put: Put, spec: Raw, text: str) -> None:
    folder = put(HERE, a_site("one"), a_site("two", "3"), a_job("a"), a_job("b"), a_change(**spec))
    ran = Ran("-f", folder)
    assert ran.code == BAD_INPUT
    assert ran.err.startswith(f"error: {folder}/all.yaml (document 6): {text}"), ran.err
    assert "jobs with a place 2 2 0" in ran.lines
    assert Ran("-f", folder, "-o", "json").json["problems"] != []


def test_a_region_that_is_taken_from_under_its_sites(put: Put) -> None:
    gone = a_change(remove=[{"kind": "ComputeRegion", "name": "here"}])
    ran = Ran("-f", put(HERE, a_site("one"), a_job("a"), gone))
    assert ran.code == BAD_INPUT
    assert 'ComputeSite one: spec.region: "here" is no ComputeRegion' in ran.err


@pytest.mark.parametrize("version", ["suanli.io/v2", "suanli.io/v1"])
def test_a_change_of_another_version(put: Put, version: str) -> None:
    ran = Ran("-f", put(HERE, {**a_change(), "apiVersion": version}))
    assert ran.code == BAD_INPUT
    assert f'WhatIf: apiVersion: "{version}": ' in ran.err


def test_no_change_at_all(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_site("one")))
    assert (ran.code, ran.out) == (BAD_INPUT, "")
    assert ran.err == "error: no document of kind WhatIf is in what -f names; docs/planning.md shows one\n"


def test_what_is_wrong_in_the_country_is_told_once(put: Put) -> None:
    ran = Ran("-f", put(HERE, a_site("one"), a_site("lost", region="atlantis"), a_job("a"), a_change()))
    assert ran.code == BAD_INPUT
    assert len(ran.err.splitlines()) == 1


def test_plan_says_where_a_change_belongs(put: Put, tmp_path: Path) -> None:
    class Planned(planned.Ran):
        command = "plan"

    ran = Planned("-f", put(HERE, a_site("one"), a_job("a"), LOST))
    assert ran.code == BAD_INPUT
    assert ran.err == f"error: {tmp_path}/all.yaml (document 4): a WhatIf changes a plan; give it to `suanli what-if`\n"
    assert "1 of 1 jobs placed" in ran.out


def test_without_a_country_it_needs_a_hub(put: Put, tmp_path: Path) -> None:
    ran = Ran("-f", put(LOST), "--kubeconfig", tmp_path / "nowhere")
    assert ran.code == BAD_INPUT
    assert "there is no such file" in ran.err
