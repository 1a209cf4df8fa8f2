from collections.abc import Callable
from typing import Any

from demo.country import Country
from demo.figures import check, counted
from demo.pods import PodRun, pod_run
from demo.report import Seen
from harness.pods import Amount
from suanli.api.policy import Kpi

Build = Callable[..., dict[str, Any]]
SHARES = {"east-to-west-share-cards": "0.3333", "east-to-west-share-cores": "0.2500", "tier-compliance": "0.6667"}


def seen(a_job: Build, a_pod: Build) -> Seen:
    """Card jobs of 30 card-seconds each at three sites, core jobs of 1 and 3 core-seconds, a western one, one that is gone."""
    sites = {"far": "zhongwei-dc1", "here": "yrd-demo-dc1", "near": "wuhan-edge1", "gone": "zhongwei-dc1"}
    jobs = {name: a_job(name, "Succeeded", site) for name, site in sites.items()}
    jobs["far"]["spec"]["latency"] = {"tier": "region"}  # Zhongwei is not within 5 ms of Shanghai
    runs = [pod_run(a_pod(name), site) for name, site in sites.items()]
    for name, site, seconds in (("cold", "zhongwei-dc1", 1), ("warm", "yrd-demo-dc1", 3)):
        jobs[name] = a_job(name, "Succeeded", site)
        jobs[name]["status"]["assignment"]["class"] = "cpu-x86"
        del jobs[name]["spec"]["latency"]
        runs.append(PodRun(site, f"uid-{name}", name, Amount(0, seconds * 1_000_000, 0, 0), over=True))
    jobs["western"] = a_job("western", "Succeeded", "zhongwei-dc1")
    jobs["western"]["spec"] |= {"origin": "zhongwei", "latency": None}
    runs.append(pod_run(a_pod("western"), "zhongwei-dc1"))
    return Seen(jobs, frozenset({"gone"}), runs, {}, ())


def kpis(**values: str) -> list[Kpi]:
    return [Kpi(name=name, value=value) for name, value in {**SHARES, **values}.items()]


def test_counted_of_what_the_hub_still_has(a_job: Build, a_pod: Build, country: Country) -> None:
    assert counted(seen(a_job, a_pod), country) == SHARES


def test_nothing_ran_nothing_is_counted(country: Country) -> None:
    found = counted(Seen({}, frozenset(), [], {}, ()), country)
    assert found == {}
    assert check([], found).text == "0 figures"


def test_figures_of_the_hub_that_are_others_or_missing_are_named() -> None:
    assert check([*kpis(), Kpi(name="average-pue", value="1.2")], SHARES).true
    wrong = check(kpis(**{"tier-compliance": "1.0000"})[1:], SHARES)
    assert not wrong.true
    assert wrong.text == "east-to-west-share-cards is None, counted 0.3333; tier-compliance is 1.0000, counted 0.6667"
