"""Which jobs a placement rule of the policy is about, and which sites it names."""

import numpy as np

from suanli.api.policy import PlacementRule
from suanli.placement.batch import Batch, Bools


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


def names_s(rule: PlacementRule, b: Batch) -> Bools:
    """Sites that the rule names: in one of its sides, and in one of its hubs, and with its labels, as far as given. Shape (S,)."""
    wanted = rule.site_selector.match_labels if rule.site_selector else {}
    found = []
    for view in b.sites:
        region, labels = view.site.spec.region, view.site.metadata.labels
        hub = b.country.hub_by_region.get(region)
        found.append(
            (not rule.sides or b.country.side(region) in rule.sides)
            and (not rule.hubs or (hub is not None and hub.name in rule.hubs))
            and all(labels.get(key) == value for key, value in wanted.items())
        )
    return np.array(found, dtype=bool)
