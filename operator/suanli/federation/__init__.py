"""Member clusters: credentials, connections, manifests, membership."""
