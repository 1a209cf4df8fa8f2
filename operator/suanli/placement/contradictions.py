"""What the rules of a policy make impossible, found before any job suffers from it.

Every kind of job that rules can tell apart (category, side of its origin, compute type, tier) is asked for the sites that all
its Require rules leave. Sets of rules and of sites are integers, one bit each.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import combinations, product
from operator import and_

from suanli.api.job import Category
from suanli.api.policy import Effect, HubPolicySpec, PlacementRule, Side
from suanli.api.site import ComputeSite, ComputeType
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.base.units import duration_text, duration_us
from suanli.placement.batch import ANY_TIER, FOREVER_US
from suanli.placement.kpis import KPIS, NAMES
from suanli.placement.rules import enclaves, has_site, names
from suanli.placement.snapshot import OUTSIDE, Country

SIDES = (*map(str, Side), OUTSIDE)
MOST_LISTED = 4


@dataclass(frozen=True)
class Kind:
    """Jobs that no rule tells apart."""

    category: str
    side: str
    type_: str
    tier: str


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a policy as a whole; a remark is odd, but keeps no job that the policy names from running.

    `kinds` are the jobs that can run nowhere, where that is what is wrong.
    """

    reason: Reason
    text: str
    is_error: bool = True
    kinds: tuple[Kind, ...] = ()


def contradictions(country: Country, sites: Iterable[ComputeSite]) -> list[Finding]:
    """What is wrong with the country's policy, errors first. Without any site nothing is asked of sites."""
    if country.policy is None:
        return []
    known = [site for site in sites if site.spec.region in country.regions]
    known.sort(key=lambda site: site.metadata.name)
    found = list(_targets(country.policy.spec))
    if known:
        check = _Check(country, country.policy.spec, known)
        found += [*check.impossible(), *check.pulls(), *check.without_effect(), *_empty_enclaves(country, known)]
    return sorted(found, key=lambda finding: not finding.is_error)


def _targets(policy: HubPolicySpec) -> Iterator[Finding]:
    """Targets of figures that nobody computes."""
    for target in policy.targets:
        if target.kpi not in NAMES:
            text = f'target "{target.kpi}" is no figure that is computed; there are {", ".join(KPIS)}'
            yield Finding(Reason.MATCHES_NOTHING, text, is_error=False)


def _empty_enclaves(country: Country, sites: Sequence[ComputeSite]) -> Iterator[Finding]:
    for pairing in enclaves(country):
        if not any(has_site(pairing, site, country) for site in sites):
            text = f"the enclave of hub {pairing.source} in hub {pairing.target} has no ComputeSite; join one there"
            yield Finding(Reason.MATCHES_NOTHING, text, is_error=False)


class _Check:
    """One policy over one set of sites."""

    def __init__(self, country: Country, policy: HubPolicySpec, sites: Sequence[ComputeSite]) -> None:
        self._country = country
        self._policy = policy
        self._rules = policy.placement_rules
        self._sites = sites
        self._requires = self._of_effect(Effect.REQUIRE)
        self._found: dict[tuple[str, int], tuple[int, str, str]] = {}

    # --- what cannot run anywhere

    def impossible(self) -> Iterator[Finding]:
        """Kinds of jobs for which Require rules leave no site, those that suffer from the same taken together."""
        suffer: dict[tuple[Reason, str, str, bool], list[Kind]] = defaultdict(list)
        for kind, about in self._kinds.items():
            rules = self._listed(about & self._requires)
            trouble = self._trouble(kind, rules) if rules else None
            if trouble:
                suffer[trouble].append(kind)
        for (reason, why, remedy, is_error), kinds in suffer.items():
            yield Finding(reason, f"{why}: {self._jobs(kinds)} can run nowhere; {remedy}", is_error, tuple(kinds))

    def _trouble(self, kind: Kind, rules: Sequence[int]) -> tuple[Reason, str, str, bool] | None:
        """Why no site is left for a kind of job, what to do, and whether a rule says that it means such jobs."""
        masks = {i: self._named(i, kind) for i in rules}
        offered = self._offering[kind.type_]
        for i in rules:
            if not masks[i]:
                why = f"{self._told([i])}, and no ComputeSite is such a one"
                return Reason.MATCHES_NOTHING, why, "join one, or change the rule", True
        left = reduce(and_, masks.values())
        if not left:
            pair = next((list(two) for two in combinations(rules, 2) if not masks[two[0]] & masks[two[1]]), list(rules))
            why = f"{self._told(pair)}, and no ComputeSite is {'both' if len(pair) == 2 else 'all of this'}"
            return Reason.CONTRADICTION, why, "narrow the match of one of the rules", True
        if not left & offered:
            # A rule about all compute may leave out a type; it is wrong when nothing is left, or when it means that type.
            nothing = not any(left & sites for sites in self._offering.values())
            if not nothing and not any(self._rules[i].match.compute_types for i in rules):
                return None
            why = f"{self._told(rules)}, and no such ComputeSite offers {'any' if nothing else kind.type_} compute"
            return Reason.MATCHES_NOTHING, why, "join one that does, or change the rule", True
        return self._too_far(kind, rules, left & offered)

    def _too_far(self, kind: Kind, rules: Sequence[int], left: int) -> tuple[Reason, str, str, bool] | None:
        tier = self._country.tiers.get(kind.tier)
        if tier is None or self._is_near(kind.side, left, duration_us(tier.one_way)):
            return None
        matches = [self._rules[i].match for i in rules]
        # Rules about all sides or tiers may well leave out one of them; what they name, they mean.
        meant = any(match.tiers for match in matches) and (
            any(match.origin_sides for match in matches)
            or not any(self._is_near(side, left, duration_us(tier.one_way)) for side in self._regions)
        )
        us, site, region = self._nearest_of(kind.side, left)
        why = (
            f"{self._told(rules)}, and tier {tier.name} allows {tier.one_way}, but the nearest such ComputeSite, {site}, is"
            f" {duration_text(us)} from {region}, the nearest region {_from(kind.side)}"
        )
        return Reason.CONTRADICTION, why, "exempt the tier by match.tiers, or change the rule", meant

    def _is_near(self, side: str, left: int, bound_us: int) -> bool:
        """Whether one of the sites is within the bound of any region of the side."""
        return any(self._way(side, s)[0] <= bound_us for s in self._in(left))

    def _nearest_of(self, side: str, left: int) -> tuple[int, str, str]:
        """The least one-way time in µs between one of the sites and a region of the side, and which these are."""
        return min(self._way(side, s) for s in self._in(left))

    def _way(self, side: str, s: int) -> tuple[int, str, str]:
        """The same of one site."""
        if (side, s) not in self._found:
            site, regions = self._sites[s], self._regions[side]
            name, place = site.metadata.name, site.spec.region
            path = self._country.network.path
            if name in self._linked:
                ways = [(path(region, name, place).one_way_us, name, region) for region in regions]
            elif place in regions:
                ways = [(0, name, place)]
            else:  # from where it stands: ways are as long back, and there are far fewer sites than regions
                ways = [(path(place, "", region).one_way_us, name, region) for region in regions]
            self._found[side, s] = min(ways, default=(FOREVER_US, name, place))
        return self._found[side, s]

    @cached_property
    def _linked(self) -> frozenset[str]:
        """Places that links name; a site that none names stands at its region itself."""
        return frozenset(end for link in self._country.links.values() for end in link.spec.endpoints)

    # --- what pulls both ways, or not at all

    def pulls(self) -> Iterator[Finding]:
        """A Prefer and an Avoid of the same sites for jobs that both are about."""
        prefers, avoids = (self._listed(self._of_effect(effect)) for effect in (Effect.PREFER, Effect.AVOID))
        for i, j in product(prefers, avoids):
            shared = [kind for kind, about in self._kinds.items() if about >> i & 1 and about >> j & 1]
            if not shared or not self._masks[i] or self._masks[i] != self._masks[j]:
                continue
            one, other = self._rules[i], self._rules[j]
            off = int(one.weight or 0) - int(other.weight or 0)
            text = (
                f"rules {one.name} and {other.name} prefer and avoid the same sites: for {self._jobs(shared)} they come to"
                f" {yuan_text(abs(off))} CNY a task and hour {'off' if off >= 0 else 'on top'}; leave one of them"
            )
            yield Finding(Reason.CONTRADICTION, text, is_error=False)

    def without_effect(self) -> Iterator[Finding]:
        """Prefer and Avoid rules that name no site, or only sites that Require rules forbid to the same jobs."""
        for i in self._listed(self._of_effect(Effect.PREFER) | self._of_effect(Effect.AVOID)):
            kinds = [kind for kind, about in self._kinds.items() if about >> i & 1]
            if not any(self._named(i, kind) for kind in kinds):
                text = (
                    f"{self._told([i])}, and no ComputeSite is such a one: the rule has no effect; join one or drop it"
                )
                yield Finding(Reason.MATCHES_NOTHING, text, is_error=False)
            elif all(not self._named(i, kind) & self._left(kind) for kind in kinds):
                text = (
                    f"{self._told([i])}, which Require rules forbid to the same jobs: the rule has no effect; drop it"
                )
                yield Finding(Reason.CONTRADICTION, text, is_error=False)

    def _left(self, kind: Kind) -> int:
        """The sites that Require rules leave."""
        rules = self._listed(self._kinds[kind] & self._requires)
        return reduce(and_, (self._named(i, kind) for i in rules), -1)

    # --- kinds of jobs, and the rules about them

    @cached_property
    def _kinds(self) -> Mapping[Kind, int]:
        """Every kind of job that some site could run, were it not for rules, with the rules that are about it."""
        everything = (1 << len(self._rules)) - 1

        def about(field: str, value: str) -> int:
            lists = [getattr(rule.match, field) for rule in self._rules]
            return sum(1 << i for i, listed in enumerate(lists) if not listed or value in listed)

        tiers = {tier: about("tiers", tier) for tier in (*self._country.tiers, ANY_TIER)}
        categories = {str(category): about("categories", category) for category in Category}
        sides = {side: about("origin_sides", side) for side in SIDES if self._regions[side]}
        types = {type_: about("compute_types", type_) for type_, offering in self._offering.items() if offering}
        return {
            Kind(category, side, type_, tier): everything & of_category & of_side & of_type & of_tier
            for (category, of_category), (side, of_side), (type_, of_type), (tier, of_tier) in product(
                categories.items(), sides.items(), types.items(), tiers.items()
            )
        }

    @cached_property
    def _regions(self) -> Mapping[str, list[str]]:
        """Regions by side, in the order of their names."""
        found: dict[str, list[str]] = {side: [] for side in SIDES}
        for name in sorted(self._country.regions):
            found[self._country.side(name)].append(name)
        return found

    def _of_effect(self, effect: Effect) -> int:
        return sum(1 << i for i, rule in enumerate(self._rules) if rule.effect is effect)

    def _listed(self, about: int) -> list[int]:
        return [i for i in range(len(self._rules)) if about >> i & 1]

    # --- sites

    def _named(self, i: int, kind: Kind) -> int:
        """The sites that a rule names for such a job."""
        green = self._policy.green_sites
        is_green = green is not None and kind.side == Side.EAST and kind.tier in green.tiers
        return self._masks_of_green[i] if is_green else self._masks[i]

    @cached_property
    def _masks(self) -> list[int]:
        return [self._mask(rule, green=False) for rule in self._rules]

    @cached_property
    def _masks_of_green(self) -> list[int]:
        return [self._mask(rule, green=True) for rule in self._rules]

    def _mask(self, rule: PlacementRule, *, green: bool) -> int:
        return sum(1 << s for s, site in enumerate(self._sites) if names(rule, site, self._country, green=green))

    @cached_property
    def _offering(self) -> Mapping[str, int]:
        """The sites that offer each type of compute."""
        return {
            str(type_): sum(
                1 << s for s, site in enumerate(self._sites) if any(r.type is type_ for r in site.spec.resources)
            )
            for type_ in ComputeType
        }

    def _in(self, mask: int) -> list[int]:
        return [s for s in range(len(self._sites)) if mask >> s & 1]

    # --- words

    def _told(self, rules: Sequence[int]) -> str:
        """What rules want, such as "rule stay requires East"."""
        verbs = {Effect.REQUIRE: "requires", Effect.PREFER: "prefers", Effect.AVOID: "avoids"}
        return " and ".join(
            f"rule {rule.name} {verbs[rule.effect]} {_wanted(rule)}" for rule in (self._rules[i] for i in rules)
        )

    def _jobs(self, kinds: Sequence[Kind]) -> str:
        """The jobs of these kinds; what is so of all kinds is not said."""
        axes = {axis: {getattr(kind, axis) for kind in self._kinds} for axis in ("category", "side", "type_", "tier")}
        mine = {axis: sorted({getattr(kind, axis) for kind in kinds}) for axis in axes}
        told = {axis: found for axis, found in mine.items() if len(found) < len(axes[axis])}
        words = ["jobs"]
        words += [f"of {_some(told['category'])}"] if "category" in told else []
        words += [" or ".join(map(_from, told["side"]))] if "side" in told else []
        words += [f"on {_some(told['type_'])} compute"] if "type_" in told else []
        words += [f"in tier {_some(told['tier'])}"] if "tier" in told else []
        return " ".join(words)


def _from(side: str) -> str:
    return "from outside the hubs" if side == OUTSIDE else f"of the {side}"


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - MOST_LISTED} more" if len(words) > MOST_LISTED else ""
    return " or ".join(words[:MOST_LISTED]) + more


def _wanted(rule: PlacementRule) -> str:
    labels = rule.site_selector.match_labels if rule.site_selector else {}
    return ", ".join([*rule.sides, *rule.hubs, *(f"{key}={value}" for key, value in labels.items())])
