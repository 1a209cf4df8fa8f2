"""What keeps a job from being placed before any site is asked."""

from typing import Any

import pytest

from suanli.base.reasons import Reason
from suanli.placement.accept import refusals
from suanli.placement.snapshot import SiteView, WaitingJob
from worlds import NOW_MS, a_country, a_job, a_policy, a_region, a_site

COUNTRY = a_country([a_region("here")], policy=a_policy(latencyTiers=[{"name": "city", "oneWay": "1ms"}]))
SITES = [a_site()]


def said(job: WaitingJob, sites: list[SiteView] | None = None) -> tuple[Reason, str] | None:
    found = refusals([job], SITES if sites is None else sites, COUNTRY, NOW_MS)
    return (found["job"].reason, found["job"].message) if found else None


def data(**fields: Any) -> WaitingJob:
    return a_job(data=fields)


REGION = "is no ComputeRegion; create it or correct the name"


@pytest.mark.parametrize(
    ("job", "reason", "message"),
    [
        (a_job(origin="atlantis"), Reason.UNKNOWN_REGION, f'spec.origin: "atlantis" {REGION}'),
        (
            data(inputs=[{"name": "a", "region": "here", "size": "1"}, {"name": "b", "region": "mu", "size": "1"}]),
            Reason.UNKNOWN_REGION,
            f'spec.data.inputs[b].region: "mu" {REGION}',
        ),
        (
            data(outputs={"region": "mu", "size": "1"}),
            Reason.UNKNOWN_REGION,
            f'spec.data.outputs.region: "mu" {REGION}',
        ),
        (data(allowedRegions=["here", "mu"]), Reason.UNKNOWN_REGION, f'spec.data.allowedRegions: "mu" {REGION}'),
        (
            a_job(latency={"tier": "village"}),
            Reason.UNKNOWN_TIER,
            'spec.latency.tier: "village" is no latency tier of HubPolicy national (it has: city); use one of them, or oneWay',
        ),
        (
            data(allowedSites=["one", "two"]),
            Reason.UNKNOWN_SITE,
            'spec.data.allowedSites: "two" is no ComputeSite; correct the name',
        ),
        (
            a_job(classes=["xpu", "ypu"]),
            Reason.UNKNOWN_CLASS,
            'spec.resources.class: no site offers "xpu, ypu" (they offer gpu); ask for another class',
        ),
        (
            a_job(desiredState="Suspended"),
            Reason.SUSPENDED,
            "spec.desiredState is Suspended; set it to Running to have it placed",
        ),
        (
            a_job(timing={"notBefore": "2026-01-31T16:00:01+08:00"}),
            Reason.NOT_BEFORE,
            "spec.timing.notBefore is 2026-01-31T16:00:01+08:00; it waits until then",
        ),
    ],
)
def test_what_is_wrong_is_told_with_field_value_and_remedy(job: WaitingJob, reason: Reason, message: str) -> None:
    assert said(job) == (reason, message)


@pytest.mark.parametrize(
    "job",
    [
        a_job(),
        a_job(latency={"tier": "city"}),
        a_job(classes=["xpu", "gpu"]),
        a_job(timing={"notBefore": "2026-01-31T16:00:00+08:00"}),
        data(allowedRegions=["here"], allowedSites=["one"], domain="nobody-names-it"),
    ],
)
def test_a_job_that_names_what_exists_is_asked_for(job: WaitingJob) -> None:
    assert said(job) is None


def test_without_sites_that_is_what_is_told() -> None:
    assert said(a_job(classes=["xpu"]), []) == (
        Reason.NO_SITES,
        "there is no ComputeSite; join one with `suanli site join`",
    )


def test_a_country_without_a_policy_has_no_tiers() -> None:
    found = refusals([a_job(latency={"tier": "city"})], SITES, a_country(), NOW_MS)["job"]
    assert found.reason is Reason.UNKNOWN_TIER
    assert "(it has: none)" in found.message


def test_one_bad_job_says_nothing_of_another() -> None:
    assert list(refusals([a_job("good"), a_job("bad", origin="mu")], SITES, COUNTRY, NOW_MS)) == ["bad"]
