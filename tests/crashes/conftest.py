"""Tests here that are coroutines run in a loop of their own."""

from asynctests import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
