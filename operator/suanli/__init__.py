"""suanli: places, runs and meters compute jobs over a federation of Kubernetes clusters."""

__version__ = "0.1.0"
