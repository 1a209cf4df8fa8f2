"""A whole federation for tests, demo and benchmarks: hub installed from the chart, sites joined, operator as a process."""

from harness.federation import Federation, Site
from harness.operator import OperatorProcess
from harness.shell import CommandError, Kubectl, wait_for

__all__ = ["CommandError", "Federation", "Kubectl", "OperatorProcess", "Site", "wait_for"]
