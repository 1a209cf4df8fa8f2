"""Coroutines are tests here too."""

from asynctests import pytest_pyfunc_call

__all__ = ["pytest_pyfunc_call"]
