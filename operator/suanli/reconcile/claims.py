"""Vouchers and programmes of the hub: what their claims say with all that the hub knows, and what their status is to say. Pure."""

from collections.abc import Iterable, Mapping

from suanli.api.account import ComputeAccount
from suanli.api.site import ComputeSite
from suanli.api.voucher import Voucher, VoucherProgram
from suanli.base.clock import time_or_zero, time_text
from suanli.base.conditions import Condition
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.billing.period import local
from suanli.billing.vouchers import Claim, Rejected, Scope
from suanli.kube.client import Json
from suanli.placement.accounts import Accounts
from suanli.placement.snapshot import Country
from suanli.reconcile.vouchers import Standing

CHIP = "chip-family"  # the label of a site's class that programmes know as its chip
Told = tuple[Json, list[Condition]]  # figures and conditions of a status


def scope_of(sites: Iterable[ComputeSite], country: Country) -> Scope:
    """What vouchers ask of a site that its lines do not say: sides and chips. A site outside the hubs has no side."""
    sides, chips = {}, {}
    for site in sites:
        hub = country.hub_by_region.get(site.spec.region)
        if hub is not None:
            sides[site.metadata.name] = hub.side
        for resource in site.spec.resources:
            if CHIP in resource.labels:
                chips[site.metadata.name, resource.class_] = resource.labels[CHIP]
    return Scope(sides, chips)


def claim_of(voucher: Voucher, tenants: Accounts, now_ms: int) -> Claim:
    """What a Voucher asks for, of the account that its namespace belongs to; made when it was created, as the hub says."""
    spec, metadata = voucher.spec, voucher.metadata
    namespace = metadata.namespace or ""
    entity = tenants.of(namespace)
    account: ComputeAccount | None = tenants.by_name.get(entity)
    own = account.spec.customer_class if account is not None else None
    below = (name for name in tenants.by_name if entity in tenants.lineage(name))
    return Claim(
        voucher=metadata.uid,
        entity=entity,
        family=frozenset({*tenants.lineage(entity), *below}),
        applicant_class=spec.applicant_class or own or "",
        contract=spec.contract or f"{namespace}/{spec.job}",
        provider=spec.provider or "",
        amount_micro_yuan=int(spec.amount),
        contract_days=spec.contract_days,
        time_ms=min(time_or_zero(metadata.creation_timestamp) or now_ms, now_ms),
        units=spec.units or 0,
        own_class=own or "",
    )


def claim_told(
    voucher: Voucher, standing: Standing | None, waits: Mapping[str, Rejected], known: Iterable[str], now_ms: int
) -> Told:
    """The status of a claim: what was decided, or that it waits; `waits` says by voucher why it pays nothing yet."""
    if standing is not None:
        return _decided(standing, waits.get(voucher.metadata.uid), now_ms)
    return ({}, []) if voucher.spec.program in known else _unknown_program(voucher, known)


def _unknown_program(voucher: Voucher, known: Iterable[str]) -> Told:
    """The status of a claim that nobody can decide yet."""
    there = ", ".join(sorted(known)) or "none"
    text = f'spec.program: "{voucher.spec.program}" is no VoucherProgram that can be read (there is: {there}); create it, or '
    return {}, [Condition("Granted", False, Reason.UNKNOWN_PROGRAM, f"{text}delete the voucher and apply another one")]


def _decided(standing: Standing, waits: Rejected | None, now_ms: int) -> Told:
    """The status of a claim that was decided; `waits` is why it is not paid out yet."""
    decision = standing.decision
    if decision is None:
        why = standing.refusal.why if standing.refusal is not None else None
        return {}, [Condition("Granted", False, why.reason, why.message)] if why is not None else []
    granted, spent = decision.granted, standing.redeemed_micro_yuan
    total, is_over = granted.amount_micro_yuan, now_ms >= granted.expires_ms
    cut = f", cut by {granted.cut_by}" if granted.cut_by else ""
    said = f"{yuan_text(total)} CNY by term {granted.term} of {granted.program}, for {granted.year}{cut}"
    redeemed = f"{yuan_text(spent)} of {yuan_text(total)} CNY are redeemed"
    if standing.bills:
        redeemed += f", last by {standing.bills[-1]}"
    if standing.late:
        late = ", ".join(standing.late)
        redeemed += (
            f"; it expired before {late} could be posted, which was paid all the same because it was decided before"
        )
    back = standing.taken_back_micro_yuan
    if back:
        redeemed += f"; {yuan_text(back)} CNY were taken back, because lines were corrected"
    reason = Reason.REDEEMED if spent else Reason.NOT_REDEEMED
    if waits is not None and not spent:
        reason, redeemed = waits.reason, waits.message
    until = f"{time_text(granted.expires_ms)}"
    lost = f"{yuan_text(total - spent)} CNY expired at {until}"
    return (
        {
            "entity": decision.claim.entity,
            "granted": str(total),
            "redeemed": str(spent),
            **({"takenBack": str(back)} if back else {}),
            "remaining": str(0 if is_over else total - spent),
            "expires": until,
        },
        [
            Condition("Granted", True, Reason.GRANTED, said),
            Condition("Redeemed", spent > 0, reason, redeemed),
            Condition("Expired", is_over, Reason.VOUCHER_EXPIRED, lost)
            if is_over
            else Condition("Expired", False, Reason.VALID, f"it is valid until {until}"),
        ],
    )


def program_told(program: VoucherProgram, standings: Mapping[str, Standing], now_ms: int) -> Told:
    """The status of a programme: the figures of its present calendar year."""
    spec, name = program.spec, program.metadata.name
    today = local(now_ms, spec.timezone)
    own = [
        (each.decision.granted, each.redeemed_micro_yuan, each.taken_back_micro_yuan)
        for each in standings.values()
        if each.decision is not None
        and each.decision.granted.program == name
        and each.decision.granted.year == today.year
    ]
    rejected = [
        each
        for each in standings.values()
        if each.refusal is not None and each.refusal.program == name and each.refusal.year == today.year
    ]
    issued = sum(
        (spent if now_ms >= granted.expires_ms else granted.amount_micro_yuan) - back for granted, spent, back in own
    )
    figures: Json = {
        "year": today.year,
        "vouchers": len(own),
        "rejected": len(rejected),
        "issued": str(issued),
        "redeemed": str(sum(spent - back for _, spent, back in own)),
    }
    if spec.pool_per_year is not None:
        figures["remaining"] = str(max(0, int(spec.pool_per_year) - issued))
    day = today.date().isoformat()
    in_force = spec.from_ <= day and (spec.until is None or day < spec.until)
    text = f"vouchers are granted from {spec.from_} until {spec.until or 'further notice'}"
    return figures, [Condition("InForce", in_force, Reason.IN_FORCE if in_force else Reason.NOT_IN_FORCE, text)]
