"""What ran as facts, from which `placement.kpis` makes the policy's figures."""

from collections import Counter

import numpy as np

from suanli.placement.kpis import MILLI, Facts, Units, Work, held_milli
from suanli.simulate.engine import Ran
from suanli.simulate.land import Land
from suanli.simulate.workload import Workload


def facts_of(land: Land, workload: Workload, ran: Ran) -> Facts:
    """What the jobs ran until now, and what they held of each pool in the mean over the whole time.

    A job whose inputs are still under way counts as work of no time, as it does on a hub.
    """
    attempts = ran.attempts
    count = max(1, len(land.pools))
    pairs, number = np.unique(workload.type_n[attempts.job_a] * count + attempts.pool_a, return_inverse=True)
    ran_ms, held_ms = np.zeros((2, len(pairs)), dtype=np.int64)
    np.add.at(ran_ms, number.reshape(-1), attempts.run_ms_a)
    np.add.at(held_ms, number.reshape(-1), attempts.held_ms_a(workload.begin_ms))
    work, held = Counter[tuple[str, str, str, str]](), Counter[int]()
    for pair, ran_one, held_one in zip(pairs.tolist(), ran_ms.tolist(), held_ms.tolist(), strict=True):
        t, p = divmod(pair, count)
        type_, resource = workload.types[t], land.pools[p].resource
        milli = held_milli(type_.job.spec, resource)
        work[type_.origin, type_.tier, land.site_name(p), resource.class_] += milli * ran_one
        held[p] += milli * held_one
    span_ms = max(1, ran.now_ms - workload.begin_ms)
    units = tuple(
        Units(land.site(p), pool.resource, (pool.resource.declared_units or 0) * MILLI, held[p] // span_ms)
        for p, pool in enumerate(land.pools)
    )
    sites = {view.site.metadata.name: view.site for view in land.sites}
    return Facts(land.country, sites, units, tuple(Work(*key, milli_ms) for key, milli_ms in work.items()))
