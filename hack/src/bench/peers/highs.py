"""HiGHS on one thread: `bench.peers.lp` asks for fractions of jobs, `bench.peers.mip` for whole ones."""

import time

import highspy
import numpy as np

from bench.peers.answer import Answer
from bench.peers.model import Model

BIGGEST_COST = 1_000.0  # HiGHS's tolerances are absolute: costs in micro-yuan are brought near one


def solve(model: Model, seconds: float, *, whole: bool) -> Answer:
    """The cheapest plan, of fractions or whole jobs; `seconds` of processor time."""
    late = time.process_time() + seconds

    def stop(event: highspy.highs.HighsCallbackEvent) -> None:
        if time.process_time() > late:
            event.interrupt()

    scale = 1.0 if whole else max(1.0, float(np.abs(model.cost_n).max(initial=0)) / BIGGEST_COST)
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    for option, value in (("threads", 1), ("parallel", "off"), ("mip_rel_gap", 0.0)):
        highs.setOptionValue(option, value)
    for callback in (highs.cbSimplexInterrupt, highs.cbMipInterrupt):
        callback.subscribe(stop)
    highs.passModel(_program(model, scale, whole=whole))
    highs.run()
    info, status = highs.getInfo(), highs.getModelStatus()
    bound = info.mip_dual_bound if whole and np.isfinite(info.mip_dual_bound) else None
    interrupted = status == highspy.HighsModelStatus.kInterrupt
    said = "time limit reached" if interrupted else highs.modelStatusToString(status).lower()
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return Answer(said, bound=bound)
    value = info.objective_function_value * scale
    if not whole:
        return Answer(said, value=value) if status == highspy.HighsModelStatus.kOptimal else Answer(said)
    x_n = np.round(highs.getSolution().col_value).astype(np.int64)
    return Answer(said, value=value, bound=bound, taken=tuple(np.repeat(np.arange(len(x_n)), x_n).tolist()))


def _program(model: Model, scale: float, *, whole: bool) -> highspy.HighsLp:
    start, index, value = model.matrix()
    columns, capacity = len(model.cost_n), model.capacity_pk.reshape(-1)
    program = highspy.HighsLp()
    program.num_col_, program.num_row_ = columns, len(model.count_r) + len(capacity)
    program.col_cost_ = model.cost_n / scale
    program.col_lower_, program.col_upper_ = np.zeros(columns), model.count_r[model.row_n].astype(float)
    program.row_lower_ = np.concatenate([model.count_r, np.full(len(capacity), -highspy.kHighsInf)])
    program.row_upper_ = np.concatenate([model.count_r, capacity]).astype(float)
    program.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    program.a_matrix_.start_, program.a_matrix_.index_, program.a_matrix_.value_ = start, index, value.astype(float)
    if whole:
        program.integrality_ = [highspy.HighsVarType.kInteger] * columns
    return program
