"""`suanli voucher list` on a hub: granted, rejected, waiting, and whatever somebody wrote into a status."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from apiserver import FakeApiServer
from builders import Raw, a_condition, an_object
from joinable import a_hub
from serving import serving
from suanli.cli import app

Suanli = Callable[..., Result]
EXPIRES = "2027-03-10T00:00:00Z"


def a_voucher(name: str, program: str = "city", status: object = None) -> Raw:
    spec = {"program": program, "contract": f"c-{name}", "amount": "200000000"}
    return an_object("Voucher", name, spec, namespace="team", status=status)


def figures(redeemed: str, remaining: str) -> Raw:
    return {"entity": "lab", "granted": "40000000", "redeemed": redeemed, "remaining": remaining, "expires": EXPIRES}


@pytest.fixture
def suanli(tmp_path: Path) -> Iterator[Suanli]:
    """Runs `suanli voucher list` on a hub with some of each."""
    hub = a_hub()
    hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    granted = a_condition("Granted", message="40.00 CNY by term all")
    for voucher in (
        a_voucher("held", status={**figures("0", "40000000"), "conditions": [granted]}),
        a_voucher(
            "used",
            status={**figures("10500000", "29500000"), "conditions": [granted, a_condition("Redeemed", message="10.50 of 40.00")]},
        ),
        a_voucher(
            "gone",
            status={**figures("0", "0"), "conditions": [granted, a_condition("Expired", message="40.00 CNY expired")]},
        ),
        a_voucher("long", "rent", {"conditions": [a_condition("Granted", "False", "ContractTooLong", "for 31 days")]}),
        a_voucher("new"),
        a_voucher("odd", status={"granted": ["many"], "redeemed": "9" * 40, "conditions": [7, {"type": "Granted"}]}),
    ):  # fmt: skip
        hub.put(voucher)
    with serving(hub):
        path = hub.kubeconfig(tmp_path)

        def run(*arguments: str, code: int = 0) -> Result:
            result = CliRunner().invoke(app, ["voucher", "list", "--kubeconfig", str(path), *arguments])
            assert result.exit_code == code, result.output
            return result

        yield run


def test_each_claim_is_told_with_what_became_of_it(suanli: Suanli) -> None:
    rows = {line.split()[1]: line.split() for line in suanli().stdout.splitlines()[1:]}
    assert rows["held"][2:8] == ["city", "Granted", "40.00", "0.00", "40.00", EXPIRES]
    assert rows["used"][3:7] == ["Redeemed", "40.00", "10.50", "29.50"]
    assert rows["gone"][3:7] == ["Expired", "40.00", "0.00", "0.00"]
    assert rows["long"][2:] == ["rent", "Rejected", "for", "31", "days"]
    assert rows["new"][3] == rows["odd"][3] == "Waiting"


def test_a_namespace_and_a_programme_can_be_asked_for(suanli: Suanli) -> None:
    (one,) = json.loads(suanli("-n", "team", "--program", "rent", "-o", "json").stdout)["vouchers"]
    assert (one["name"], one["state"], one["granted"], one["why"]) == ("long", "Rejected", "", "for 31 days")
    assert suanli("-n", "nobody").stdout == "there are no vouchers\n"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[tuple[FakeApiServer, Path]]:
    """A hub with a claim, and how to reach it."""
    server = a_hub()
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    raw = a_voucher("rent", "rent", {"granted": "20000000"})
    raw["spec"]["applicantClass"] = "start-up"
    raw["spec"]["invoice"] = {"number": "7", "paid": "150000000", "paidOn": "2026-03-11"}
    server.put(raw)
    with serving(server):
        yield server, server.kubeconfig(tmp_path)


def decide(hub: tuple[FakeApiServer, Path], *arguments: str) -> Result:
    return CliRunner().invoke(
        app, ["voucher", *arguments, "-n", "team", "--by", "the desk", "--kubeconfig", str(hub[1])]
    )


def approval(hub: tuple[FakeApiServer, Path]) -> object:
    return hub[0].get("/apis/suanli.io/v1alpha1/namespaces/team/vouchers/rent")["status"].get("approval")


def test_who_may_approves_or_rejects_a_claim_as_it_is(hub: tuple[FakeApiServer, Path]) -> None:
    result = decide(hub, "approve", "rent", "--generation", "1")
    assert result.exit_code == 0, result.output
    said = "team/rent: Approved: rent for c-rent, 200.00 CNY, applicant class start-up, invoice 7 of 150.00 CNY"
    assert result.output.strip() == said
    assert approval(hub) == {"decision": "Approved", "generation": 1, "by": "the desk"}
    result = decide(hub, "reject", "rent", "--reason", "no such invoice")
    assert result.exit_code == 0, result.output
    assert approval(hub) == {"decision": "Rejected", "generation": 1, "by": "the desk", "reason": "no such invoice"}
    assert hub[0].get("/apis/suanli.io/v1alpha1/namespaces/team/vouchers/rent")["status"]["granted"] == "20000000"


def test_a_claim_that_was_changed_since_it_was_looked_at_or_is_not_there_is_not_approved(
    hub: tuple[FakeApiServer, Path],
) -> None:
    result = decide(hub, "approve", "rent", "--generation", "9")
    assert (result.exit_code, approval(hub)) == (2, None)
    assert "its generation is 1, not 9: it was changed; look at it again" in result.output
    result = decide(hub, "approve", "nothing")
    assert result.exit_code == 2
    assert "there is no voucher nothing" in result.output
    assert decide(hub, "reject", "rent").exit_code == 2
