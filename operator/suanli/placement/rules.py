"""Which jobs a placement rule of the policy is about, and which sites it names; and the same of pairings."""

from collections.abc import Mapping

import numpy as np

from suanli.api.common import LabelSelector
from suanli.api.policy import GreenSites, Pairing, PairingKind, PlacementRule, Side
from suanli.api.site import ComputeSite
from suanli.base.units import micro
from suanli.placement.batch import Batch, Bools
from suanli.placement.snapshot import OUTSIDE, Country


def matches_rp(rule: PlacementRule, b: Batch) -> Bools:
    """Rows, and pools of the compute type, that the rule is about: all given lists must match. Shape (R, P)."""
    match, country = rule.match, b.country
    rows_r = np.array(
        [
            (not match.categories or row.spec.category in match.categories)
            and (not match.origin_sides or country.side(row.spec.origin) in match.origin_sides)
            and (not match.tiers or tier in match.tiers)
            for row, tier in zip(b.rows, b.tier_r, strict=True)
        ],
        dtype=bool,
    )
    types_p = np.array(
        [not match.compute_types or pool.resource.type in match.compute_types for pool in b.pools], dtype=bool
    )
    return np.asarray(rows_r[:, None] & types_p[None, :])


def names_rs(rule: PlacementRule, b: Batch) -> Bools:
    """Sites that the rule names, for each row: a green site outside the hubs may count as one of the West. Shape (R, S)."""
    country, sites = b.country, [view.site for view in b.sites]
    named_s = np.array([names(rule, site, country) for site in sites], dtype=bool)
    named_green_s = np.array([names(rule, site, country, green=True) for site in sites], dtype=bool)
    if (named_s == named_green_s).all():
        return np.asarray(np.broadcast_to(named_s, (len(b.rows), len(b.sites))))
    return np.asarray(np.where(b.green_r[:, None], named_green_s[None, :], named_s[None, :]))


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


def pairing_rs(pairing: Pairing, b: Batch) -> Bools:
    """Rows of the one hub at the pairing's sites of the other. Shape (R, S).

    Source: 发改数据〔2023〕1779号 (对口联建, 飞地).
    """
    sites_s = np.array([has_site(pairing, view.site, b.country) for view in b.sites], dtype=bool)
    return np.asarray((b.hub_r == pairing.source)[:, None] & sites_s[None, :])


def enclaves(country: Country) -> tuple[Pairing, ...]:
    """The pairings that are enclaves."""
    pairings = country.policy.spec.pairings if country.policy else ()
    return tuple(pairing for pairing in pairings if pairing.kind is PairingKind.ENCLAVE)


def _has_labels(site: ComputeSite, selector: LabelSelector | None) -> bool:
    wanted: Mapping[str, str] = selector.match_labels if selector else {}
    return all(site.metadata.labels.get(key) == value for key, value in wanted.items())
