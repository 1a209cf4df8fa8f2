"""What only several objects can tell, and where prices change."""

from typing import Any

import pytest

from manifests import Manifest, a_link, a_site, a_tariff, changed
from rates import DAY, HOUR, PROVIDER, SITE, T0, a_book, bands, flat, tariff
from suanli.api import ComputeLink, ComputeSite
from suanli.billing.event import full_hours
from suanli.billing.period import Period, local, midnight_ms, month
from suanli.billing.pricebook import PriceBook, problems


def site(**spec: Any) -> ComputeSite:
    return ComputeSite.model_validate(a_site(operator=PROVIDER, **spec))


def found(
    *tariffs: Manifest,
    classes: dict[str, str] | None = None,
    sites: list[ComputeSite] | None = None,
    **carriers: str | None,
) -> list[str]:
    """What is told of tariffs beside one site and one link, and more of them by name with who runs them."""
    links = [
        ComputeLink.model_validate(a_link(name, **({} if carrier is None else {"operator": carrier})))
        for name, carrier in {"wuhan-wuhu": PROVIDER, **carriers}.items()
    ]
    return list(problems([tariff(t) for t in tariffs], [site()] if sites is None else sites, links, classes or {}))


def test_a_tariff_that_fits_has_no_problem() -> None:
    assert (
        found(a_tariff(), a_tariff("next", effectiveFrom="2027-01-01"), classes={"lab": "university", "shop": ""}) == []
    )


@pytest.mark.parametrize(
    ("tariffs", "says"),
    [
        (
            [a_tariff(), a_tariff("twin")],
            f'Tariff twin: spec.effectiveFrom: "2026-01-01": Tariff anhui-2026 of provider "{PROVIDER}" holds from the same day on; '
            "delete one of them or let one begin on another day",
        ),
        (
            [changed(a_tariff(), "spec.items.2.class", "nvidia-a1000")],
            f'Tariff anhui-2026: spec.items[2].class: "nvidia-a1000": no site of provider "{PROVIDER}" offers it; correct the name, '
            "sites offer cpu-x86, nvidia-a100-80g",
        ),
        (
            [changed(a_tariff(), "spec.items.1.plan", "spot")],
            f'Tariff anhui-2026: spec.items: sites of provider "{PROVIDER}" offer class cpu-x86, and no item has a price for a CoreHour '
            "of it; add one, with price 0 if it is free",
        ),
    ],
)  # fmt: skip
def test_a_problem_is_told_with_object_field_value_and_remedy(tariffs: list[Manifest], says: str) -> None:
    assert found(*tariffs) == [says]


def test_a_class_of_customers_that_no_tariff_knows_is_told() -> None:
    (said,) = found(a_tariff(), classes={"lab": "universty"})
    assert said.startswith('ComputeAccount lab: spec.customerClass: "universty": no Tariff has it')


def by_links(*links: str | None) -> Manifest:
    items = [
        {"name": f"n{i}", "unit": "TransferGiB", "price": "1", **({"link": x} if x else {})}
        for i, x in enumerate(links)
    ]
    return a_tariff("roads", provider="Roads", schedules=[], packages=[], items=items)


def test_a_link_that_is_not_there_or_is_anothers_is_told_with_those_that_are_meant() -> None:
    missing, others, nobodys = found(by_links("west", "east", "spur", "own"), east="Rails", spur=None, own="Roads")
    remedy = (
        "so nothing is billed by this item; correct the name or spec.operator of the link, "
        'links of provider "Roads" are own'
    )
    assert missing == f'Tariff roads: spec.items[0].link: "west": there is no such ComputeLink, {remedy}'
    assert others == f'Tariff roads: spec.items[1].link: "east": ComputeLink east is of operator "Rails", {remedy}'
    assert nobodys == f'Tariff roads: spec.items[2].link: "spur": ComputeLink spur is of no operator, {remedy}'
    assert found(by_links("west"))[0].endswith('links of provider "Roads" are none')


def test_a_link_without_a_price_is_told_where_its_operator_has_prices_for_others() -> None:
    assert found(by_links("own"), own="Roads", new="Roads", east="Rails") == [
        'Tariff roads: spec.items: ComputeLink new is of provider "Roads", and no item has a price for a TransferGiB over it; '
        "add one, with price 0 if it is free"
    ]
    assert found(by_links(None), own="Roads", new="Roads") == []
    assert found(a_tariff(), own="Roads") == []


def test_a_provider_of_no_site_offers_nothing() -> None:
    assert {text.split(": ")[1] for text in found(a_tariff(), sites=[])} == {f"spec.items[{i}].class" for i in range(3)}


def test_a_provider_that_can_have_no_account_has_no_prices_and_is_told() -> None:
    longest, longer = "长" * 186, "a " * 47
    for name, prices in ((longest, True), (longer, False)):
        assert (PriceBook([tariff(a_tariff(provider=name))], {SITE: name}).at(name, T0) is not None) == prices
    (told,) = [text for text in found(a_tariff(provider=longer)) if "spec.provider" in text and "account" in text]
    assert "has 202 characters; 200 are allowed, so nothing is billed by this tariff; shorten the name" in told


# --- borders


def shown(borders: list[int]) -> list[str]:
    return [f"{local(at, 'Asia/Shanghai'):%d %H:%M}" for at in borders]


def test_borders_are_full_hours_bands_days_and_tariffs() -> None:
    odd = a_tariff(
        timezone="Asia/Kolkata", packages=[], items=[{"name": "it", "unit": "CardHour", "price": "1"}],
        schedules=[{"name": "all", "bands": bands(("00:00", "01:15", "a"), ("01:15", "24:00", "b"))}],
    )  # fmt: skip
    late = {
        **odd,
        "metadata": {"name": "late"},
        "spec": {**odd["spec"], "effectiveFrom": "2026-11-03", "timezone": "Asia/Shanghai"},
    }
    book = a_book(odd, late)
    begin = midnight_ms(local(T0, "Asia/Shanghai").date().toordinal() + 1, "Asia/Kolkata") - 1
    assert shown(list(book.borders(SITE)(begin, begin + 2 * HOUR))) == ["02 02:30", "02 03:00", "02 03:45", "02 04:00"]
    assert shown(list(book.borders(SITE)(T0 + 2 * DAY - 10, T0 + 2 * DAY + 10))) == ["03 00:00"]
    assert list(book.borders("elsewhere")(T0, T0 + DAY)) == list(full_hours(T0, T0 + DAY))


def test_hours_of_one_band_that_follow_each_other_have_no_border() -> None:
    hours = bands(("00:00", "12:30", "a"), ("12:30", "24:00", "a"))
    book = a_book(a_tariff(schedules=[{"name": "all", "bands": hours}], packages=[], items=flat()["spec"]["items"]))
    assert list(book.borders(SITE)(T0, T0 + DAY)) == list(full_hours(T0, T0 + DAY))


def test_one_of_two_tariffs_from_one_day_on_is_never_chosen() -> None:
    twins = a_book(a_tariff(), a_tariff("twin"), a_tariff("next", effectiveFrom="2026-11-02"))
    assert twins.at(PROVIDER, T0) is None
    later = twins.at(PROVIDER, T0 + DAY)
    assert later is not None
    assert later.name == "next"
    assert PriceBook([], {}).at(PROVIDER, T0) is None


# --- periods


def test_a_month_is_of_its_time_zone() -> None:
    assert month("2026-02", "UTC") == Period("2026-02", 1_769_904_000_000, 1_772_323_200_000)
    assert month("2026-12", "Asia/Shanghai").end_ms == month("2027-01", "Asia/Shanghai").start_ms
    assert (
        month("2026-03", "Europe/Berlin").end_ms - month("2026-03", "Europe/Berlin").start_ms
    ) // HOUR == 31 * 24 - 1


@pytest.mark.parametrize("name", ["2026", "2026-13", "November", "2026-11-01", ""])
def test_what_is_no_month_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match='is not a month; write year and month, such as "2026-11"'):
        month(name, "UTC")
