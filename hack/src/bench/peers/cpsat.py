"""The cheapest plan of single jobs by CP-SAT, with two workers."""

import numpy as np
from ortools.sat.python import cp_model

from bench.peers.answer import Answer, serve
from bench.peers.model import Model

WORKERS = 2


def solve(model: Model, seconds: float) -> Answer:
    """The cheapest plan; every row is one job."""
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
    solver.parameters.max_time_in_seconds = seconds
    status = solver.solve(program)
    said = solver.status_name(status).lower()
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Answer(said)
    taken = tuple(n for n, x in enumerate(x_n) if solver.boolean_value(x))
    return Answer(said, value=solver.objective_value, bound=solver.best_objective_bound, taken=taken)


if __name__ == "__main__":
    serve(solve)
