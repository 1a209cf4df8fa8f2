"""Whose jobs a namespace's are, and who is part of whom."""

import pytest

from suanli.base.reasons import Reason
from suanli.placement.accounts import Accounts, Tenancy, asked_milli
from worlds import a_job, a_tenancy, an_account


def test_a_namespace_belongs_to_the_account_that_names_it_or_is_its_own() -> None:
    accounts = a_tenancy(an_account("bank", namespaces=["till", "vault"])).accounts
    assert [accounts.of(name) for name in ("till", "vault", "street", "bank")] == ["bank", "bank", "street", "bank"]
    assert Accounts().of("till") == "till"


def test_of_two_accounts_the_older_keeps_the_namespace_and_the_younger_is_told() -> None:
    old = an_account("zebra", created="2026-01-01T00:00:00Z", namespaces=["till"])
    young = an_account("ape", created="2026-01-02T00:00:00Z", namespaces=["till", "jungle"])
    accounts = a_tenancy(young, old).accounts
    assert (accounts.of("till"), accounts.of("jungle")) == ("zebra", "ape")
    assert accounts.trouble("zebra") is None
    assert accounts.trouble("ape") == (
        Reason.NAMESPACE_CLAIMED,
        'spec.namespaces: "till" belongs to the older account zebra; take it out of one of them',
    )


def test_of_equally_old_accounts_the_first_by_name_keeps_it_whatever_the_order() -> None:
    one, two = (an_account(name, namespaces=["till"]) for name in ("one", "two"))
    assert a_tenancy(one, two).accounts.of("till") == a_tenancy(two, one).accounts.of("till") == "one"


def test_many_lost_namespaces_are_told_in_few_words() -> None:
    names = [f"n{i}" for i in range(9)]
    accounts = a_tenancy(an_account("a", namespaces=names), an_account("b", namespaces=names)).accounts
    trouble = accounts.trouble("b")
    assert trouble is not None
    assert '"n4" belongs to the older account a and 4 more belong to others; take' in trouble[1]


def test_a_parent_that_is_not_there_is_none() -> None:
    accounts = a_tenancy(an_account("bank", parent="state")).accounts
    assert accounts.lineage("bank") == ("bank",)
    trouble = accounts.trouble("bank")
    assert trouble is not None
    assert trouble[0] is Reason.UNKNOWN_PARENT
    assert '"state" is no ComputeAccount' in trouble[1]


@pytest.mark.parametrize("length", [1, 2, 5])
def test_accounts_of_a_circle_have_no_parent_and_those_below_keep_theirs(length: int) -> None:
    circle = [an_account(f"c{i}", parent=f"c{(i + 1) % length}") for i in range(length)]
    accounts = a_tenancy(*circle, an_account("leaf", parent="c0"), an_account("twig", parent="leaf")).accounts
    assert [accounts.lineage(f"c{i}") for i in range(length)] == [(f"c{i}",) for i in range(length)]
    assert accounts.lineage("twig") == ("twig", "leaf", "c0")
    assert {accounts.trouble(f"c{i}")[0] for i in range(length)} == {Reason.CIRCULAR_PARENTS}  # type: ignore[index]
    assert accounts.trouble("leaf") is None


def test_what_namespaces_hold_is_what_their_account_holds() -> None:
    accounts = a_tenancy(an_account("bank", namespaces=["till", "vault"])).accounts
    held = Tenancy.of(accounts, [("till", "gpu", 500), ("vault", "gpu", 700), ("street", "gpu", 1), ("till", "cpu", 3)])
    assert held.held_milli == {("bank", "gpu"): 1_200, ("street", "gpu"): 1, ("bank", "cpu"): 3}


def test_a_job_is_counted_in_its_cards_or_in_cores_where_it_asks_for_none() -> None:
    assert asked_milli(a_job(cards=4, cores="16", tasks=3).job.spec) == 12_000
    assert asked_milli(a_job(cards=0, cores="1500m", tasks=3).job.spec) == 4_500
