"""Which jobs a placement rule of the policy is about, and which sites it names; and the same of pairings."""

from collections.abc import Mapping

from suanli.api.common import LabelSelector
from suanli.api.policy import GreenSites, Pairing, PairingKind, PlacementRule, Side
from suanli.api.site import ComputeSite
from suanli.base.units import micro
from suanli.placement.snapshot import OUTSIDE, Country


def matches(rule: PlacementRule, category: str, side: str, tier: str) -> bool:
    """Whether the rule is about such jobs, whatever the type of compute: all given lists must match. `side` is the origin's."""
    match = rule.match
    return (
        (not match.categories or category in match.categories)
        and (not match.origin_sides or side in match.origin_sides)
        and (not match.tiers or tier in match.tiers)
    )


def names(rule: PlacementRule, site: ComputeSite, country: Country, *, green: bool = False) -> bool:
    """Whether the rule names the site: in one of its sides, and in one of its hubs, and with its labels, as far as given.

    With `green` the job is one for which a green site outside the hubs counts as a site of the West.
    """
    hub = country.hub_by_region.get(site.spec.region)
    side = country.side(site.spec.region)
    if green and side == OUTSIDE and is_green(site, country):
        side = Side.WEST
    return (
        (not rule.sides or side in rule.sides)
        and (not rule.hubs or (hub is not None and hub.name in rule.hubs))
        and _has_labels(site, rule.site_selector)
    )


def is_green(site: ComputeSite, country: Country) -> bool:
    """Whether the site keeps the green share and the PUE that the policy asks of green sites; where it stands is not asked."""
    green = green_sites(country)
    return (
        green is not None
        and micro(site.spec.energy.green_share) >= micro(green.min_green_share)
        and micro(site.spec.energy.pue) <= micro(green.max_pue)
    )


def green_sites(country: Country) -> GreenSites | None:
    """What the policy asks of green sites outside the hubs."""
    return country.policy.spec.green_sites if country.policy else None


def has_site(pairing: Pairing, site: ComputeSite, country: Country) -> bool:
    """Whether the site is one of those that the pairing is about: of the hub that brings the compute, with its labels."""
    hub = country.hub_by_region.get(site.spec.region)
    return hub is not None and hub.name == pairing.target and _has_labels(site, pairing.site_selector)


def has_origin(pairing: Pairing, origin: str, country: Country) -> bool:
    """Whether jobs from there are those of the hub that brings the demand."""
    hub = country.hub_by_region.get(origin)
    return hub is not None and hub.name == pairing.source


def enclaves(country: Country) -> tuple[Pairing, ...]:
    """The pairings that are enclaves."""
    pairings = country.policy.spec.pairings if country.policy else ()
    return tuple(pairing for pairing in pairings if pairing.kind is PairingKind.ENCLAVE)


def _has_labels(site: ComputeSite, selector: LabelSelector | None) -> bool:
    wanted: Mapping[str, str] = selector.match_labels if selector else {}
    return all(site.metadata.labels.get(key) == value for key, value in wanted.items())
