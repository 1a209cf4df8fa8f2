"""What of a claim a person has to approve, because it is only the tenant's word, and whether somebody did. Pure.

An approval is of the claim as it was read: whatever is changed in its spec later has to be approved again. It stands in the status, which tenants
cannot write.
"""

from pydantic import ValidationError

from suanli.api.voucher import Approval, ProgramKind, Verdict, Voucher, VoucherProgram
from suanli.base.conditions import Condition
from suanli.base.money import yuan_text
from suanli.base.reasons import Reason
from suanli.base.untrusted import mapping
from suanli.billing.vouchers import terms_by_class
from suanli.kube.client import Json
from suanli.placement.accounts import Accounts
from suanli.reconcile.vouchers import Standing, is_paid_out


def to_approve(voucher: Voucher, program: VoucherProgram | None, standing: Standing | None, tenants: Accounts) -> str:
    """What has to be approved before the next step, for people; empty for nothing."""
    spec = voucher.spec
    if standing is None:
        declared, own = spec.applicant_class, _own_class(voucher, tenants)
        if program is None or declared is None or declared == own:
            return ""
        terms = terms_by_class(program, declared, own)
        return f'applicant class "{declared}", not "{own}", for term {", ".join(terms)}' if terms else ""
    invoice = spec.invoice
    if standing.decision is None or invoice is None or not is_paid_out(standing) or standing.bills:
        return ""
    paid = f"invoice {invoice.number}, {yuan_text(int(invoice.paid))} CNY paid on {invoice.paid_on}"
    if standing.decision.program.spec.kind is ProgramKind.DEPLOYMENT:
        return f"{spec.units or 0} units in service, {paid}"
    return f"{paid}, for {spec.contract or spec.job}"


def approval(voucher: Voucher, raw: Json, asked: str) -> Condition | None:
    """The condition Approved; None where nobody has to approve anything and nobody did. `asked` is what has to be approved."""
    given = _given(raw)
    if given is None:
        return _waits(asked, "") if asked else None
    if asked and given.generation != voucher.metadata.generation:
        return _waits(asked, f"; the claim was changed since {given.by} decided")
    told = f"{given.by}: {given.reason}" if given.reason else given.by
    about = f"{told}; {asked}" if asked else told
    if given.decision is Verdict.APPROVED:
        return Condition("Approved", True, Reason.APPROVED, about)
    return Condition("Approved", False, Reason.APPROVAL_REFUSED, about)


def may_go_on(approved: Condition | None) -> bool:
    """Whether nobody has to approve anything, or somebody did."""
    return approved is None or approved.status is True


def approver(raw: Json) -> tuple[str, str]:
    """Who approved a claim that may go on, and why, for the books; nobody of one that nobody had to approve."""
    given = _given(raw)
    return (given.by, given.reason or "") if given is not None and given.decision is Verdict.APPROVED else ("", "")


def _waits(asked: str, why: str) -> Condition:
    text = f"{asked}{why}; who may approves it by `suanli voucher approve`"
    return Condition("Approved", False, Reason.WAITS_FOR_APPROVAL, text)


def _given(raw: Json) -> Approval | None:
    """What somebody decided; nothing where it cannot be read."""
    try:
        return Approval.model_validate(mapping(raw.get("status")).get("approval"))
    except ValidationError:
        return None


def _own_class(voucher: Voucher, tenants: Accounts) -> str:
    account = tenants.by_name.get(tenants.of(voucher.metadata.namespace or ""))
    return (account.spec.customer_class if account is not None else None) or ""
