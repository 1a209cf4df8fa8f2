"""The cheapest plan of single jobs by CP-SAT, with two workers."""

import threading
import time

import numpy as np
from ortools.sat.python import cp_model

from bench.peers.answer import Answer, serve
from bench.peers.model import Model

WORKERS = 2
LOOK_S = 0.1  # how often the clock is looked at


def solve(model: Model, seconds: float) -> Answer:
    """The cheapest plan; every row is one job. Each worker has `seconds` of processor time."""
    late = time.process_time() + WORKERS * seconds
    program = cp_model.CpModel()
    x_n = [program.new_bool_var("") for _ in model.cost_n]
    for row in range(len(model.count_r)):
        program.add_exactly_one(x_n[n] for n in np.flatnonzero(model.row_n == row))
    for pool, capacity_k in enumerate(model.capacity_pk.tolist()):
        columns = np.flatnonzero(model.pool_n == pool)
        for k, capacity in enumerate(capacity_k):
            demand = model.demand_nk[columns, k].tolist()
            program.add(cp_model.LinearExpr.weighted_sum([x_n[n] for n in columns], demand) <= capacity)
    program.minimize(cp_model.LinearExpr.weighted_sum(x_n, model.cost_n.tolist()))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = WORKERS
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(LOOK_S):
            if time.process_time() > late:
                solver.stop_search()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    status = solver.solve(program)
    ended.set()
    watcher.join()
    said = solver.status_name(status).lower()
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Answer(said)
    taken = tuple(n for n, x in enumerate(x_n) if solver.boolean_value(x))
    return Answer(said, value=solver.objective_value, bound=solver.best_objective_bound, taken=taken)


if __name__ == "__main__":
    serve(solve)
