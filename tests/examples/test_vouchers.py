"""The sample programmes: they load, do what was reported of them, and say how certain each figure is."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from suanli.api import KINDS, Voucher, VoucherProgram
from suanli.base.clock import parse_time_ms
from suanli.base.reasons import Reason
from suanli.billing.vouchers import Claim, Given, Granted, Rejected, cap_micro_yuan, grant

ROOT = Path(__file__).resolve().parents[2] / "examples" / "vouchers"
MODELS = {model.kind_info.kind: model for model in KINDS}
CNY = 1_000_000


def documents() -> list[dict[str, Any]]:
    return [d for file in sorted(ROOT.glob("*.yaml")) for d in yaml.safe_load_all(file.read_text(encoding="utf-8"))]


PROGRAMS = {
    d["metadata"]["name"]: VoucherProgram.model_validate(d) for d in documents() if d["kind"] == "VoucherProgram"
}


def test_all_load_and_six_cities_are_there() -> None:
    assert all(MODELS[d["kind"]].model_validate(d) for d in documents())
    assert {name.split("-")[0] for name in PROGRAMS} == {
        "beijing",
        "qingyang",
        "shenzhen",
        "hangzhou",
        "chengdu",
        "shanghai",
    }
    claim = next(Voucher.model_validate(d) for d in documents() if d["kind"] == "Voucher")
    assert claim.spec.program in PROGRAMS


def test_every_reported_figure_carries_its_mark() -> None:
    text = (ROOT / "programmes.yaml").read_text(encoding="utf-8")
    told = re.findall(
        r"^.*(?:ratePermille|capPerEntityYear|poolPerYear|minAmount|rewardPerUnit|flow):.*$", text, re.MULTILINE
    )
    assert len(told) > 20
    assert [line for line in told if not re.search(r"# [CLU](:|$)", line)] == []


def a_claim(amount_cny: int, applicant: str = "", day: str = "2026-06-01", units: int = 0) -> Claim:
    return Claim(
        "v", "lab", frozenset({"lab"}), applicant, "c", "wuhu-compute", amount_cny * CNY, 90,
        parse_time_ms(f"{day}T12:00:00+08:00"), units,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("city", "claim", "granted_cny"),
    [
        ("beijing", a_claim(1_000_000), 200_000),
        ("beijing", a_claim(20_000_000), 2_000_000),
        ("qingyang", a_claim(100_000), 30_000),
        ("shenzhen", a_claim(1_000_000), 500_000),
        ("shenzhen", a_claim(1_000_000, "start-up"), 600_000),
        ("hangzhou", a_claim(1_000_000), 300_000),
        ("chengdu", a_claim(20_000_000, "national-project"), 3_000_000),
        ("chengdu", a_claim(20_000_000, "provincial-project"), 1_500_000),
        ("shanghai-rent", a_claim(1_000_000), 100_000),
        ("shanghai-deployment", a_claim(1, day="2024-06-01", units=8), 4_000),
    ],
)
def test_a_city_grants_what_was_reported(city: str, claim: Claim, granted_cny: int) -> None:
    found = grant(PROGRAMS[city], claim, Given())
    assert isinstance(found, Granted)
    assert found.amount_micro_yuan == granted_cny * CNY


@pytest.mark.parametrize(
    ("city", "claim", "reason"),
    [
        ("qingyang", a_claim(16_666), Reason.BELOW_MINIMUM),
        ("chengdu", a_claim(1_000), Reason.APPLICANT_NOT_ELIGIBLE),
        ("shanghai-deployment", a_claim(1, units=8), Reason.NOT_IN_FORCE),
    ],
)
def test_a_city_rejects_what_it_does_not_pay_for(city: str, claim: Claim, reason: Reason) -> None:
    found = grant(PROGRAMS[city], claim, Given())
    assert isinstance(found, Rejected)
    assert found.reason is reason


def test_without_a_cap_the_pool_is_the_limit() -> None:
    assert cap_micro_yuan(PROGRAMS["shanghai-rent"], "") is None
    assert cap_micro_yuan(PROGRAMS["shenzhen"], "start-up") == 10_000_000 * CNY
