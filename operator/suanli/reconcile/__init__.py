"""The loops: the only place that decides when something happens."""
