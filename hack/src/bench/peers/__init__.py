"""Solvers of others on the same question: HiGHS, CP-SAT and a min-cost flow, each in a process of its own.

`model` is the question, `ask` asks it; the other modules are the programs that answer, run by a Python of their own
(`requirements-peers.lock`). HiGHS and OR-Tools cannot be loaded into one process: both carry HiGHS. Nothing but numpy, the
standard library and the one solver is imported there.
"""
