"""The demo: the example country on real control planes, with jobs of a real trace."""
