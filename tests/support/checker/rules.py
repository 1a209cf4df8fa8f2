"""What a placement rule of the policy says, by the descriptions of its fields."""

from fractions import Fraction

from checker.ways import Ways
from checker.wire import microseconds
from suanli.api.job import ComputeJobSpec
from suanli.api.policy import HubPolicySpec, Pairing, PlacementRule
from suanli.api.site import ComputeSite, SiteResource


def tier_of(spec: ComputeJobSpec, policy: HubPolicySpec | None) -> str:
    """The job's tier: the one it names, else the tightest whose bound is at least its own; "any" otherwise."""
    if spec.latency is None or (spec.latency.tier is None and spec.latency.one_way is None):
        return "any"
    if spec.latency.tier is not None:
        return spec.latency.tier
    own = microseconds(spec.latency.one_way or "")
    tiers = [(microseconds(t.one_way), t.name) for t in policy.latency_tiers] if policy else []
    wide = sorted(tier for tier in tiers if tier[0] >= own)
    return wide[0][1] if wide else "any"


def is_about(
    rule: PlacementRule, spec: ComputeJobSpec, resource: SiteResource, ways: Ways, policy: HubPolicySpec | None
) -> bool:
    """Whether all lists that the rule gives match the job and the class of compute."""
    match = rule.match
    checks = (
        (match.categories, spec.category),
        (match.origin_sides, ways.side(spec.origin)),
        (match.compute_types, resource.type),
        (match.tiers, tier_of(spec, policy)),
    )
    return all(value in [str(x) for x in listed] for listed, value in checks if listed)


def names(
    rule: PlacementRule, site: ComputeSite, spec: ComputeJobSpec, ways: Ways, policy: HubPolicySpec | None
) -> bool:
    """Whether the site is on the rule's sides, in its hubs and has its labels, as far as it gives them."""
    region = site.spec.region
    side = "West" if counts_as_western(site, spec, ways, policy) else ways.side(region)
    if rule.sides and side not in [side.value for side in rule.sides]:
        return False
    if rule.hubs and ways.hub(region) not in rule.hubs:
        return False
    wanted = rule.site_selector.match_labels if rule.site_selector else {}
    return wanted.items() <= site.metadata.labels.items()


def counts_as_western(site: ComputeSite, spec: ComputeJobSpec, ways: Ways, policy: HubPolicySpec | None) -> bool:
    """A site outside all hubs that is green enough, for a job of the East in one of the tiers of greenSites."""
    green = policy.green_sites if policy else None
    if green is None or ways.hub(site.spec.region) is not None:
        return False
    if ways.side(spec.origin) != "East" or tier_of(spec, policy) not in green.tiers:
        return False
    energy = site.spec.energy
    is_green = Fraction(energy.green_share) >= Fraction(green.min_green_share)
    return is_green and Fraction(energy.pue) <= Fraction(green.max_pue)


def is_paired(pairing: Pairing, origin: str, site: ComputeSite, ways: Ways) -> bool:
    """Whether a job from there at that site is one that the two hubs agreed on."""
    labels = pairing.site_selector.match_labels if pairing.site_selector else {}
    hubs = (ways.hub(origin), ways.hub(site.spec.region))
    return hubs == (pairing.source, pairing.target) and labels.items() <= site.metadata.labels.items()
