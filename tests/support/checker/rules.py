"""What a placement rule of the policy says, by the descriptions of its fields."""

from checker.ways import Ways
from checker.wire import microseconds
from suanli.api.job import ComputeJobSpec
from suanli.api.policy import HubPolicySpec, PlacementRule
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


def names(rule: PlacementRule, site: ComputeSite, ways: Ways) -> bool:
    """Whether the site is on the rule's sides, in its hubs and has its labels, as far as it gives them."""
    region = site.spec.region
    if rule.sides and ways.side(region) not in [side.value for side in rule.sides]:
        return False
    if rule.hubs and ways.hub(region) not in rule.hubs:
        return False
    wanted = rule.site_selector.match_labels if rule.site_selector else {}
    return wanted.items() <= site.metadata.labels.items()
