"""The example tariffs fit the example country, and price whatever its jobs use."""

from pathlib import Path

import pytest
import yaml

from suanli.api import ComputeAccount, ComputeLink, ComputeSite, Tariff
from suanli.billing.event import Owner, UsageKind, class_facts, pod_events
from suanli.billing.period import month
from suanli.billing.pricebook import PriceBook, problems
from suanli.billing.rating import rate
from suanli.billing.usage import PodUsage

ROOT = Path(__file__).resolve().parents[2] / "examples" / "national"


def of(kind: str) -> list[dict[str, object]]:
    documents = (
        d for file in sorted(ROOT.rglob("*.yaml")) for d in yaml.safe_load_all(file.read_text(encoding="utf-8")) if d
    )
    return [document for document in documents if document["kind"] == kind]


TARIFFS = [Tariff.model_validate(raw) for raw in of("Tariff")]
SITES = [ComputeSite.model_validate(raw) for raw in of("ComputeSite")]
LINKS = [ComputeLink.model_validate(raw) for raw in of("ComputeLink")]
ACCOUNTS = [ComputeAccount.model_validate(raw) for raw in of("ComputeAccount")]


def test_they_fit_the_sites_and_the_accounts() -> None:
    classes = {account.metadata.name: account.spec.customer_class or "" for account in ACCOUNTS}
    assert len(TARIFFS) == 3
    assert list(problems(TARIFFS, SITES, LINKS, classes)) == []


def test_every_link_has_a_carrier_whose_tariff_has_a_price_for_it() -> None:
    carriers = {link.metadata.name: link.spec.operator or "" for link in LINKS}
    book = PriceBook(TARIFFS, {}, carriers=carriers)
    for link, carrier in carriers.items():
        version = book.at(carrier, month("2026-06", "Asia/Shanghai").start_ms)
        assert version is not None
        assert version.item(UsageKind.TRANSFER, "", "", "Normal", "", link) is not None


@pytest.mark.parametrize("year", [2026, 2027])
def test_every_class_of_every_site_has_a_price(year: int) -> None:
    book = PriceBook(TARIFFS, {site.metadata.name: site.spec.operator or "" for site in SITES})
    for site in SITES:
        for resource in site.spec.resources:
            facts = class_facts(site, resource.class_)
            assert facts is not None
            start, name = month(f"{year}-06", "Asia/Shanghai").start_ms, site.metadata.name
            cards, end = int(resource.unit == "Card"), start + 24 * 3_600_000
            run = PodUsage("p", "u", 1, name, resource.class_, start, end, 4_000, 1 << 30, cards)
            owner, borders = Owner("hub", "lab", "default", "job"), book.borders(name)
            events = pod_events(run, owner, facts, borders, scratch_bytes=1 << 40)
            made = rate(events, book, {}, month(f"{year}-06", "Asia/Shanghai"))
            assert made.unrated == ()
            assert made.net_micro_yuan > 0
            assert {line.tariff for line in made.lines} == {f"sample-{year}"}
