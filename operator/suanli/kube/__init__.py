"""Talks to Kubernetes API servers in raw JSON; the only importer of the kubernetes client."""
