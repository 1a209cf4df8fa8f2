"""`./hack/faults`: seeded runs of a whole federation under faults, in virtual time."""
