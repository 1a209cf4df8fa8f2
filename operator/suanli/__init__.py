"""suanli: places, runs and meters compute jobs over a federation of Kubernetes clusters."""

import os

# A plan's matrices are small: more threads cost more than they save, and its sums would depend on how many there are.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
