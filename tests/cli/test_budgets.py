"""Budgets and prepayments in the planning commands: who waits for money, in the operator's words, and what would have it start."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apiserver import FakeApiServer
from builders import T0, a_condition
from joinable import a_hub
from planned import DONE, HERE, SOME_WAIT, Explained, Planned, Put, Tried, a_job, a_site
from serving import serving
from worlds import Raw, raw


def an_account(name: str = "bank", amount: str | None = "20000000", status: Raw | None = None, **spec: Any) -> Raw:
    budget = {} if amount is None else {"budget": {"amount": amount, "period": "Month"}}
    account = raw("ComputeAccount", name, {"namespaces": ["till"], **budget, **spec})
    return account if status is None else {**account, "status": status}


def a_bank(put: Put, *more: Raw, file: str = "all.yaml") -> Path:
    """Room for all; three jobs of 8.00 CNY each, with the margin 8.80, two of them of an account that has 20.00 CNY."""
    jobs = [a_job(name, namespace="till") for name in ("first", "second", "third")]
    return put(HERE, a_site("one", units=64), a_job("other", namespace="street"), *jobs, *more, file=file)


WORDS = (
    "account bank has a budget of 20.00 CNY for 2026-01, of which 0.00 are spent, 0.00 held for running jobs, 17.60 wanted by jobs "
    "ahead, 2.40 left; the job needs 8.80 CNY: 8.00 by its estimate, the rest is margin; raise spec.budget.amount by 6.40 CNY or "
    "more, or wait for jobs to end or for 2026-01-31T16:00:00Z"
)


def test_a_plan_says_who_would_wait_for_money_and_plans_the_others(put: Put) -> None:
    ran = Planned("-f", a_bank(put, an_account()))
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    assert f"till/third - - 8.00 BudgetExceeded: {WORDS}" in ran.lines
    assert "3 of 4 jobs placed (one 3), 1 wait" in ran.out


def test_room_of_those_who_wait_for_money_is_others(put: Put) -> None:
    """The site takes one job: the first of the queue cannot be paid, so that it is another one's."""
    poor = an_account(amount="1000000")
    ran = Planned("-f", put(HERE, a_site("one"), a_job("mine", namespace="till"), a_job("other"), poor), "-o", "json")
    assert [(job["name"], job["reason"]) for job in ran.json["jobs"]] == [
        ("mine", "BudgetExceeded"),
        ("other", "Placed"),
    ]


def test_explain_says_the_least_budget_that_is_enough(put: Put) -> None:
    folder = a_bank(put, an_account())
    ran = Explained("third", "-f", folder)
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    assert ran.lines[:2] == ["till/third: BudgetExceeded", WORDS]
    assert "ComputeAccount bank: spec.budget.amount 20000000 26400000 one gpu 8.00" in ran.lines
    account = an_account(amount="26400000")
    assert Planned("-f", a_bank(put, account)).code == DONE
    assert Planned("-f", a_bank(put, an_account(amount="26399999"))).code == SOME_WAIT


def test_explain_counts_who_lacks_money_too_and_comes_first(put: Put) -> None:
    """What is added is first for the older job, whose need is larger."""
    jobs = [a_job("old", 8, "till"), a_job("young", 4, "till")]
    folder = put(HERE, a_site("one", units=64), *jobs, an_account(amount="0"))
    (advice,) = (a for a in Explained("young", "-f", folder, "-o", "json").json["advice"] if "account" in a)
    assert (advice["field"], advice["then"]) == ("spec.budget.amount", "4400000")
    (advice,) = (
        a for a in Explained("old", "-f", folder, "-o", "json").json["advice"] if a["field"] == "spec.budget.amount"
    )
    assert (advice["then"], advice["wouldRun"]) == ("8800000", [])


def test_explain_says_which_limit_of_cost_leads_to_a_site_that_can_be_paid(put: Put) -> None:
    """The policy prefers the dear site; the cheap one could be paid."""
    east = {"name": "east", "effect": "Prefer", "siteSelector": {"matchLabels": {"side": "b"}}, "weight": "20000000"}
    dear = a_site("dear", "3")
    dear["metadata"]["labels"] = {"side": "b"}
    policy = raw("HubPolicy", "national", {"placementRules": [east]})
    folder = put(HERE, a_site("cheap"), dear, policy, a_job("mine", namespace="till"), an_account())
    ran = Explained("mine", "-f", folder, "-o", "json")
    assert (ran.json["reason"], ran.json["estimate"]["cost"]) == ("BudgetExceeded", "24000000")
    (advice,) = (a for a in ran.json["advice"] if a["field"] == "spec.limits.maxCost")
    assert (advice["then"], advice["site"], advice["paid"]) == ("8000000", "cheap", "8000000")


def test_a_parents_budget_bounds_what_its_children_cost_together(put: Put) -> None:
    ministry = an_account("ministry", "10000000", namespaces=[])
    ran = Planned("-f", a_bank(put, ministry, an_account(amount=None, parent="ministry")), "-o", "json")
    waits = [job for job in ran.json["jobs"] if job["reason"] == "BudgetExceeded"]
    assert [job["name"] for job in waits] == ["second", "third"]
    assert "account ministry has a budget of 10.00 CNY" in waits[0]["message"]


def test_what_a_status_tells_is_spent_already_unless_it_is_of_another_period(put: Put) -> None:
    told = {"balance": "0", "held": "1000000", "spent": "11000000", "period": "2026-01"}
    for period, waits in (("2026-01", 3), ("2025-12", 1)):
        ran = Planned("-f", a_bank(put, an_account(status={**told, "period": period})), "-o", "json")
        assert ran.json["summary"]["waiting"] == waits


def test_a_prepayment_is_only_known_from_a_status(put: Put) -> None:
    ran = Planned("-f", a_bank(put, an_account(amount=None, payment="Prepaid")))
    assert (ran.code, "ComputeAccount bank: it is Prepaid, and no status says what it paid in" in ran.err) == (
        DONE,
        True,
    )
    paid = {"balance": "10000000", "held": "0", "spent": "0"}
    folder = a_bank(put, an_account(amount=None, payment="Prepaid", status=paid))
    told = Explained("third", "-f", folder)
    assert (told.code, told.err) == (SOME_WAIT, "")
    assert "pay in 7.60 CNY or more with `suanli account top-up bank`, or wait for jobs to end" in told.lines[1]
    assert "ComputeAccount bank: status.balance 10000000 26400000 one gpu 8.00 1 other gets a place" in told.lines


@pytest.mark.parametrize("status", [{"balance": "lots", "held": "0", "spent": "0"}, {"held": "1"}, [], "spent"])
def test_a_status_that_cannot_be_read_says_nothing(put: Put, status: Any) -> None:
    assert "third - - 8.00 BudgetExceeded" in "\n".join(Planned("-f", a_bank(put, an_account(status=status))).lines)


@pytest.mark.parametrize(
    ("change", "after", "code"),
    [
        ({"apply": [an_account(amount="30000000")]}, "0", DONE),
        ({"apply": [an_account(amount="1000000")]}, "3", SOME_WAIT),
        ({"remove": [{"kind": "ComputeAccount", "name": "bank"}]}, "-", DONE),
    ],
)
def test_what_if_counts_who_waits_for_money(put: Put, change: Raw, after: str, code: int) -> None:
    folder = a_bank(put, an_account())
    file = folder.parent / "change.yaml"
    file.write_text(json.dumps(raw("WhatIf", "budget", change)), encoding="utf-8")
    ran = Tried("-f", folder, "-f", file)
    assert (ran.code, ran.err) == (code, "")
    signed = {"0": " -1", "3": " +2", "-": ""}[after]
    assert f"of these for money 1 {after}{signed}" in ran.lines


# --- on a hub


@pytest.fixture
def hub() -> Iterator[FakeApiServer]:
    server = a_hub()
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "till"}})
    site = a_site("one", units=64)
    figures = {"classes": [{"class": "gpu", "capacity": 64, "allocatable": 64, "allocated": 8}]}
    status = {"conditions": [a_condition("Ready")], **figures, "cpuMilli": 64_000, "memoryBytes": 512 << 30, "nodes": 1}
    assignment = {"site": "one", "epoch": 1, "class": "gpu", "time": T0}
    runs = {"assignment": assignment, "startedAt": T0, "estimate": {"cost": "8000000"}}
    waits = {"conditions": [a_condition("Placed", "False", "BudgetExceeded", "account bank has nothing")]}
    old = a_job("runs", namespace="till")
    old["metadata"] |= {"creationTimestamp": "2026-01-29T08:00:00Z"}
    job = a_job("big", 16, namespace="till")
    job["metadata"] |= {"creationTimestamp": "2026-01-30T08:00:00Z"}
    for one in (
        HERE,
        {**site, "status": status},
        an_account(status={"balance": "0", "held": "8800000", "spent": "1000000", "period": "2026-01"}),
        {**old, "status": runs},
        {**job, "status": waits},
    ):
        server.put(one)
    with serving(server):
        yield server


def test_on_a_hub_what_is_spent_and_held_counts(hub: FakeApiServer, tmp_path: Path) -> None:
    ran = Explained("big", "--kubeconfig", hub.kubeconfig(tmp_path))
    assert ran.code == SOME_WAIT
    assert ran.lines[0] == "till/big: BudgetExceeded"
    assert "of which 1.00 are spent, 8.80 held for running jobs, 10.20 left; the job needs 17.60 CNY" in ran.lines[1]
    assert ran.lines[2].endswith("; the operator says: BudgetExceeded: account bank has nothing")
    assert ran.lines[2].startswith("it waits since 20")


def test_a_job_that_has_its_place_is_planned_anew_with_the_money_that_is_held_for_it(
    hub: FakeApiServer, tmp_path: Path
) -> None:
    ran = Explained("runs", "--kubeconfig", hub.kubeconfig(tmp_path), "-o", "json")
    assert (ran.json["reason"], ran.json["stands"]) == ("Placed", "one (gpu)")


def test_an_account_whose_money_the_operator_does_not_count_is_not_limited(hub: FakeApiServer, tmp_path: Path) -> None:
    hub.put(an_account(status={}))
    assert Explained("big", "--kubeconfig", hub.kubeconfig(tmp_path)).code == DONE
