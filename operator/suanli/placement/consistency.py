"""What one object of the map says that others contradict. The admission policy, the operator and `suanli plan` agree on it."""

from collections.abc import Container, Iterable

from suanli.api.link import ComputeLink
from suanli.api.policy import HubPolicy
from suanli.api.site import ComputeSite
from suanli.base.reasons import Reason
from suanli.base.units import micro
from suanli.placement.batch import ANY_TIER
from suanli.placement.contradictions import Finding, contradictions
from suanli.placement.snapshot import Country, hub_of

Trouble = tuple[Reason, str]


def link_trouble(link: ComputeLink, places: Container[str]) -> Trouble | None:
    """An end that is neither a region nor a site."""
    for end in link.spec.endpoints:
        if end not in places:
            text = (
                f'spec.endpoints: "{end}" is neither a ComputeRegion nor a ComputeSite; create it or correct the name'
            )
            return Reason.UNKNOWN_ENDPOINT, text
    return None


def site_trouble(site: ComputeSite, policy: HubPolicy | None) -> Trouble | None:
    """A site above its cluster's ceiling of PUE, or larger than the policy lets be built outside the hubs."""
    if policy is None:
        return None
    spec = site.spec
    for hub in policy.spec.hubs:
        for cluster in hub.clusters:
            if spec.region in cluster.regions and micro(spec.energy.pue) > micro(cluster.pue_ceiling):
                text = f"PUE {spec.energy.pue} is above the ceiling {cluster.pue_ceiling} of cluster {cluster.name}"
                return Reason.PUE_ABOVE_CEILING, text
    limit = policy.spec.new_build
    if limit and hub_of(spec.region, policy) is None and spec.standard_racks > limit.max_racks_outside_hubs:
        text = f"{spec.standard_racks} standard racks outside all hubs; the policy's limit is {limit.max_racks_outside_hubs}"
        return Reason.OUTSIDE_HUBS, text
    return None


def policy_findings(country: Country, sites: Iterable[ComputeSite]) -> list[Finding]:
    """All that is wrong with the country's policy, errors first; of what names nothing known, nothing more is asked."""
    trouble = policy_trouble(country.policy, country.regions) if country.policy else None
    return [Finding(*trouble)] if trouble else contradictions(country, sites)


def policy_trouble(policy: HubPolicy, regions: Container[str]) -> Trouble | None:
    """A name that is not known, or a region in two hubs."""
    return _hubs_trouble(policy, regions) or _rules_trouble(policy) or _pairs_trouble(policy)


def _hubs_trouble(policy: HubPolicy, regions: Container[str]) -> Trouble | None:
    seen: dict[str, str] = {}
    for hub in policy.spec.hubs:
        for region in dict.fromkeys([*hub.regions, *(r for c in hub.clusters for r in c.regions)]):
            if region not in regions:
                text = f'hub {hub.name} names region "{region}", which does not exist; create it or correct the name'
                return Reason.UNKNOWN_REGION, text
            if seen.setdefault(region, hub.name) != hub.name:
                text = f"region {region} belongs to hubs {seen[region]} and {hub.name}; leave it in one"
                return Reason.CONTRADICTION, text
    return None


def _rules_trouble(policy: HubPolicy) -> Trouble | None:
    hubs = {hub.name for hub in policy.spec.hubs}
    tiers = {tier.name for tier in policy.spec.latency_tiers} | {ANY_TIER}
    for rule in policy.spec.placement_rules:
        for name in rule.hubs:
            if name not in hubs:
                return Reason.MATCHES_NOTHING, f'rule {rule.name} names hub "{name}", which the policy does not have'
        for tier in rule.match.tiers:
            if tier not in tiers:
                return Reason.UNKNOWN_TIER, f'rule {rule.name} names tier "{tier}", which the policy does not have'
    return None


def _pairs_trouble(policy: HubPolicy) -> Trouble | None:
    hubs = {hub.name for hub in policy.spec.hubs}
    for pairing in policy.spec.pairings:
        for name in (pairing.source, pairing.target):
            if name not in hubs:
                text = f'the {pairing.kind.lower()} of {pairing.source} and {pairing.target} names hub "{name}", which the policy does not have'
                return Reason.MATCHES_NOTHING, text
    tiers = {tier.name for tier in policy.spec.latency_tiers} | {ANY_TIER}
    for tier in policy.spec.green_sites.tiers if policy.spec.green_sites else ():
        if tier not in tiers:
            return Reason.UNKNOWN_TIER, f'greenSites.tiers names tier "{tier}", which the policy does not have'
    return None
