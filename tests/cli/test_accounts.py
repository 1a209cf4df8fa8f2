"""Accounts in manifests: the planning commands keep their quotas, say what is short, and try changes of them."""

import json
from pathlib import Path
from typing import Any

from planned import BAD_INPUT, DONE, HERE, SOME_WAIT, Explained, Planned, Put, Tried, a_job, a_site
from worlds import Raw, raw

TEXT = "account bank holds 0 cards of gpu and jobs ahead take 8, nominal is 10, it may borrow 0; the job asks for 8"


def an_account(name: str = "bank", nominal: int = 10, **spec: Any) -> Raw:
    whole = {"namespaces": ["till", "vault"], "quotas": [{"class": "gpu", "nominal": nominal}], **spec}
    return raw("ComputeAccount", name, whole)


def a_bank(put: Put, *more: Raw) -> Path:
    """A site with room for three jobs of eight cards, and two jobs of one account, whose quota is for one."""
    jobs = [a_job("first", namespace="till"), a_job("second", namespace="vault"), a_job("other", namespace="street")]
    return put(HERE, a_site("one", units=64), an_account(), *jobs, *more)


def test_a_plan_keeps_the_quota_over_all_namespaces_of_an_account(put: Put) -> None:
    ran = Planned("-f", a_bank(put))
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    assert (
        f"vault/second - - QuotaExceeded: none of 1 sites: 1 QuotaExceeded (one is out of quota: {TEXT})" in ran.lines
    )
    assert "2 of 3 jobs placed (one 2), 1 wait" in ran.out


def test_explain_says_which_quota_is_short_and_how_much_more_would_be_enough(put: Put) -> None:
    ran = Explained("second", "-f", a_bank(put))
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    assert ran.lines[0] == "vault/second: QuotaExceeded"
    assert f"one 11 QuotaExceeded is out of quota: {TEXT}" in ran.lines
    assert "ComputeAccount bank: spec.quotas[gpu].nominal 10 16 one gpu 8.00" in ran.lines
    assert {"account": "bank", "field": "spec.quotas[gpu].nominal", "now": "10", "then": "16"}.items() <= next(
        advice.items()
        for advice in Explained("second", "-f", a_bank(put), "-o", "json").json["advice"]
        if "account" in advice
    )


def test_what_if_an_account_had_more_or_were_gone(put: Put) -> None:
    folder = a_bank(put)
    for i, spec in enumerate(
        ({"apply": [an_account(nominal=16)]}, {"remove": [{"kind": "ComputeAccount", "name": "bank"}]})
    ):
        change = folder.parent / f"change-{i}.yaml"
        change.write_text(json.dumps(raw("WhatIf", "more", spec)), encoding="utf-8")
        ran = Tried("-f", folder, "-f", change)
        assert (ran.code, ran.err) == (DONE, "")
        assert "jobs that wait 1 0 -1" in ran.lines


def test_accounts_that_contradict_each_other_are_told(put: Put) -> None:
    ran = Planned("-f", a_bank(put, an_account("zoo", parent="nobody"), an_account("ark")))
    assert ran.code == BAD_INPUT
    assert 'ComputeAccount zoo: spec.parent: "nobody" is no ComputeAccount; create it or correct the name' in ran.err
    # Manifests have no age: the first by name has the namespaces.
    assert 'ComputeAccount bank: spec.namespaces: "till" belongs to the older account ark' in ran.err
