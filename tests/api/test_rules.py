"""Objects that break one rule each: a real API server refuses them, and so does the model, in words that help."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from manifests import (
    ABSENT,
    BUILDERS,
    Manifest,
    a_job,
    a_link,
    a_policy,
    a_program,
    a_region,
    a_site,
    a_statement,
    a_tariff,
    a_voucher,
    an_account,
    changed,
)
from suanli.api import KINDS
from suanli.api.crd import crd
from verdicts import Hub

MODELS = {model.kind_info.kind: model for model in KINDS}
LONG = "x" * 64
CARD = "spec.resources.0"
RULE = "spec.placementRules"
QUOTA = "spec.quotas"
TASK = "spec.resources.perTask"
ITEM, HOURS = "spec.items.0", "spec.schedules.0.bands"
BACKBONE = a_tariff()["spec"]["items"][4]


@dataclass(frozen=True)
class Case:
    """A field set wrong and right; `says` are words of the remedy, `field` is where the mistake is seen."""

    build: Callable[[], Manifest]
    path: str
    wrong: object
    right: object
    says: str
    field: str = ""
    value: str | None = None
    offline: str = ""  # words of the model, where the API server has its own

    @property
    def bad(self) -> Manifest:
        return changed(self.build(), self.path, self.wrong)

    @property
    def good(self) -> Manifest:
        return changed(self.build(), self.path, self.right)

    @property
    def blamed(self) -> str:
        """The field as kubectl writes it."""
        return re.sub(r"\.(\d+)", r"[\1]", self.field or self.path)

    @property
    def shown(self) -> str:
        """The value that the message names."""
        return str(self.wrong) if self.value is None else self.value


def names(count: int) -> list[str]:
    return [f"n{i}" for i in range(count)]


def hours(*bands: str) -> list[Manifest]:
    """Bands of the builder's tariff, such as "00:00-24:00 peak"."""
    return [{"from": text[:5], "to": text[6:11], "band": text[12:]} for text in bands]


DAY_LONG = hours("00:00-08:00 valley", "08:00-24:00 peak")


NAME = 'lower-case letters, digits and "-"'
DURATION = 'numbers with their units, such as "90m"'
QUANTITY = "a number with its suffix"
DECIMAL = "decimal number in quotes"
ONE_WAY = "between 1us and 10s"
CASES: Mapping[str, Case] = {
    # regions
    "region-latitude-beyond-the-pole": Case(a_region, "spec.latitude", "90.1", "90", "-90 to 90"),
    "region-latitude-below-the-pole": Case(a_region, "spec.latitude", "-90.000001", "-90", "-90 to 90"),
    "region-latitude-in-words": Case(a_region, "spec.latitude", "31°13'N", "31.22", DECIMAL),
    "region-latitude-as-a-number": Case(a_region, "spec.latitude", 31, "31", "string", value="", offline="in quotes"),
    "region-longitude-around-the-world": Case(a_region, "spec.longitude", "180.5", "180", "-180 to 180"),
    "region-longitude-too-exact": Case(a_region, "spec.longitude", "121.4737021", "121.473702", DECIMAL),
    "region-without-a-name-for-people": Case(a_region, "spec.displayName", ABSENT, "上海", "equired", value=""),
    "region-name-for-people-empty": Case(a_region, "spec.displayName", "", "S", "", value=""),
    "region-name-for-people-of-two-lines": Case(a_region, "spec.displayName", "a\tb", "a b", "one line of text", value=""),
    "region-name-for-people-too-long": Case(a_region, "spec.displayName", "上" * 257, "上" * 256, "256", value=""),
    # links
    "link-to-itself": Case(
        a_link, "spec.endpoints", ["wuhan", "wuhan"], ["wuhan", "wuhu"], "two different", value='["wuhan", "wuhan"]'
    ),
    "link-with-one-end": Case(a_link, "spec.endpoints", ["wuhan"], ["wuhan", "wuhu"], "at least 2 items", value=""),
    "link-with-three-ends": Case(a_link, "spec.endpoints", names(3), names(2), "2 items", value="3"),
    "link-to-a-bad-name": Case(a_link, "spec.endpoints.1", "Shang_hai", "shanghai", NAME),
    "link-time-without-a-unit": Case(a_link, "spec.oneWay", "8", "8ms", DURATION),
    "link-time-in-words": Case(a_link, "spec.oneWay", "8 ms", "8ms", DURATION),
    "link-in-no-time": Case(a_link, "spec.oneWay", "0", "1us", ONE_WAY),
    "link-slower-than-the-moon": Case(a_link, "spec.oneWay", "11s", "10s", ONE_WAY),
    "link-bandwidth-in-words": Case(a_link, "spec.bandwidth", "400Gbps", "400G", QUANTITY),
    "link-bandwidth-without-suffix": Case(a_link, "spec.bandwidth", "400", "400G", "bits per second"),
    "link-price-below-zero": Case(a_link, "spec.pricePerGib", "-1", "1", DECIMAL),
    "link-price-beyond-a-million": Case(a_link, "spec.pricePerGib", "1000000", "999999.999999", DECIMAL),
    "link-state-unknown": Case(a_link, "spec.desiredState", "Broken", "Down", "Up"),
    # accounts
    "account-package-over-before-it-begins": Case(
        an_account, "spec.packages", [{"provider": "p", "package": "flat", "since": "2026-02-01", "until": "2026-02-01"}],
        [{"provider": "p", "package": "flat", "since": "2026-02-01", "until": "2026-02-02"}],
        "give the first day without it", "spec.packages.0.until", "2026-02-01",
    ),
    "account-quota-of-nothing": Case(
        an_account, f"{QUOTA}.0.class", ABSENT, "cpu-x86", "name a class or a type", value="64"
    ),
    "account-quota-of-two-things": Case(
        an_account, f"{QUOTA}.0", {"class": "gpu", "type": "Super", "nominal": 1}, {"class": "gpu", "nominal": 1},
        "leave one of them out", f"{QUOTA}.0.type", "gpu",
    ),
    "account-quota-of-an-unknown-type": Case(an_account, f"{QUOTA}.1.type", "Quantum", "Super", "General"),
    "account-with-too-many-quotas": Case(
        an_account, QUOTA, [{"class": name, "nominal": 1} for name in names(65)], ABSENT, "64 items", value="65"
    ),
    "account-quota-twice": Case(
        an_account, QUOTA, [{"class": "gpu", "nominal": n} for n in (1, 2)],
        [{"class": "gpu", "nominal": 1}, {"class": "npu", "nominal": 2}, {"type": "Super", "nominal": 2}],
        "keep one quota of each", value="",
    ),
    "account-quota-without-a-number": Case(an_account, f"{QUOTA}.0.nominal", ABSENT, 0, "equired", value="", offline="required"),
    "account-quota-below-zero": Case(an_account, f"{QUOTA}.0.nominal", -1, 0, "greater than or equal to 0"),
    "account-quota-beyond-all": Case(an_account, f"{QUOTA}.0.nominal", 100_000_001, 100_000_000, "less than or equal to 100000000"),
    "account-quota-of-half-a-card": Case(an_account, f"{QUOTA}.0.nominal", 0.5, 1, "integer", value=""),
    "account-borrows-less-than-nothing": Case(an_account, f"{QUOTA}.0.borrowingLimit", -1, 0, "greater than or equal to 0"),
    "account-borrows-from-nobody": Case(an_account, "spec.parent", ABSENT, "ministry", "name a parent", value=""),
    "account-namespace-of-a-bad-name": Case(an_account, "spec.namespaces.0", "Team_A", "team-a", NAME),
    "account-namespace-twice": Case(
        an_account, "spec.namespaces", ["team-a", "team-a"], ["team-a"], "", "spec.namespaces.1", "team-a"
    ),
    "account-parent-of-a-bad-name": Case(an_account, "spec.parent", "the ministry", "ministry", NAME),
    "account-customer-class-of-a-bad-name": Case(an_account, "spec.customerClass", "A+", "a", NAME),
    "account-without-weight": Case(an_account, "spec.weight", 0, 1, "greater than or equal to 1"),
    "account-weight-beyond-a-million": Case(an_account, "spec.weight", 1_000_001, 1_000_000, "less than or equal to 1000000"),
    # tariffs
    "tariff-price-below-zero": Case(a_tariff, f"{ITEM}.price", "-1", "0", "not below zero"),
    "tariff-price-with-seven-decimals": Case(a_tariff, f"{ITEM}.price", "0.1234567", "0.123456", "six after the point"),
    "tariff-price-in-words": Case(a_tariff, f"{ITEM}.price", "5.50 CNY", "5.50", "write CNY, not below zero"),
    "tariff-price-as-a-number": Case(a_tariff, f"{ITEM}.price", 5, "5", "string", value="", offline="not a price in quotes"),
    "tariff-price-of-a-band-below-zero": Case(a_tariff, f"{ITEM}.bandPrices.0.price", "-0.1", "0.1", "not below zero"),
    "tariff-price-of-a-bracket-too-exact": Case(a_tariff, f"{ITEM}.brackets.0.price", "5.0000001", "5", "six after the point"),
    "tariff-unit-unknown": Case(a_tariff, f"{ITEM}.unit", "GpuHour", "CardHour", "CardHour"),
    "tariff-bands-that-end-at-ten": Case(
        a_tariff, HOURS, hours("00:00-08:00 valley", "08:00-22:00 peak"), DAY_LONG, "let them follow one another", value="workdays"
    ),
    "tariff-bands-that-begin-at-eight": Case(
        a_tariff, HOURS, hours("08:00-22:00 peak", "22:00-24:00 valley"), DAY_LONG, "let them follow one another", value="workdays"
    ),
    "tariff-bands-with-a-hole": Case(
        a_tariff, HOURS, hours("00:00-08:00 valley", "09:00-24:00 peak"), DAY_LONG, "let them follow one another", value="workdays"
    ),
    "tariff-bands-that-overlap": Case(
        a_tariff, HOURS, hours("00:00-09:00 valley", "08:00-24:00 peak"), DAY_LONG, "let them follow one another", value="workdays"
    ),
    "tariff-bands-inside-others": Case(
        a_tariff, HOURS, hours("00:00-08:00 valley", "08:00-24:00 peak", "10:00-12:00 peak"), DAY_LONG,
        "let them follow one another", value="workdays",
    ),
    "tariff-bands-beside-others": Case(
        a_tariff, HOURS, hours("00:00-24:00 valley", "08:00-24:00 peak"), DAY_LONG, "let them follow one another", value="workdays"
    ),
    "tariff-band-over-midnight": Case(
        a_tariff, HOURS, hours("22:00-08:00 valley", "08:00-22:00 peak"), DAY_LONG, "write a band over midnight as two",
        f"{HOURS}.0.to", '"22:00" to "08:00"',
    ),
    "tariff-band-in-no-time": Case(
        a_tariff, f"{HOURS}.1", {"from": "08:00", "to": "08:00", "band": "peak"}, {"from": "08:00", "to": "22:00", "band": "peak"},
        "does not end on the same day after it began", f"{HOURS}.1.to", "08:00",
    ),
    "tariff-band-at-no-time-of-day": Case(a_tariff, f"{HOURS}.0.from", "0:00", "00:00", "not a time of day"),
    "tariff-days-left-out": Case(
        a_tariff, "spec.schedules.1.days", ["Weekend"], ["Weekend", "Holiday"], "leave some days of a year out", "spec.schedules", ""
    ),
    "tariff-months-left-out": Case(
        a_tariff, "spec.schedules.1.months", [*range(1, 12)], [*range(1, 13)], "leave some days of a year out", "spec.schedules", ""
    ),
    "tariff-days-covered-twice": Case(
        a_tariff, "spec.schedules.1.days", ABSENT, ["Weekend", "Holiday"], "cover them twice", "spec.schedules", ""
    ),
    "tariff-month-thirteen": Case(
        a_tariff, "spec.schedules.0.months", [13], [*range(1, 13)], "less than or equal to 12", "spec.schedules.0.months.0", "13"
    ),
    "tariff-brackets-out-of-order": Case(
        a_tariff, f"{ITEM}.brackets", [{"above": n, "price": "5"} for n in (500, 100)],
        [{"above": n, "price": "5"} for n in (100, 500)], "the smallest first", value="a100",
    ),
    "tariff-bracket-twice": Case(
        a_tariff, f"{ITEM}.brackets", [{"above": 5, "price": p} for p in "54"], [{"above": 5, "price": "5"}], "",
        f"{ITEM}.brackets.1", "5",
    ),
    "tariff-bracket-above-nothing": Case(a_tariff, f"{ITEM}.brackets.0.above", 0, 1, "greater than or equal to 1"),
    "tariff-band-unknown": Case(
        a_tariff, f"{ITEM}.bandPrices.0.band", "night", "valley", "an item has a price for a band", "spec.items", ""
    ),
    "tariff-band-of-a-bracket-unknown": Case(
        a_tariff, f"{ITEM}.brackets.0.bandPrices.0.band", "night", "valley", "a bracket has a price for a band", "spec.items", ""
    ),
    "tariff-items-that-overlap": Case(
        a_tariff, "spec.items.2.class", "cpu-x86", "cpu-arm", "let them differ in class", "spec.items", ""
    ),
    "tariff-item-for-all-beside-one-for-some": Case(
        a_tariff, f"{ITEM}", {"name": "any", "unit": "CoreDay", "price": "1"}, a_tariff()["spec"]["items"][0],
        "let them differ in class", "spec.items", "",
    ),
    "tariff-of-nothing": Case(a_tariff, "spec.items", [], a_tariff()["spec"]["items"], "at least 1 item", value=""),
    "tariff-transfer-by-the-second": Case(
        a_tariff, "spec.items.4", {**BACKBONE, "step": "Second"}, BACKBONE, "leave step and atLeast out", "spec.items.4.unit", "TransferGiB"
    ),
    "tariff-cards-over-a-link": Case(
        a_tariff, "spec.items.4", {**BACKBONE, "unit": "NodeDay"}, BACKBONE, "leave link out", "spec.items.4.link", "wuhan-wuhu"
    ),
    "tariff-transfer-of-a-class": Case(
        a_tariff, "spec.items.4", {**BACKBONE, "class": "cpu-x86"}, BACKBONE, "leave class out", "spec.items.4.class", "cpu-x86"
    ),
    "tariff-transfer-of-a-precision": Case(
        a_tariff, "spec.items.4", {**BACKBONE, "precision": "FP16"}, BACKBONE, "leave precision out", "spec.items.4.precision", "FP16"
    ),
    "tariff-least-time-of-nothing": Case(a_tariff, f"{ITEM}.atLeast", "0s", "1s", "between 1s and 8760h"),
    "tariff-package-of-an-unknown-item": Case(a_tariff, "spec.packages.0.item", "h100", "a100", "name one of items", "spec.packages", ""),
    "tariff-package-named-like-an-item": Case(a_tariff, "spec.packages.0.name", "a100", "a", "give the package another name", "spec.packages", ""),
    "tariff-package-of-nothing": Case(a_tariff, "spec.packages.0.included", 0, 1, "greater than or equal to 1"),
    "tariff-fee-below-zero": Case(a_tariff, "spec.packages.0.fee", "-1", "0", "not a fee in quotes"),
    "tariff-day-of-two-kinds": Case(
        a_tariff, "spec.workdays", ["2026-10-01"], ["2026-10-11"], "keep it in one of them", value=""
    ),
    "tariff-holiday-that-is-no-day": Case(
        a_tariff, "spec.holidays", ["2026-02-30"], ["2026-02-28"], "not a day of the calendar", "spec.holidays.0", "2026-02-30"
    ),
    "tariff-customers-pay-more-than-all": Case(a_tariff, "spec.customerClasses.0.percent", 101, 100, "less than or equal to 100"),
    "tariff-commission-beyond-all": Case(a_tariff, "spec.commissionPermille", 1_001, 1_000, "less than or equal to 1000"),
    "tariff-in-dollars": Case(a_tariff, "spec.currency", "USD", "CNY", 'write "CNY"'),
    "tariff-in-no-zone": Case(a_tariff, "spec.timezone", "Beijing", "Asia/Shanghai", "not a time zone"),
    "tariff-from-no-day": Case(a_tariff, "spec.effectiveFrom", "2026-06-31", "2026-06-30", "not a day of the calendar"),
    "tariff-rounded-down": Case(a_tariff, "spec.rounding", "Down", "Up", "HalfEven"),
    # policies
    "policy-hub-without-a-region": Case(
        a_policy, "spec.hubs.0", {"name": "delta", "side": "East"}, {"name": "delta", "side": "East", "regions": ["wuhu"]},
        "list its ComputeRegions", "spec.hubs.0.regions", "delta",
    ),
    "policy-hub-on-no-side": Case(a_policy, "spec.hubs.0.side", "North", "West", "East"),
    "policy-region-twice-in-a-hub": Case(
        a_policy, "spec.hubs.0.regions", ["wuhu", "wuhu"], ["wuhu"], "", "spec.hubs.0.regions.1", "wuhu"
    ),
    "policy-two-hubs-of-one-name": Case(
        a_policy, "spec.hubs", [{"name": "a", "side": "East", "regions": ["x"]}] * 2,
        [{"name": n, "side": "East", "regions": ["x"]} for n in "ab"], "", "spec.hubs.1", "a",
    ),
    "policy-cluster-of-no-region": Case(a_policy, "spec.hubs.0.clusters.0.regions", [], ["wuhu"], "at least 1 item", value=""),
    "policy-pue-ceiling-below-one": Case(a_policy, "spec.hubs.0.clusters.0.pueCeiling", "0.9", "1.0", "at least 1"),
    "policy-tier-named-any": Case(a_policy, "spec.latencyTiers.0.name", "any", "anywhere", "give the tier another name"),
    "policy-tier-in-no-time": Case(a_policy, "spec.latencyTiers.0.oneWay", "0ms", "1ms", ONE_WAY),
    "policy-rule-about-no-site": Case(
        a_policy, f"{RULE}.0.sides", ABSENT, ["East"], "sides, hubs or siteSelector", f"{RULE}.0.sides", "west"
    ),
    "policy-rule-about-an-empty-list": Case(a_policy, f"{RULE}.0.sides", [], ["East"], "sides, hubs or siteSelector", value="west"),
    "policy-require-with-a-weight": Case(a_policy, f"{RULE}.0.effect", "Require", "Avoid", "leave weight out", f"{RULE}.0.weight", "500000"),
    "policy-prefer-without-a-weight": Case(a_policy, f"{RULE}.0.weight", ABSENT, "1", "micro-yuan per task and hour", value="Prefer"),
    "policy-weight-below-zero": Case(a_policy, f"{RULE}.0.weight", "-5", "5", "above zero"),
    "policy-weight-of-zero": Case(a_policy, f"{RULE}.0.weight", "0", "1", "above zero"),
    "policy-weight-in-yuan": Case(a_policy, f"{RULE}.0.weight", "0.5", "500000", "whole micro-yuan"),
    "policy-effect-unknown": Case(a_policy, f"{RULE}.0.effect", "Forbid", "Avoid", "Require"),
    "policy-category-unknown": Case(
        a_policy, f"{RULE}.0.match.categories", ["Gaming"], ["Backup"], "ModelTraining", f"{RULE}.0.match.categories.0", "Gaming"
    ),
    "policy-selector-of-nothing": Case(a_policy, f"{RULE}.1.siteSelector.matchLabels", {}, {"a": "b"}, "at least 1", value=""),
    "policy-selector-with-a-bad-key": Case(
        a_policy, f"{RULE}.1.siteSelector.matchLabels", {"a b": "c"}, {"a": "c"}, "the name of a label", value="a b"
    ),
    "policy-selector-with-a-bad-value": Case(a_policy, f"{RULE}.1.siteSelector.matchLabels.owner", "a bank", "bank", "the value of a label"),
    "policy-racks-below-zero": Case(a_policy, "spec.newBuild.maxRacksOutsideHubs", -1, 0, "greater than or equal to 0"),
    "policy-enforcement-unknown": Case(a_policy, "spec.newBuild.enforcement", "Audit", "Warn", "Deny"),
    "policy-new-since-no-day": Case(a_policy, "spec.newBuild.since", "2025-02-29", "2024-02-29", "day of the calendar"),
    "policy-green-share-in-percent": Case(a_policy, "spec.greenSites.minGreenShare", "80", "0.80", 'from "0" to "1"'),
    "policy-green-pue-below-one": Case(a_policy, "spec.greenSites.maxPue", "0.5", "1.2", "at least 1"),
    "policy-green-sites-for-nobody": Case(a_policy, "spec.greenSites.tiers", [], ["any"], "at least 1 item", value=""),
    "policy-pairing-weight-of-zero": Case(a_policy, "spec.pairings.0.weight", "0", "1", "above zero"),
    "policy-enclave-selector-of-nothing": Case(
        a_policy, "spec.pairings.1.siteSelector.matchLabels", {}, {"a": "b"}, "at least 1", value=""
    ),
    "policy-hub-paired-with-itself": Case(a_policy, "spec.pairings.0.to", "delta", "gansu", "another hub"),
    "policy-pairing-twice": Case(
        a_policy, "spec.pairings", [{"from": "a", "to": "b", "kind": "Enclave"}] * 2,
        [{"from": "a", "to": "b", "kind": k} for k in ("Enclave", "Pairing")], "", "spec.pairings.1", "Enclave",
    ),
    "policy-target-of-no-number": Case(a_policy, "spec.targets.0.value", "60%", "0.60", DECIMAL),
    "policy-target-by-no-day": Case(a_policy, "spec.targets.0.by", "2025-02-29", "2024-02-29", "day of the calendar"),
    "policy-target-by-no-month": Case(a_policy, "spec.targets.0.by", "2025-13-01", "2025-12-01", "day of the calendar"),
    "policy-target-by-a-word": Case(a_policy, "spec.targets.0.by", "2025/12/31", "2025-12-31", "year, month and day"),
    "policy-carbon-price-below-zero": Case(a_policy, "spec.carbonPricePerTonne", "-80", "80", DECIMAL),
    # sites
    "site-in-no-region": Case(a_site, "spec.region", ABSENT, "wuhu", "equired", value=""),
    "site-region-in-capitals": Case(a_site, "spec.region", "WUHU", "wuhu", NAME),
    "site-racks-as-text": Case(a_site, "spec.standardRacks", "500", 500, "integer", value=""),
    "site-racks-below-zero": Case(a_site, "spec.standardRacks", -1, 0, "greater than or equal to 0"),
    "site-built-on-no-day": Case(a_site, "spec.builtOn", "2023-04-31", "2023-04-30", "day of the calendar"),
    "site-state-unknown": Case(a_site, "spec.desiredState", "Paused", "Inactive", "Drain"),
    "site-secret-of-a-bad-name": Case(
        a_site, "spec.connection", {"kubeconfigSecretRef": {"name": "Site_A"}}, {"kubeconfigSecretRef": {"name": "site.a"}},
        "name of an object", "spec.connection.kubeconfigSecretRef.name", "Site_A",
    ),
    "site-class-twice": Case(
        a_site, "spec.resources.1.class", "nvidia-a100-80g", "cpu-arm", "", "spec.resources.1", "nvidia-a100-80g"
    ),
    "site-cores-of-cards": Case(a_site, f"{CARD}.unit", "Core", "Card", 'a Core is counted of "cpu"', value="nvidia.com/gpu"),
    "site-cards-of-cores": Case(a_site, "spec.resources.1.unit", "Card", "Core", 'a Core is counted of "cpu"', value="cpu"),
    "site-resource-without-a-vendor": Case(a_site, f"{CARD}.resourceName", "gpu", "amd.com/gpu", "the vendor's domain"),
    "site-resource-of-kubernetes": Case(
        a_site, f"{CARD}.resourceName", "node.kubernetes.io/gpu", "node.example.com/gpu", "the vendor's domain"
    ),
    "site-resource-of-a-quota": Case(
        a_site, f"{CARD}.resourceName", "requests.nvidia.com/gpu", "quests.nvidia.com/gpu", "the vendor's domain"
    ),
    "site-resource-of-no-name": Case(a_site, f"{CARD}.resourceName", "nvidia.com/", "nvidia.com/gpu", "the name of a label"),
    "site-type-unknown": Case(a_site, f"{CARD}.type", "Quantum", "Super", "Intelligent"),
    "site-precision-unknown": Case(a_site, f"{CARD}.precision", "FP8", "FP16", "FP64"),
    "site-performance-of-zero": Case(a_site, f"{CARD}.petaflops", "0.000", "0.001", "leave the field out"),
    "site-price-below-zero": Case(a_site, f"{CARD}.listPrice", "-5.5", "5.5", DECIMAL),
    "site-power-above-a-megawatt": Case(a_site, f"{CARD}.ratedPowerW", 1_000_001, 1_000_000, "less than or equal to 1000000"),
    "site-label-with-a-bad-key": Case(a_site, f"{CARD}.labels", {"-a": "b"}, {"a": "b"}, "the name of a label", value="-a"),
    "site-nodes-with-too-many-labels": Case(
        a_site, f"{CARD}.nodeLabels", dict.fromkeys(names(9), "x"), dict.fromkeys(names(8), "x"), "at most 8 items", value="",
    ),
    "site-declares-too-many-cores": Case(
        a_site, "spec.declaredCapacity", {"cpu": "101M", "memory": "1Ti"}, {"cpu": "100M", "memory": "1Ti"},
        "between 1 and 100M", "spec.declaredCapacity.cpu", "101M",
    ),
    "site-declares-no-memory": Case(
        a_site, "spec.declaredCapacity", {"cpu": "1", "memory": "0"}, {"cpu": "1", "memory": "1Mi"},
        "between 1Mi and 1024Pi", "spec.declaredCapacity.memory", "0",
    ),
    "site-pue-below-one": Case(a_site, "spec.energy.pue", "0.99", "1", "at least 1"),
    "site-pue-in-percent": Case(a_site, "spec.energy.pue", "118", "1.18", "at most 5"),
    "site-green-share-in-percent": Case(a_site, "spec.energy.greenShare", "65", "0.65", 'from "0" to "1"'),
    "site-green-share-above-one": Case(a_site, "spec.energy.greenShare", "1.01", "1.00", 'from "0" to "1"'),
    "site-grid-factor-too-high": Case(a_site, "spec.energy.gridFactorGPerKwh", 5_001, 5_000, "less than or equal to 5000"),
    "site-time-zone-of-mars": Case(a_site, "spec.energy.timezone", "Mars/Phobos", "Asia/Urumqi", 'such as "Asia/Shanghai"'),
    "site-time-zone-as-an-offset": Case(a_site, "spec.energy.timezone", "+08:00", "UTC", 'such as "Asia/Shanghai"'),
    "site-hours-of-no-length": Case(a_site, "spec.energy.priceSchedule.0.to", "22:00", "24:00", "whole day"),
    "site-hourly-price-in-words": Case(
        a_site, "spec.energy.hourlyPrices",
        {"from": "2026-01-31T00:00:00Z", "pricesPerKwh": ["cheap"]},
        {"from": "2026-01-31T00:00:00Z", "pricesPerKwh": ["-0.02"]},
        "CNY with at most six digits", "spec.energy.hourlyPrices.pricesPerKwh.0", "cheap",
    ),
    "site-hours-from-midnight-on": Case(a_site, "spec.energy.priceSchedule.0.from", "24:00", "00:00", '"23:59"'),
    "site-hours-until-tomorrow": Case(a_site, "spec.energy.priceSchedule.0.to", "24:30", "23:30", '"24:00"'),
    "site-thirteenth-month": Case(
        a_site, "spec.energy.priceSchedule.0.months", [13], [12], "less than or equal to 12",
        "spec.energy.priceSchedule.0.months.0", "13",
    ),
    "site-month-twice": Case(
        a_site, "spec.energy.priceSchedule.0.months", [7, 7], [7, 8], "", "spec.energy.priceSchedule.0.months.1", "7"
    ),
    "site-account-of-a-bad-name": Case(a_site, "spec.allowedAccounts", ["Team A"], ["team-a"], NAME, "spec.allowedAccounts.0", "Team A"),
    "site-caches-a-dataset-of-a-bad-name": Case(
        a_site, "spec.cachedDatasets", ["Image Net"], ["image-net"], NAME, "spec.cachedDatasets.0", "Image Net"
    ),
    "site-caches-a-dataset-twice": Case(
        a_site, "spec.cachedDatasets", ["maps", "maps"], ["maps"], "", "spec.cachedDatasets.1", "maps"
    ),
    "site-caches-too-many-datasets": Case(a_site, "spec.cachedDatasets", names(257), names(256), "256", value=""),
    # jobs
    "job-of-unknown-category": Case(a_job, "spec.category", "Gaming", "Rendering", "ModelTraining"),
    "job-from-nowhere": Case(a_job, "spec.origin", ABSENT, "wuhan", "equired", value=""),
    "job-from-a-place-in-chinese": Case(a_job, "spec.origin", "上海", "shanghai", NAME),
    "job-origin-too-long": Case(a_job, "spec.origin", LONG, LONG[:-1], "63", value=""),
    "job-with-tier-and-time": Case(
        a_job, "spec.latency", {"tier": "city", "oneWay": "5ms"}, {"oneWay": "5ms"}, "leave one of them out",
        "spec.latency.oneWay", 'oneWay "5ms" stands beside tier "city"',
    ),
    "job-with-an-empty-bound": Case(
        a_job, "spec.latency", {}, {"tier": "city"}, "or leave latency out", "spec.latency.tier", ""
    ),
    "job-within-no-time": Case(a_job, "spec.latency", {"oneWay": "0s"}, {"oneWay": "1ms"}, ONE_WAY, "spec.latency.oneWay", "0s"),
    "job-of-no-task": Case(a_job, "spec.tasks", 0, 1, "greater than or equal to 1"),
    "job-of-too-many-tasks": Case(a_job, "spec.tasks", 10_001, 10_000, "less than or equal to 10000"),
    "job-tasks-as-text": Case(a_job, "spec.tasks", "8", 8, "integer", value=""),
    "job-of-no-class": Case(a_job, "spec.resources.class", [], ["cpu-x86"], "at least 1 item", value=""),
    "job-of-too-many-classes": Case(a_job, "spec.resources.class", names(9), names(8), "at most 8 items", value="9"),
    "job-of-one-class-twice": Case(a_job, "spec.resources.class", ["a", "a"], ["b", "a"], "each once", value='["a", "a"]'),
    "job-of-no-cores": Case(a_job, f"{TASK}.cpu", "0", "1m", "between 1m and 1M"),
    "job-of-too-many-cores": Case(a_job, f"{TASK}.cpu", "1000001", "1M", "between 1m and 1M"),
    "job-cores-as-a-number": Case(a_job, f"{TASK}.cpu", 16, "16", "string", value="", offline="in quotes"),
    "job-cores-in-words": Case(a_job, f"{TASK}.cpu", "16 cores", "16", QUANTITY),
    "job-of-half-a-byte": Case(a_job, f"{TASK}.memory", "500m", "500M", "between 1Mi and 1Pi"),
    "job-memory-in-words": Case(a_job, f"{TASK}.memory", "64GB", "64G", QUANTITY),
    "job-cards-below-zero": Case(a_job, f"{TASK}.cards", -1, 0, "greater than or equal to 0"),
    "job-of-half-a-card": Case(a_job, f"{TASK}.cards", 0.5, 1, "integer", value=""),
    "job-without-an-image": Case(a_job, "spec.template.image", ABSENT, "a", "equired", value=""),
    "job-image-with-a-space": Case(a_job, "spec.template.image", "team/train: 1", "team/train:1", "name of an image"),
    "job-argument-too-long": Case(
        a_job, "spec.template.args", ["x" * 4_097], ["x" * 4_096], "4096", "spec.template.args.0", ""
    ),
    "job-of-too-much-text": Case(
        a_job, "spec.template.args", ["x" * 4_096] * 32, ["x" * 4_096] * 31, "put what is larger into the image",
        "spec.template", "131072",
    ),
    "job-variable-of-a-bad-name": Case(a_job, "spec.template.env.0.name", "1ST", "FIRST", "name of a variable"),
    "job-variable-twice": Case(
        a_job, "spec.template.env", [{"name": "A"}, {"name": "A"}], [{"name": "A"}, {"name": "B"}], "",
        "spec.template.env.1", "A",
    ),
    "job-works-in-a-relative-folder": Case(a_job, "spec.template.workingDir", "work", "/work", 'begin with "/"'),
    "job-scratch-of-a-byte": Case(a_job, "spec.template.scratch.size", "1", "1Gi", "between 1Mi and 1Pi"),
    "job-chooses-its-cards": Case(
        a_job, "spec.template.env.0.name", "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "ask for cards in resources.perTask"
    ),
    "job-works-in-the-kernel": Case(a_job, "spec.template.workingDir", "/proc/self/fd/8", "/process", 'such as "/scratch"'),
    "job-scratch-over-the-kernel": Case(a_job, "spec.template.scratch.mountPath", "/proc/1", "/process", 'such as "/scratch"'),
    "job-scratch-outside": Case(a_job, "spec.template.scratch.mountPath", "/data/../etc", "/data/..etc", 'such as "/scratch"'),
    "job-input-of-no-size": Case(a_job, "spec.data.inputs.0.size", "0Ti", "1Ti", "one byte"),
    "job-input-twice": Case(
        a_job, "spec.data.inputs", [{"name": "a", "region": "x", "size": "1"}] * 2,
        [{"name": n, "region": "x", "size": "1"} for n in "ab"], "", "spec.data.inputs.1", "a",
    ),
    "job-input-of-a-dataset-of-a-bad-name": Case(a_job, "spec.data.inputs.0.dataset", "Image Net", "image-net", NAME),
    "job-checkpoint-of-no-size": Case(
        a_job, "spec.checkpoint", {"size": "0"}, {"size": "1"}, "one byte", "spec.checkpoint.size", "0"
    ),
    "job-checkpoint-at-a-bad-name": Case(
        a_job, "spec.checkpoint", {"size": "1Gi", "site": "My Site"}, {"size": "1Gi", "site": "wuhu-dc1"}, NAME,
        "spec.checkpoint.site", "My Site",
    ),
    "job-allowed-on-one-site-twice": Case(
        a_job, "spec.data.allowedSites", ["a", "b", "a"], ["a", "b"], "", "spec.data.allowedSites.2", "a"
    ),
    "job-of-no-duration": Case(a_job, "spec.timing.expectedDuration", "0h", "1s", "between 1s and 8760h"),
    "job-of-more-than-a-year": Case(a_job, "spec.timing.expectedDuration", "8761h", "8760h", "between 1s and 8760h"),
    "job-of-a-million-years": Case(a_job, "spec.timing.expectedDuration", "8766000000h", "8760h", DURATION),
    "job-duration-in-days": Case(a_job, "spec.timing.expectedDuration", "2d", "48h", DURATION),
    "job-not-before-a-word": Case(a_job, "spec.timing.notBefore", "tomorrow", "2026-01-31T08:00:00Z", ""),
    "job-deadline-without-a-zone": Case(a_job, "spec.timing.deadline", "2026-01-31T08:00:00", "2026-01-31T08:00:00+08:00", ""),
    "job-deadline-on-no-day": Case(a_job, "spec.timing.deadline", "2026-02-30T08:00:00Z", "2026-02-28T08:00:00Z", ""),
    "job-too-late-before-it-may-start": Case(
        a_job, "spec.timing",
        {"notBefore": "2026-01-31T08:00:00+08:00", "deadline": "2026-01-31T05:59:59Z", "expectedDuration": "6h"},
        {"notBefore": "2026-01-31T08:00:00+08:00", "deadline": "2026-01-31T06:00:00Z", "expectedDuration": "6h"},
        "move deadline back", "spec.timing.deadline", "2026-01-31T05:59:59Z",
    ),
    "job-priority-too-high": Case(a_job, "spec.priority", 1_000_001, 1_000_000, "less than or equal to 1000000"),
    "job-failover-unknown": Case(a_job, "spec.failover", "Always", "AtLeastOnce", "AtMostOnce"),
    "job-cost-below-zero": Case(a_job, "spec.limits.maxCost", "-1", "1", "whole micro-yuan"),
    "job-cost-in-yuan": Case(a_job, "spec.limits.maxCost", "100.00", "100000000", "whole micro-yuan"),
    "job-with-too-many-retries": Case(a_job, "spec.limits.retries", 101, 100, "less than or equal to 100"),
    "job-stopped-at-once": Case(a_job, "spec.limits.activeDeadline", "500ms", "1s", "between 1s and 8760h"),
    "job-state-unknown": Case(a_job, "spec.desiredState", "Paused", "Suspended", "Running"),
    # vouchers
    "program-term-of-no-rate": Case(
        a_program, "spec.terms.0.ratePermille", ABSENT, 1, "needs one of ratePermille and rewardPerUnit", value="all"
    ),
    "program-term-of-two-rates": Case(
        a_program, "spec.terms.0", {"name": "all", "ratePermille": 1, "rewardPerUnit": "1"}, {"name": "all", "ratePermille": 1},
        "needs one of ratePermille and rewardPerUnit", "spec.terms.0.ratePermille", value="all",
    ),
    "program-rewards-compute": Case(
        a_program, "spec.terms", [{"name": "all", "rewardPerUnit": "1"}], [{"name": "all", "ratePermille": 1}],
        "rewardPerUnit is for kind Deployment", value="Compute",
    ),
    "program-rate-above-all": Case(a_program, "spec.terms.0.ratePermille", 1_001, 1_000, "less than or equal to 1000"),
    "program-rate-of-nothing": Case(a_program, "spec.terms.0.ratePermille", 0, 1, "greater than or equal to 1"),
    "program-deducts-rent": Case(
        lambda: a_program(flow="DeductAtCheckout"), "spec.kind", "Rent", "Transport", "is on no bill that could be cut",
        "spec.flow", value="Rent",
    ),
    "program-ends-before-it-begins": Case(
        a_program, "spec.until", "2026-01-01", "2026-01-02", "is not after from", value="2026-01-01"
    ),
    "program-cap-in-yuan": Case(a_program, "spec.capPerEntityYear", "2000000.00", "2000000", "is not a sum above zero"),
    "program-pool-of-nothing": Case(a_program, "spec.poolPerYear", "0", "1", "is not a sum above zero"),
    "program-of-no-term": Case(a_program, "spec.terms", [], a_program()["spec"]["terms"], "at least 1 item", value=""),
    "program-pays-now-and-then": Case(a_program, "spec.flow", "Sometimes", "ReimburseUser", "DeductAtCheckout"),
    "program-in-no-zone": Case(a_program, "spec.timezone", "Beijing", "Asia/Shanghai", "not a time zone"),
    "voucher-for-nothing": Case(a_voucher, "spec.contract", ABSENT, "c-1", "name one of contract and job", value=""),
    "voucher-for-two-things": Case(
        lambda: a_voucher(job="train"), "spec.job", "infer", ABSENT, "name one of contract and job", "spec.contract",
        value="",
    ),
    "voucher-in-yuan": Case(a_voucher, "spec.amount", "400.00", "400", "is not a sum above zero"),
    "voucher-paid-on-no-day": Case(a_voucher, "spec.invoice.paidOn", "2026-02-30", "2026-02-28", "not a day of the calendar"),
    # statements
    "statement-of-no-month": Case(a_statement, "spec.period", "q3", "2026-11", "is no month"),
    "statement-of-a-month-that-is-none": Case(a_statement, "spec.period", "2026-13", "2026-12", "is no month"),
    "statement-without-an-end": Case(
        lambda: a_statement(**{"from": "2026-07-01"}), "spec.from", "2026-07-02", ABSENT, "one of from and until stands alone",
        value="",
    ),
    "statement-ends-before-it-begins": Case(
        lambda: a_statement(**{"period": "q3", "from": "2026-07-01"}), "spec.until", "2026-07-01", "2026-10-01",
        "is not later than from",
    ),
    "statement-of-a-visitor": Case(a_statement, "spec.role", "Visitor", "Network", "Consumer"),
    "statement-dispute-of-no-line": Case(a_statement, "spec.disputes.0.line", "the third", "6f0c", "is not the id of a line"),
    "job-without-a-spec": Case(a_job, "spec", ABSENT, a_job()["spec"], "equired", value=""),
}  # fmt: skip

NOT_A_NAME: Mapping[str, str] = {
    "with-a-dot": "wuhu.dc1",
    "too-long": LONG,
    "in-chinese": "芜湖",
    "in-capitals": "Wuhu",
}

WAS = "cannot be changed"
ANEW = "delete the job and apply it under a new name"


@dataclass(frozen=True)
class Edit:
    """A change of an object that exists: None says that it is taken, else words of the answer."""

    build: Callable[[], Manifest]
    path: str
    value: object
    says: str | None
    field: str = ""


EDITS: Mapping[str, Edit] = {
    "category": Edit(a_job, "spec.category", "Backup", f'category {WAS} from "General" to "Backup"; {ANEW}'),
    "origin": Edit(a_job, "spec.origin", "wuhan", f'origin {WAS} from "shanghai" to "wuhan"; {ANEW}'),
    "latency": Edit(a_job, "spec.latency", {"oneWay": "5ms"}, f"latency {WAS}; {ANEW}"),
    "latency-away": Edit(a_job, "spec.latency", ABSENT, f"latency {WAS}; {ANEW}"),
    "tasks": Edit(a_job, "spec.tasks", 3, f'tasks {WAS} from "2" to "3"; {ANEW}'),
    "classes": Edit(a_job, "spec.resources.class", ["cpu-x86", "nvidia-a100-80g"], f"resources {WAS}; {ANEW}", "spec.resources"),
    "memory": Edit(a_job, f"{TASK}.memory", "65Gi", f"resources {WAS}; {ANEW}", "spec.resources"),
    "image": Edit(a_job, "spec.template.image", "team/train:2", f"template {WAS}; {ANEW}", "spec.template"),
    "variable": Edit(a_job, "spec.template.env.0.value", "4", f"template {WAS}; {ANEW}", "spec.template"),
    "data": Edit(a_job, "spec.data.allowedSites", ["wuhu-dc1"], f"data {WAS}; {ANEW}", "spec.data"),
    "data-away": Edit(a_job, "spec.data", ABSENT, f"data {WAS}; {ANEW}"),
    "active-deadline": Edit(a_job, "spec.limits.activeDeadline", "13h", f"activeDeadline {WAS}; a running attempt keeps the limit"),
    "active-deadline-away": Edit(
        a_job, "spec.limits.activeDeadline", ABSENT, f"activeDeadline {WAS}; a running attempt keeps the limit"
    ),
    "region-of-a-site": Edit(a_site, "spec.region", "wuhan", f'region {WAS} from "wuhu" to "wuhan"; a data centre does not move'),
    "priority": Edit(a_job, "spec.priority", 100, None),
    "suspended": Edit(a_job, "spec.desiredState", "Suspended", None),
    "expected-duration": Edit(a_job, "spec.timing.expectedDuration", "7h", None),
    "deadline": Edit(a_job, "spec.timing.deadline", "2030-01-01T00:00:00Z", None),
    "failover": Edit(a_job, "spec.failover", "AtLeastOnce", None),
    "checkpoint": Edit(a_job, "spec.checkpoint", {"size": "1Gi"}, None),
    "retries": Edit(a_job, "spec.limits.retries", 3, None),
    "cost": Edit(a_job, "spec.limits.maxCost", "5000000", None),
    "drained-site": Edit(a_site, "spec.desiredState", "Drain", None),
    "racks-of-a-site": Edit(a_site, "spec.standardRacks", 600, None),
    "class-of-a-site": Edit(a_site, "spec.resources.1.listPrice", "0.07", None),
    "place-of-a-region": Edit(a_region, "spec.latitude", "31.2304", None),
    "time-of-a-link": Edit(a_link, "spec.oneWay", "7.9ms", None),
    "link-down": Edit(a_link, "spec.desiredState", "Down", None),
    "copies-at-a-site": Edit(a_site, "spec.cachedDatasets", ["maps"], None),
    "issuer-of-a-program": Edit(
        a_program, "spec.issuer", "shanghai-bureau",
        f'issuer {WAS} from "beijing-bureau" to "shanghai-bureau"; vouchers were granted by it; make another programme',
    ),
    "kind-of-a-program": Edit(a_program, "spec.kind", "Rent", f'kind {WAS} from "Compute" to "Rent"; vouchers were granted'),
    "flow-of-a-program": Edit(
        a_program, "spec.flow", "DeductAtCheckout", f'flow {WAS} from "ReimburseUser" to "DeductAtCheckout"; vouchers were'
    ),
    "terms-of-a-program": Edit(
        a_program, "spec.terms.0.ratePermille", 400, f"terms {WAS}; vouchers were granted by it", "spec.terms"
    ),
    "zone-of-a-program": Edit(a_program, "spec.timezone", "UTC", f'timezone {WAS} from "Asia/Shanghai" to "UTC"; vouchers'),
    "pool-of-a-program": Edit(a_program, "spec.poolPerYear", "200000000000000", None),
    "program-of-a-voucher": Edit(a_voucher, "spec.program", "tianjin", f'program {WAS} from "beijing" to "tianjin"; a claim'),
    "contract-of-a-voucher": Edit(a_voucher, "spec.contract", "c-2", f"contract {WAS}; a claim stays as it was made"),
    "amount-of-a-voucher": Edit(a_voucher, "spec.amount", "50000000000", f"amount {WAS} from "),
    "applicant-of-a-voucher": Edit(a_voucher, "spec.applicantClass", ABSENT, f"applicantClass {WAS}; a claim stays"),
    "supplier-of-a-voucher": Edit(a_voucher, "spec.provider", "other", f"provider {WAS}; a claim stays"),
    "units-of-a-voucher": Edit(a_voucher, "spec.units", 5, f"units {WAS}; a claim stays"),
    "job-of-a-voucher": Edit(
        lambda: a_voucher(contract=None, job="train"), "spec.job", "infer", f"job {WAS}; a claim stays"
    ),
    "invoice-of-a-voucher": Edit(a_voucher, "spec.invoice.number", "24312000000012345679", None),
    "party-of-a-statement": Edit(a_statement, "spec.party", "team", f'party {WAS} from "bureau" to "team"; a statement is'),
    "role-of-a-statement": Edit(a_statement, "spec.role", "Issuer", f'role {WAS} from "Consumer" to "Issuer"; a statement is'),
    "period-of-a-statement": Edit(
        a_statement, "spec.period", "2026-12", f'period {WAS} from "2026-11" to "2026-12"; a statement is'
    ),
    "zone-of-a-statement": Edit(a_statement, "spec.timezone", "UTC", f'timezone {WAS} from "Asia/Shanghai" to "UTC"; a statement'),
    "first-day-of-a-statement": Edit(
        lambda: a_statement(**{"from": "2026-11-01", "until": "2026-12-01"}), "spec.from", "2026-11-02",
        f"from {WAS}; a statement is",
    ),
    "last-day-of-a-statement": Edit(
        lambda: a_statement(**{"from": "2026-11-01", "until": "2026-12-01"}), "spec.until", "2026-12-02",
        f"until {WAS}; a statement is",
    ),
    "disputes-of-a-statement": Edit(a_statement, "spec.disputes", [], None),
    "price-of-a-tariff": Edit(a_tariff, f"{ITEM}.price", "7", "a tariff cannot be changed", "spec.effectiveFrom"),
    "day-of-a-tariff": Edit(a_tariff, "spec.effectiveFrom", "2027-01-01", "apply another Tariff of the same provider"),
    "label-of-a-tariff": Edit(a_tariff, "metadata.labels", {"year": "2026"}, None),
    "rules-of-a-policy": Edit(a_policy, RULE, [], None),
}  # fmt: skip


def named(manifest: Manifest, name: str) -> Manifest:
    return changed(manifest, "metadata.name", name)


def offline(manifest: Manifest) -> list[tuple[str, str, str]]:
    """What the model finds: field, value, words."""
    try:
        MODELS[manifest["kind"]].model_validate(manifest)
    except ValidationError as error:
        return [(".".join(map(str, e["loc"])), str(e["input"]), e["msg"]) for e in error.errors()]
    return []


@pytest.fixture(scope="module")
def answers(hub: Hub) -> dict[str, str]:
    """The API server's word on all cases, wrong and right, in one go."""
    both = [named(case.bad, f"{name}-not") for name, case in CASES.items()]
    both += [named(case.good, name) for name, case in CASES.items()]
    return hub.verdicts(both)


@pytest.fixture(scope="module")
def edits(hub: Hub) -> dict[str, str]:
    """The API server's word on changes of objects that exist."""
    hub.verdicts([named(edit.build(), f"edit-{name}") for name, edit in EDITS.items()], "apply")
    changes = [changed(named(edit.build(), f"edit-{name}"), edit.path, edit.value) for name, edit in EDITS.items()]
    return hub.verdicts(changes, "apply", "--dry-run=server")


@pytest.mark.parametrize("name", CASES)
def test_the_api_server_refuses_it_with_field_value_and_remedy(answers: dict[str, str], name: str) -> None:
    case, said = CASES[name], answers[f"{name}-not"]
    assert said, "it was taken"
    assert f"{case.blamed}: " in said
    assert case.shown in said
    assert case.says in said


@pytest.mark.parametrize("name", CASES)
def test_the_model_refuses_it_with_field_value_and_remedy(name: str) -> None:
    case = CASES[name]
    found = [(value, words) for field, value, words in offline(case.bad) if field.startswith(case.field or case.path)]
    assert found, f"nothing at {case.field or case.path}: {offline(case.bad)}"
    assert any(
        (case.offline or case.says) in words and (case.shown in value or case.shown in words) for value, words in found
    ), found


@pytest.mark.parametrize("name", CASES)
def test_the_same_without_the_mistake_is_taken(answers: dict[str, str], name: str) -> None:
    assert answers[name] == ""
    assert offline(named(CASES[name].good, name)) == []


@pytest.mark.parametrize("build", BUILDERS.values())
def test_every_object_has_a_short_plain_name(hub: Hub, build: Callable[[], Manifest]) -> None:
    objects = [named(build(), name) for name in NOT_A_NAME.values()]
    for name, said in hub.verdicts(objects).items():
        assert "metadata.name: " in said
        assert name == LONG or name in said
        assert NAME in said or "63" in said
        assert [field for field, _, words in offline(named(build(), name)) if NAME in words] == ["metadata.name"]


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_taken_or_answered_with_the_remedy(edits: dict[str, str], name: str) -> None:
    edit, said = EDITS[name], edits[f"edit-{name}"]
    if edit.says is None:
        assert said == ""
    else:
        assert f"{edit.field or edit.path}: " in said
        assert edit.says in said


def rules(schema: Mapping[str, Any], path: str = "spec") -> Iterator[tuple[str, str]]:
    """Every rule below a place of a schema, with a pattern of what it says."""
    for rule in schema.get("x-kubernetes-validations", []):
        words = rule.get("message") or rule["messageExpression"].split("'.format(")[0][1:]
        pattern = ".*".join(re.escape(part.replace(r"\'", "'").replace("%%", "%")) for part in words.split("%s"))
        yield f"{path}: {rule['rule']}", pattern
    for name, child in schema.get("properties", {}).items():
        yield from rules(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from rules(schema[key], f"{path}[]")


def test_every_rule_has_a_case_that_breaks_it(answers: dict[str, str], edits: dict[str, str]) -> None:
    """Rules of a field type count once, whichever field breaks them."""
    said = "\n".join([*answers.values(), *edits.values()])
    for model in KINDS:
        spec = crd(model)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        unbroken = [f"{model.__name__} {place}" for place, pattern in rules(spec) if not re.search(pattern, said)]
        assert unbroken == []
