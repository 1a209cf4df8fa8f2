"""Re-checks every decision of a plan, written from the descriptions of the resources and the design, not from placement.

It shares no code with `suanli.placement` or `suanli.base.units`: it reads the wire by itself, finds its own paths, reckons
money in fractions and packs tasks by its own search. What both read are the models of the resources and the plan.
"""

from checker.best import Best, best_plan
from checker.figures import ratios
from checker.judge import Judge
from checker.room import fit_together
from checker.verdict import idle_room, violations

__all__ = ["Best", "Judge", "best_plan", "fit_together", "idle_room", "ratios", "violations"]
