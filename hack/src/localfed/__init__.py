"""Real control planes on one machine: a hub and its members, for tests, demos and benchmarks."""

from localfed.choice import provider_from_env
from localfed.errors import LocalfedError, Unsupported
from localfed.existing import KubeconfigProvider
from localfed.process import ProcessProvider
from localfed.provider import Cluster, Provider
from localfed.spec import ClusterSpec, NodeShape

__all__ = [
    "Cluster",
    "ClusterSpec",
    "KubeconfigProvider",
    "LocalfedError",
    "NodeShape",
    "ProcessProvider",
    "Provider",
    "Unsupported",
    "provider_from_env",
]
