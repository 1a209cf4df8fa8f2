"""The resources of suanli.io/v1alpha1: the only place where their fields are known."""

from suanli.api.account import ComputeAccount
from suanli.api.job import ComputeJob
from suanli.api.kind import Resource
from suanli.api.link import ComputeLink
from suanli.api.policy import HubPolicy
from suanli.api.region import ComputeRegion
from suanli.api.site import ComputeSite
from suanli.api.tariff import Tariff

KINDS: tuple[type[Resource], ...] = (
    ComputeRegion,
    HubPolicy,
    ComputeLink,
    ComputeSite,
    ComputeAccount,
    ComputeJob,
    Tariff,
)

__all__ = [
    "KINDS",
    "ComputeAccount",
    "ComputeJob",
    "ComputeLink",
    "ComputeRegion",
    "ComputeSite",
    "HubPolicy",
    "Resource",
    "Tariff",
]
