"""Turns what ran into exact usage. Pure."""
