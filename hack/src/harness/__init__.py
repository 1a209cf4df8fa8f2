"""A whole federation for tests, demo and benchmarks: hub installed from the chart, sites joined, operator as a process."""

from harness.federation import Federation, Site
from harness.observer import Observer
from harness.operator import OperatorProcess
from harness.pods import Amount
from harness.shell import CommandError, Kubectl, wait_for
from harness.tenant import Tenant

__all__ = [
    "Amount",
    "CommandError",
    "Federation",
    "Kubectl",
    "Observer",
    "OperatorProcess",
    "Site",
    "Tenant",
    "wait_for",
]
