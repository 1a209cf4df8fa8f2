"""Metrics by Prometheus' conventions; gauges are what is true when somebody asks."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from suanli.telemetry.metrics import Metrics


def samples(text: bytes) -> dict[str, float]:
    """Values by name and labels."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_what_is_counted_is_shown(metrics: Metrics) -> None:
    metrics.request("hub", "patch", "computejobs/status", "200")
    metrics.request("hub", "patch", "computejobs/status", "200")
    metrics.placed("east")
    metrics.dispatched("east")
    metrics.finished("Succeeded")
    metrics.cycle(7, 2, 1_500)
    metrics.leading(True)
    metrics.surprises.inc()
    with metrics.cycle_seconds.time():
        pass
    found = samples(metrics.scrape({}, {}, {}))
    assert found["suanli_api_requests_total{cluster=hub,code=200,resource=computejobs/status,verb=patch}"] == 2
    assert found["suanli_jobs_placed_total{site=east}"] == 1
    assert found["suanli_jobs_dispatched_total{site=east}"] == 1
    assert found["suanli_jobs_finished_total{reason=Succeeded}"] == 1
    assert found["suanli_placement_batch_jobs{}"] == 7
    assert found["suanli_placement_unplaced_jobs{}"] == 2
    assert found["suanli_placement_gap_ratio{}"] == 0.0015
    assert found["suanli_placement_cycle_seconds_count{}"] == 1
    assert found["suanli_unexpected_errors_total{}"] == 1
    assert found["suanli_leader{}"] == 1
    metrics.leading(False)
    assert samples(metrics.scrape({}, {}, {}))["suanli_leader{}"] == 0


def test_what_is_not_there_any_more_is_not_shown_any_more(metrics: Metrics) -> None:
    metrics.scrape({("Running", "east", "Running"): 3}, {"east": 1.5}, {"east": True})
    found = samples(metrics.scrape({("Waiting", "", "NoSites"): 2}, {"west": 0.5}, {"west": False}))
    assert found["suanli_jobs{reason=NoSites,site=,state=Waiting}"] == 2
    assert found["suanli_member_last_heard_age_seconds{site=west}"] == 0.5
    assert found["suanli_site_ready{site=west}"] == 0
    assert not any("site=east" in name for name in found)


def test_a_label_may_hold_anything(metrics: Metrics) -> None:
    odd = 'a"b\\c\nd 州'
    found = samples(metrics.scrape({}, {}, {odd: True}))
    assert found[f"suanli_site_ready{{site={odd}}}"] == 1


def test_names_and_units_are_as_the_convention_has_them(metrics: Metrics) -> None:
    for family in text_string_to_metric_families(metrics.scrape({}, {}, {}).decode()):
        assert re.fullmatch(r"suanli_[a-z_]+", family.name), family.name
        assert family.documentation.endswith("."), family.name
        assert not re.search(r"_(ms|millis|minutes|percent|kb)$", family.name)
        if family.type == "counter":
            assert all(s.name.endswith(("_total", "_created")) for s in family.samples)


def test_two_operators_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.placed("east")
    assert "suanli_jobs_placed_total{site=east}" not in samples(other.scrape({}, {}, {}))


def test_figures_of_a_policy_go_with_it(metrics: Metrics) -> None:
    metrics.kpis([("green-share", 0.62, "False"), ("hub-usage-gap-fp16", -0.25, None)])
    found = samples(metrics.scrape({}, {}, {}))
    assert found["suanli_policy_kpi{kpi=green-share}"] == 0.62
    assert found["suanli_policy_kpi{kpi=hub-usage-gap-fp16}"] == -0.25
    assert found["suanli_policy_kpi_met{kpi=green-share}"] == 0
    assert "suanli_policy_kpi_met{kpi=hub-usage-gap-fp16}" not in found
    metrics.kpis(())
    assert not any("suanli_policy" in name for name in samples(metrics.scrape({}, {}, {})))
