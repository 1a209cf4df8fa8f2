"""The relaxation to the tightest resource as a min-cost flow, by OR-Tools, which uses one thread."""

from ortools.graph.python import min_cost_flow

from bench.peers.answer import Answer, serve
from bench.peers.model import Model


def solve(model: Model, _seconds: float) -> Answer:
    """The cheapest flow; it takes no limit of time."""
    question = model.transport(model.tightest())
    flow = min_cost_flow.SimpleMinCostFlow()
    flow.add_arcs_with_capacity_and_unit_cost(question.tail_a, question.head_a, question.capacity_a, question.cost_a)
    flow.set_nodes_supplies(range(len(question.supply_v)), question.supply_v)
    status = flow.solve()
    value = flow.optimal_cost() if status == flow.OPTIMAL else None
    return Answer(status.name.lower(), value=value)


if __name__ == "__main__":
    serve(solve)
