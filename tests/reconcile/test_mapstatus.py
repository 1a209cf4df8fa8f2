"""What is said of regions, sites, links and policies: true, the same for the same, and whatever stood there before."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_condition, a_region, a_site, an_object
from suanli.api.link import ComputeLink, ComputeLinkStatus
from suanli.api.policy import HubPolicy, HubPolicyStatus, Kpi
from suanli.api.site import ComputeSite, ComputeSiteStatus
from suanli.base.reasons import Reason
from suanli.federation.capacity import ClassFigures
from suanli.federation.facts import MAX_AMOUNT, Amounts, NodeFacts
from suanli.federation.member import Health
from suanli.placement.contradictions import Finding
from suanli.placement.snapshot import ClassRoom
from suanli.reconcile import mapstatus
from suanli.reconcile.sites import Credentials

NOW_MS = 1_772_352_000_000
READY = (Reason.READY, "1 nodes are ready")
VALID = Credentials(None, Reason.CREDENTIALS_MISSING, "there is no Secret")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("type", "status", "x")), inner),
    max_leaves=6,
)


def site_status(raw: dict[str, Any], policy: HubPolicy | None = None, **known: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "ready": READY,
        "credentials": VALID,
        "member": None,
        "figures": {},
        "allocated": {},
        "jobs": 3,
        "now_ms": NOW_MS,
        **known,
    }
    site = ComputeSite.model_validate({k: v for k, v in raw.items() if k != "status"})
    return mapstatus.site_status(raw, site, policy=policy, **whole)


def said(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}


def a_policy(**spec: Any) -> HubPolicy:
    clusters = [{"name": "delta-1", "regions": ["shanghai"], "pueCeiling": "1.25"}]
    hubs = [{"name": "delta", "side": "East", "regions": ["shanghai"], "clusters": clusters}]
    return HubPolicy.model_validate(an_object("HubPolicy", "national", {"hubs": hubs, **spec}))


def test_a_site_in_its_order_of_conditions() -> None:
    status = site_status(a_site(), a_policy())
    assert list(said(status)) == ["Ready", "Reachable", "CredentialsValid", "PolicyCompliant"]
    assert said(status)["Ready"] == ("True", "Ready")
    assert said(status)["Reachable"] == ("Unknown", "NotConnected")
    assert said(status)["CredentialsValid"] == ("False", "CredentialsMissing")
    assert (status["jobs"], status["hub"], status["side"]) == (3, "delta", "East")
    ComputeSiteStatus.model_validate(status)


def test_the_same_again_is_the_same() -> None:
    raw = a_site()
    once = site_status(raw, a_policy())
    assert site_status({**raw, "status": once}, a_policy(), now_ms=NOW_MS + 99_000) == once


def test_a_site_that_left_its_hub_keeps_no_name_of_it() -> None:
    raw = a_site(status={"hub": "delta"})
    status = site_status(raw, None)
    assert "hub" not in status
    assert status["side"] == "Outside"


@pytest.mark.parametrize(("racks", "size"), [(0, "Medium"), (2_999, "Medium"), (3_000, "Large"), (10_000, "Mega")])
def test_the_size_classes_of_data_centres(racks: int, size: str) -> None:
    assert site_status(a_site(standardRacks=racks))["sizeClass"] == size


def test_a_site_that_breaks_the_policy_is_told_by_how_much() -> None:
    status = site_status(a_site(energy={"pue": "1.5"}), a_policy())
    assert said(status)["PolicyCompliant"] == ("False", "PueAboveCeiling")
    assert "PUE 1.5 is above the ceiling 1.25" in str(status["conditions"])
    assert said(site_status(a_site(energy={"pue": "1.2"}), a_policy()))["PolicyCompliant"] == ("True", "Compliant")


@given(JSON)
def test_whatever_stands_there_is_replaced_by_what_is_true(old: Any) -> None:
    raw = {**a_site(), "status": {"conditions": old}}
    assert said(site_status(raw))["Ready"] == ("True", "Ready")
    assert mapstatus.region_status({**a_region(), "status": {"conditions": old}}) is not None


def test_a_link_to_nowhere_is_told_by_its_end() -> None:
    spec = {"endpoints": ["shanghai", "atlantis"], "oneWay": "3ms"}
    raw = an_object("ComputeLink", "l", spec)
    link = ComputeLink.model_validate(raw)
    status = mapstatus.link_status(raw, link, {"shanghai"}, NOW_MS)
    assert said(status) == {"Resolved": ("False", "UnknownEndpoint")}
    assert '"atlantis"' in status["conditions"][0]["message"]
    assert said(mapstatus.link_status(raw, link, {"shanghai", "atlantis"}, NOW_MS)) == {
        "Resolved": ("True", "Resolved")
    }
    ComputeLinkStatus.model_validate(status)


class ABoastfulMember:
    """It answers, and tells of nodes with more than a number holds."""

    usable = True
    health = Health(True, Reason.CONNECTED, "it answers", "v1.36.3", "a-cluster")

    def usable_nodes(self) -> list[NodeFacts]:
        return [NodeFacts(f"n{n}", True, (), (), Amounts(MAX_AMOUNT, MAX_AMOUNT)) for n in range(20)]


def test_figures_that_no_number_holds_do_not_keep_the_rest_from_being_said() -> None:
    boasted = ClassFigures(20 * MAX_AMOUNT, 20 * MAX_AMOUNT, ClassRoom((), ()))
    status = site_status(a_site(), member=ABoastfulMember(), figures={"cpu": boasted})
    most = (1 << 63) - 1
    assert status["classes"] == [{"class": "cpu", "capacity": most, "allocatable": most, "allocated": 0}]
    assert (status["cpuMilli"], status["memoryBytes"], status["nodes"]) == (most, most, 20)


def test_a_policy_with_a_mistake_is_told_of_all_of_them() -> None:
    policy, raw = a_policy(), an_object("HubPolicy", "national", {})
    errors = [Finding(Reason.UNKNOWN_REGION, "one"), Finding(Reason.CONTRADICTION, "two")]
    remark = Finding(Reason.MATCHES_NOTHING, "odd", is_error=False)
    status = mapstatus.policy_status(raw, policy, [*errors, remark], NOW_MS)
    assert said(status) == {"Consistent": ("False", "UnknownRegion")}
    assert status["conditions"][0]["message"] == "one; also: two"
    status = mapstatus.policy_status(raw, policy, [remark], NOW_MS)
    assert said(status) == {"Consistent": ("True", "Consistent")}
    assert status["conditions"][0]["message"] == "0 rules over 1 hubs. Remark: odd"
    HubPolicyStatus.model_validate(status)


def test_figures_are_news_when_they_would_be_shown_otherwise() -> None:
    policy, raw = a_policy(), an_object("HubPolicy", "national", {})
    one = Kpi(
        name="green-share", value="0.5000", numerator="1000", denominator="2000", unit="kW", message="1 of 2 days"
    )
    other = one.model_copy(update={"numerator": "1040", "denominator": "2010", "message": "3 of 4 days"})

    def written(before: dict[str, Any], kpi: Kpi) -> Any:
        return mapstatus.policy_status({**raw, "status": before}, policy, [], NOW_MS, [kpi])

    first = written({}, one)
    HubPolicyStatus.model_validate(first)
    assert written(first, other) == first
    assert written(first, other.model_copy(update={"value": "0.5001"}))["kpis"][0]["denominator"] == "2010"
    met = other.model_copy(update={"met": "True", "target": "AtLeast 0.5"})
    assert written(first, met)["kpis"][0]["numerator"] == "1040"
    assert written(first, other.model_copy(update={"denominator": "2100"}))["kpis"][0]["message"] == "3 of 4 days"
    assert written(first, other.model_copy(update={"message": "of all"}))["kpis"][0]["message"] == "of all"
    assert written({"kpis": [7, {"name": "green-share", "numerator": []}]}, one)["kpis"][0]["numerator"] == "1000"
    assert mapstatus.policy_status({**raw, "status": first}, policy, [], NOW_MS) == first


@pytest.mark.parametrize(
    ("kind", "type_"),
    [
        ("ComputeSite", "Ready"),
        ("HubPolicy", "Consistent"),
        ("ComputeLink", "Resolved"),
        ("ComputeAccount", "Consistent"),
        ("ComputeRegion", "Valid"),
    ],
)
def test_what_cannot_be_read_says_so_in_its_main_condition(kind: str, type_: str) -> None:
    raw = an_object(kind, "bad", {})
    status = mapstatus.invalid_status(raw, 'spec.x: "y": no', NOW_MS)
    assert said(status) == {type_: ("False", "InvalidSpec")}
    assert status["conditions"][0]["message"] == 'spec.x: "y": no; correct the field'


def test_a_region_that_can_be_read_again_says_nothing() -> None:
    other = a_condition("Mapped")
    bad = a_region(status={"conditions": [a_condition("Valid", "False", "InvalidSpec"), other], "note": 1})
    assert mapstatus.region_status(bad) == {"conditions": [other], "note": 1}
    good = a_region(status={"conditions": [other]})
    assert mapstatus.region_status(good) == good["status"]
