"""`./hack/crashes`: the operator's process, killed before and after each of its writes to real API servers."""
