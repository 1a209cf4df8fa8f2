"""`suanli explain`: one job in full, as table, JSON and YAML, from manifests; and what it says of bad input."""

from pathlib import Path

import pytest
import yaml

import planned
from planned import BAD_INPUT, DONE, HERE, REFUSED, SOME_WAIT, Put, a_job, a_site
from suanli.placement.chain import STEPS
from worlds import raw

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "national"


class Ran(planned.Ran):
    """A run of `suanli explain`."""

    command = "explain"


def a_world(put: Put) -> Path:
    """Two sites that take a job of eight cards, one that is off and one that is too small."""
    sites = [a_site("one"), a_site("two", "3"), a_site("off", desiredState="Drain"), a_site("full", units=1)]
    return put(HERE, *sites, a_job("a"), a_job("b"))


def test_a_placed_job(put: Put) -> None:
    ran = Ran("b", "-f", a_world(put))
    assert (ran.code, ran.err) == (DONE, "")
    assert ran.lines == [
        "default/b: two (gpu)",
        "two: 24.00 CNY with policy weights; 1 of 2 sites are cheaper but needed by other jobs, such as one 8.00 CNY",
        "one way 0ms (Measured)",
        "proven gap of the whole plan: 0.0000 %",
        "",
        "Ways to run it, in CNY; the total is what is compared",
        "SITE CLASS RUN ENERGY TRANSFER CARBON POLICY TOTAL",
        "two gpu 24.00 0.00 0.00 0.00 0.00 24.00 chosen",
        "one gpu 8.00 0.00 0.00 0.00 0.00 8.00 needed by other jobs",
        "",
        f"Sites that cannot run it; the step is that of the {STEPS} filters it fell to",
        "SITE STEP REASON WHY",
        "off 8 SiteInactive has spec.desiredState Drain, not Active",
        "full 9 TaskFitsNoNode has no node of gpu for a task of 8 cards, 1 core, 1Gi; the largest has 1 card",
        "",
        "No single change of its tier, classes, limits, times, priority, size, quota or budget would make it cheaper.",
    ]


def test_of_many_ways_the_next_three_are_shown_and_all_are_in_json(put: Put) -> None:
    folder = put(HERE, *(a_site(f"site-{i}", str(i + 1)) for i in range(6)), a_job("a"))
    ran = Ran("a", "-f", folder)
    assert "Ways to run it, in CNY; the total is what is compared (2 more)" in ran.out
    assert [line.split()[0] for line in ran.lines if " gpu " in line] == [f"site-{i}" for i in range(4)]
    told = Ran("a", "-f", folder, "-o", "json").json
    assert [way["site"] for way in told["ways"]] == [f"site-{i}" for i in range(6)]
    assert [way["chosen"] for way in told["ways"]] == [True] + [False] * 5
    assert told["ways"][1]["cost"]["total"] == told["ways"][1]["paid"] == "16000000"


def test_a_waiting_job_and_what_would_have_it_placed(put: Put) -> None:
    folder = put(HERE, a_site("one"), a_site("two", "2", class_="npu"), a_job("a"), a_job("b", tasks=2, cards=4))
    ran = Ran("b", "-f", folder)
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    assert ran.lines[0] == "default/b: WaitingForCapacity"
    assert "0 jobs are ahead of it" in ran.lines
    head = ran.lines.index("What would have it placed, one thing at a time")
    assert ran.lines[head + 1 :] == [
        "FIELD NOW THEN SITE CLASS PAID CNY SAVES CNY",
        "spec.tasks 2 1 one gpu 4.00 default/a waits instead; others pay 8.00 less",
        "spec.priority 0 1 one gpu 8.00 default/a waits instead; others pay 8.00 less",
        "spec.resources.class gpu also npu two npu 16.00",
    ]
    advice = Ran("b", "-f", folder, "-o", "json").json["advice"]
    assert advice[1] == {
        "field": "spec.priority",
        "now": "0",
        "then": "1",
        "site": "one",
        "class": "gpu",
        "paid": "8000000",
        "total": "8000000",
        "othersPay": "-8000000",
        "wouldWait": ["default/a"],
        "wouldRun": [],
    }


def test_what_would_make_it_cheaper_says_how_much_it_saves(put: Put) -> None:
    folder = put(HERE, a_site("one", "5"), a_site("two", "2", class_="npu"), a_job("a"))
    ran = Ran("a", "-f", folder)
    assert ran.lines[-1] == "spec.resources.class gpu also npu two npu 16.00 24.00"
    assert "What would make it cheaper, one thing at a time" in ran.out


def test_json_and_yaml_say_the_same(put: Put) -> None:
    folder = a_world(put)
    told = Ran("a", "-f", folder, "-o", "json").json
    assert yaml.safe_load(Ran("a", "-f", folder, "-o", "yaml").out) == told
    assert (told["namespace"], told["name"], told["site"], told["gapPercent"]) == ("default", "a", "one", "0.0000")
    assert told["rejections"][0]["reason"] == "TaskFitsNoNode"
    assert told["fallen"][0] == {
        "site": "off",
        "step": 8,
        "reason": "SiteInactive",
        "why": "has spec.desiredState Drain, not Active",
    }


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("zebra", '"zebra": there is no such job that can be read; give NAME or NAMESPACE/NAME of a ComputeJob'),
        ("nigthly", '"nigthly": there is no such job that can be read; did you mean default/nightly?'),
        ("team/nightli", '"team/nightli": there is no such job that can be read; did you mean team/nightly or'),
        ("a", '"a": there are several: default/a, team/a; give NAMESPACE/NAME'),
    ],
)
def test_it_needs_one_job(put: Put, wanted: str, text: str) -> None:
    jobs = [a_job("a"), a_job("a", namespace="team"), a_job("nightly")]
    if wanted.startswith("team/"):
        jobs.append(a_job("nightly", namespace="team"))
    ran = Ran(wanted, "-f", put(HERE, a_site("one"), *jobs))
    assert (ran.code, ran.out) == (BAD_INPUT, "")
    assert ran.err.startswith(f"error: JOB {text}")


def test_a_job_that_is_wrong_says_so_and_is_2(put: Put) -> None:
    ran = Ran("a", "-f", put(HERE, a_site("one"), a_job("a", origin="atlantis")))
    assert ran.code == BAD_INPUT
    assert 'ComputeJob default/a: spec.origin: "atlantis" is no ComputeRegion' in ran.err
    assert ran.lines[0] == "default/a: UnknownRegion"


def test_other_objects_that_are_wrong_are_2_and_the_job_is_explained(put: Put) -> None:
    ran = Ran("good", "-f", put(HERE, a_site("one"), a_job("bad", tasks=0), a_job("good")))
    assert ran.code == BAD_INPUT
    assert "ComputeJob bad: spec.tasks: " in ran.err
    assert ran.lines[0] == "default/good: one (gpu)"


def test_an_empty_country(put: Put) -> None:
    ran = Ran("a", "-f", put(a_job("a", origin="here"), HERE))
    assert ran.code == SOME_WAIT
    assert ran.lines[0] == "default/a: NoSites"
    assert Ran("a", "-f", put(HERE)).code == BAD_INPUT


def test_without_manifests_it_needs_a_hub(tmp_path: Path) -> None:
    ran = Ran("a", "--kubeconfig", tmp_path / "nowhere")
    assert ran.code == BAD_INPUT
    assert "there is no such file" in ran.err
    assert Ran().code == BAD_INPUT
    assert REFUSED not in (ran.code, DONE)


def test_the_impossible_example_says_by_how_much_each_site_misses() -> None:
    ran = Ran("impossible", "-f", EXAMPLE)
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    fell = [line for line in ran.lines if " LatencyBoundExceeded is " in line]
    assert len(fell) == len(list((EXAMPLE / "sites").glob("*.yaml")))
    assert "spec.latency city (1ms) cross-hub (20ms)" in "\n".join(ran.lines)


def test_a_policy_rule_is_named(put: Put) -> None:
    nowhere = {"name": "nowhere", "effect": "Require", "siteSelector": {"matchLabels": {"no": "where"}}}
    ran = Ran(
        "a", "-f", put(HERE, raw("HubPolicy", "national", {"placementRules": [nowhere]}), a_site("one"), a_job("a"))
    )
    assert "one 4 PolicyForbids is outside the hubs; rule nowhere requires no=where" in ran.lines
