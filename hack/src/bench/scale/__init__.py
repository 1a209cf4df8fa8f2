"""`hack/bench/scale`: what the operator takes of memory and processor time for a whole country.

Hub and members are simulated: API servers in memory, in another process than the operator's, which is the real one. Their nodes are
as large on the wire as those of a real cluster with an accelerator, and are made when they are asked for. Every node's status is
renewed every five minutes, as kubelets do. Jobs are there already, in the states of a long life: they run, have ended, or wait.
"""
