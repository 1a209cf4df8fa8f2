"""Decides where every waiting job runs. Pure: no I/O, no clock, no randomness, no logging."""
