"""The resources of suanli.io/v1alpha1: the only place where their fields are known."""

from suanli.api.account import ComputeAccount
from suanli.api.job import ComputeJob
from suanli.api.kind import Resource
from suanli.api.link import ComputeLink
from suanli.api.policy import HubPolicy
from suanli.api.region import ComputeRegion
from suanli.api.site import ComputeSite
from suanli.api.statement import Statement
from suanli.api.tariff import Tariff
from suanli.api.voucher import Voucher, VoucherProgram

PLACEMENT_KINDS: tuple[type[Resource], ...] = (
    ComputeRegion,
    HubPolicy,
    ComputeLink,
    ComputeSite,
    ComputeAccount,
    Tariff,
    ComputeJob,
)
MONEY_KINDS: tuple[type[Resource], ...] = (VoucherProgram, Voucher, Statement)
KINDS = (*PLACEMENT_KINDS, *MONEY_KINDS)

__all__ = [
    "KINDS",
    "MONEY_KINDS",
    "PLACEMENT_KINDS",
    "ComputeAccount",
    "ComputeJob",
    "ComputeLink",
    "ComputeRegion",
    "ComputeSite",
    "HubPolicy",
    "Resource",
    "Statement",
    "Tariff",
    "Voucher",
    "VoucherProgram",
]
