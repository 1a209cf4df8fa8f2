"""How long jobs run on their second wish, by hand."""

import pytest

from suanli.placement.batch import make_batch
from worlds import NOW_MS, Raw, a_class, a_country, a_job, a_site, a_world

HOUR = 3_600_000


def fast(name: str, petaflops: str | None = None, precision: str = "FP16", **more: str) -> Raw:
    return a_class(name, precision=precision, **({"petaflops": petaflops} if petaflops else {}) | more)


def lasts(classes: list[str], *offers: Raw, duration: str = "6h") -> list[int]:
    sites = [a_site(f"site-{i}", {o["class"]: []}, resources=[o]) for i, o in enumerate(offers)]
    job = a_job(classes=classes, timing={"expectedDuration": duration})
    ms: list[int] = make_batch([job], sites, a_country(), NOW_MS).duration_ms_rp[0].tolist()
    return ms


def test_a_class_half_as_fast_takes_twice_as_long() -> None:
    assert lasts(["gpu", "npu"], fast("gpu", "0.312"), fast("npu", "0.156")) == [6 * HOUR, 12 * HOUR]
    assert lasts(["npu", "gpu"], fast("gpu", "0.312"), fast("npu", "0.156")) == [3 * HOUR, 6 * HOUR]


@pytest.mark.parametrize(
    "other", [fast("npu", "0.156", "FP32"), fast("npu"), fast("npu", "0.156", "FP64")], ids=["FP32", "unknown", "FP64"]
)
def test_figures_of_two_precisions_never_meet(other: Raw) -> None:
    assert lasts(["gpu", "npu"], fast("gpu", "0.312"), other) == [6 * HOUR, 6 * HOUR]


def test_without_a_speed_of_the_first_wish_all_are_equally_fast() -> None:
    assert lasts(["gpu", "npu"], fast("gpu"), fast("npu", "0.156")) == [6 * HOUR] * 2
    assert lasts(["tpu", "npu"], fast("npu", "0.156")) == [6 * HOUR]


def test_where_sites_differ_about_the_first_wish_the_fastest_is_meant() -> None:
    found = lasts(
        ["gpu", "npu"], fast("gpu", "0.1"), fast("gpu", "0.4"), fast("npu", "0.2"), fast("gpu", "0.8", "FP32")
    )
    assert found == [6 * HOUR, 6 * HOUR, 12 * HOUR, 6 * HOUR]


def test_what_is_begun_of_a_millisecond_counts_whole() -> None:
    assert lasts(["gpu", "npu"], fast("gpu", "1"), fast("npu", "3"), duration="1s") == [1_000, 334]


def test_enormous_runs_are_cut() -> None:
    found = lasts(["gpu", "npu"], fast("gpu", "999999.999999"), fast("npu", "0.000001"), duration="8760h")
    assert found == [8_760 * HOUR, 1 << 60]


def test_a_slower_class_costs_its_longer_run_and_may_miss_the_deadline() -> None:
    sites = [
        a_site("a", {"gpu": []}, resources=[fast("gpu", "2", listPrice="3")]),
        a_site("b", resources=[fast("npu", "1", listPrice="1")]),
    ]
    rooms = a_site("b", {"npu": a_site().classes["gpu"].free}, resources=[fast("npu", "1", listPrice="1")])
    job = a_job(classes=["gpu", "npu"], timing={"expectedDuration": "1h"})
    plan = a_world([job], [sites[0], rooms]).plan().decisions["job"]
    assert plan.placement.cost is not None
    assert (plan.site, plan.placement.cost.run) == ("b", "2000000")
    late = a_job(classes=["gpu", "npu"], timing={"expectedDuration": "1h", "deadline": "2026-01-31T09:30:00Z"})
    decision = a_world([late], [sites[0], rooms]).plan().decisions["job"]
    told = {r.reason: r.example for r in decision.placement.rejections}
    assert told["DeadlineUnreachable"] == "b would end 2h after now, 30m after timing.deadline 2026-01-31T09:30:00Z"
