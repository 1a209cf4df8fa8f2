"""Manifests as people write them: small ones that are right, and ways to make them wrong."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from suanli.base.names import API_VERSION

Manifest = dict[str, Any]
ABSENT = object()


def a_region(name: str = "shanghai", **spec: Any) -> Manifest:
    return _object("ComputeRegion", name, {"displayName": "上海", "latitude": "31.23", "longitude": "121.47", **spec})


def a_link(name: str = "beijing-shanghai", **spec: Any) -> Manifest:
    return _object("ComputeLink", name, {"endpoints": ["beijing", "shanghai"], "oneWay": "8ms", **spec})


def a_policy(name: str = "sample", **spec: Any) -> Manifest:
    whole = {
        "hubs": [
            {
                "name": "delta",
                "side": "East",
                "regions": ["shanghai"],
                "clusters": [{"name": "wuhu", "regions": ["wuhu"], "pueCeiling": "1.25"}],
            }
        ],
        "latencyTiers": [{"name": "city", "oneWay": "1ms"}],
        "placementRules": [
            {"name": "west", "match": {"tiers": ["any"]}, "effect": "Prefer", "sides": ["West"], "weight": "500000"},
            {"name": "stay", "effect": "Require", "siteSelector": {"matchLabels": {"owner": "bank"}}},
        ],
        "newBuild": {"since": "2024-01-01", "maxRacksOutsideHubs": 2999, "enforcement": "Deny"},
        "greenSites": {"minGreenShare": "0.80", "maxPue": "1.25", "tiers": ["any"]},
        "pairings": [
            {"from": "delta", "to": "guizhou", "kind": "Pairing", "weight": "500000"},
            {"from": "delta", "to": "gansu", "kind": "Enclave", "siteSelector": {"matchLabels": {"owner": "delta"}}},
        ],
        "targets": [{"kpi": "average-pue", "comparison": "AtMost", "value": "1.5", "by": "2025-12-31"}],
    }
    return _object("HubPolicy", name, {**whole, **spec})


def a_site(name: str = "wuhu-dc1", **spec: Any) -> Manifest:
    whole = {
        "region": "wuhu",
        "standardRacks": 500,
        "resources": [
            {
                "class": "nvidia-a100-80g",
                "type": "Intelligent",
                "resourceName": "nvidia.com/gpu",
                "unit": "Card",
                "petaflops": "0.312",
                "labels": {"vendor": "nvidia"},
            },
            {"class": "cpu-x86", "type": "General", "resourceName": "cpu", "unit": "Core"},
        ],
        "energy": {"priceSchedule": [{"from": "22:00", "to": "06:00", "months": [7, 8], "pricePerKwh": "0.335"}]},
    }
    return _object("ComputeSite", name, {**whole, **spec})


def an_account(name: str = "bureau", **spec: Any) -> Manifest:
    whole = {
        "namespaces": ["team-a", "team-b"],
        "parent": "ministry",
        "customerClass": "public",
        "weight": 3,
        "quotas": [
            {"class": "nvidia-a100-80g", "nominal": 64, "borrowingLimit": 16},
            {"type": "General", "nominal": 4096},
        ],
    }
    return _object("ComputeAccount", name, {**whole, **spec})


def a_job(name: str = "train", **spec: Any) -> Manifest:
    whole = {
        "origin": "shanghai",
        "latency": {"tier": "city"},
        "tasks": 2,
        "resources": {"class": ["nvidia-a100-80g"], "perTask": {"cpu": "16", "memory": "64Gi", "cards": 8}},
        "template": {
            "image": "team/train:1.4",
            "command": ["sleep", "20s"],
            "env": [{"name": "EPOCHS", "value": "3"}],
            "scratch": {"size": "100Gi", "mountPath": "/scratch"},
        },
        "data": {"inputs": [{"name": "corpus", "region": "shanghai", "size": "2Ti"}]},
        "timing": {"expectedDuration": "6h"},
        "limits": {"activeDeadline": "12h"},
    }
    return _object("ComputeJob", name, {**whole, **spec})


def a_program(name: str = "beijing", **spec: Any) -> Manifest:
    whole = {
        "displayName": "北京市算力券",
        "issuer": "beijing-bureau",
        "kind": "Compute",
        "flow": "ReimburseUser",
        "terms": [
            {"name": "all", "ratePermille": 200},
            {"name": "start-ups", "applicantClasses": ["start-up"], "chips": ["ascend"], "ratePermille": 300},
        ],
        "eligible": {"sides": ["West"], "sites": ["wuhu-dc1"], "classes": ["ascend-910b"], "chips": ["ascend"]},
        "capPerEntityYear": "2000000000000",
        "poolPerYear": "100000000000000",
        "minAmount": "5000000000",
        "validDays": 365,
        "from": "2026-01-01",
        "until": "2027-01-01",
        "maxContractDays": 366,
    }
    return _object("VoucherProgram", name, {**whole, **spec})


def a_voucher(name: str = "llm", **spec: Any) -> Manifest:
    whole = {
        "program": "beijing",
        "contract": "c-2026-17",
        "amount": "40000000000",
        "applicantClass": "start-up",
        "provider": "wuhu-compute",
        "contractDays": 90,
        "units": 4,
        "invoice": {
            "number": "24312000000012345678",
            "paid": "40000000000",
            "paidOn": "2026-06-30",
            "delivery": "6f0c",
        },
    }
    return _object("Voucher", name, {**whole, **spec})


def a_statement(name: str = "bureau-2026-11", **spec: Any) -> Manifest:
    whole = {
        "role": "Consumer",
        "party": "bureau",
        "period": "2026-11",
        "timezone": "Asia/Shanghai",
        "disputes": [{"line": "6f0c1d", "reason": "the job was lost with its node"}],
    }
    return _object("Statement", name, {**whole, **spec})


def a_tariff(name: str = "anhui-2026", **spec: Any) -> Manifest:
    whole = {
        "provider": "Anhui Computing",
        "effectiveFrom": "2026-01-01",
        "schedules": [
            {
                "name": "workdays",
                "days": ["Workday"],
                "bands": [
                    {"from": "00:00", "to": "08:00", "band": "valley"},
                    {"from": "08:00", "to": "22:00", "band": "peak"},
                    {"from": "22:00", "to": "24:00", "band": "valley"},
                ],
            },
            {
                "name": "free-days",
                "days": ["Weekend", "Holiday"],
                "bands": [{"from": "00:00", "to": "24:00", "band": "valley"}],
            },
        ],
        "holidays": ["2026-10-01"],
        "workdays": ["2026-10-10"],
        "items": [
            {
                "name": "a100",
                "unit": "CardHour",
                "class": "nvidia-a100-80g",
                "precision": "FP16",
                "price": "6",
                "bandPrices": [{"band": "valley", "price": "4"}],
                "brackets": [{"above": 1000, "price": "5.5", "bandPrices": [{"band": "valley", "price": "3.5"}]}],
            },
            {"name": "cpu", "unit": "CoreHour", "class": "cpu-x86", "qos": "Normal", "price": "0.06", "step": "Second"},
            {"name": "cpu-of-cards", "unit": "CoreHour", "class": "nvidia-a100-80g", "price": "0"},
            {"name": "storage", "unit": "StorageTBDay", "price": "0.5", "freePerPeriod": 1},
            {"name": "backbone", "unit": "TransferGiB", "link": "wuhan-wuhu", "price": "0.02"},
        ],
        "packages": [
            {
                "name": "a100-month",
                "item": "a100",
                "period": "Month",
                "included": 500,
                "fee": "2000",
                "overagePrice": "4.5",
            }
        ],
        "customerClasses": [{"name": "university", "percent": 60}, {"name": "company", "percent": 80}],
        "commissionPermille": 50,
        "taxPermille": 60,
    }
    return _object("Tariff", name, {**whole, **spec})


BUILDERS: Mapping[str, Callable[..., Manifest]] = {
    "region": a_region,
    "link": a_link,
    "policy": a_policy,
    "site": a_site,
    "account": an_account,
    "job": a_job,
    "tariff": a_tariff,
    "program": a_program,
    "voucher": a_voucher,
    "statement": a_statement,
}


def changed(manifest: Manifest, path: str, value: object) -> Manifest:
    """The manifest with another value at a path such as "spec.hubs.0.name"; ABSENT takes the field away."""
    new = copy.deepcopy(manifest)
    *way, last = path.split(".")
    place: Any = new
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    if value is ABSENT:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return new


def _object(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
