"""Recomputes every bill, voucher and statement of an evidence package, with the standard library alone.

It shares no code with suanli (`hack/check` looks at its imports): it is written from operator/suanli/billing/README.md.
"""
