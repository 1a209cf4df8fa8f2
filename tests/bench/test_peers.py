"""The question that other solvers get, against whole plans and corners of the program that are listed one by one."""

import itertools
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from bench import gap, placement
from bench.peers.answer import Answer
from bench.peers.ask import NoPeers, Peers, model_of
from bench.peers.model import Model
from markets import a_market
from suanli.placement.effort import Effort
from suanli.placement.market import Market
from suanli.placement.prices import ascend, proven_bound
from suanli.placement.solve import RESOURCES, place, solve

# One job of two cards and one of three, pools of four and nine: the first is full when the other pool gets the small job, and the
# cheapest plan in fractions splits that one.
SPLIT = a_market([[0, 4], [0, 9]], cards=[2, 3], room=[4, 9], count=[1, 1])
SPLIT_MODEL = model_of(SPLIT, SPLIT.count_r)


def plans(model: Model) -> list[np.typing.NDArray[np.int64]]:
    """All whole plans by column."""
    ranges = [range(int(model.count_r[row]) + 1) for row in model.row_n]
    return [x for x in map(np.array, itertools.product(*ranges)) if keeps(model, x)]


def keeps(model: Model, x_n: np.typing.NDArray[np.int64]) -> bool:
    load_c, rows = constraints(model) @ x_n, len(model.count_r)
    return bool((load_c[:rows] == model.count_r).all() and (load_c[rows:] <= model.capacity_pk.reshape(-1)).all())


def constraints(model: Model) -> np.typing.NDArray[np.int64]:
    start, index, value = model.matrix()
    dense = np.zeros((len(model.count_r) + model.capacity_pk.size, len(model.cost_n)), dtype=np.int64)
    for column, (begin, end) in enumerate(itertools.pairwise(start)):
        dense[index[begin:end], column] = value[begin:end]
    return dense


def cheapest_fractions(model: Model) -> float:
    """The least cost of all corners of the program."""
    rows, room = len(model.count_r), model.capacity_pk.size
    slack = np.vstack([np.zeros((rows, room)), np.eye(room)])
    equations = np.hstack([constraints(model), slack])
    right, cost = np.concatenate([model.count_r, model.capacity_pk.reshape(-1)]), np.append(model.cost_n, [0] * room)
    found = []
    for basis in itertools.combinations(range(equations.shape[1]), rows + room):
        square = equations[:, basis]
        if abs(np.linalg.det(square)) > 1e-9:
            x = np.linalg.solve(square, right)
            if (x > -1e-9).all():
                found.append(float(cost[list(basis)] @ x))
    return min(found)


def cheapest_flow(model: Model) -> int:
    """What the tightest resource alone makes a plan cost."""
    question = model.transport(model.tightest())
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from((v, {"demand": -s}) for v, s in enumerate(question.supply_v.tolist()))
    arcs = (question.tail_a, question.head_a, question.capacity_a, question.cost_a)
    for tail, head, capacity, cost in zip(*(side.tolist() for side in arcs), strict=True):
        graph.add_edge(tail, head, capacity=capacity, weight=cost)
    return int(nx.min_cost_flow_cost(graph))


def random_market(seed: int) -> Market:
    """Three rows of one or two jobs, two pools that are just large enough."""
    rng = np.random.default_rng(seed)
    cards, count = rng.integers(2, 4, 3), rng.integers(1, 3, 3)
    room = int(cards @ count) // 2 + 2
    costs = rng.integers(-20, 100, (3, 2)).tolist()
    return a_market(costs, cards=cards.tolist(), room=[room, room], count=count.tolist())


def test_a_plan_in_fractions_splits_a_job() -> None:
    assert cheapest_fractions(SPLIT_MODEL) == pytest.approx(2.0)
    assert cheapest_flow(SPLIT_MODEL) == 2
    assert min(int(SPLIT_MODEL.cost_n @ x) for x in plans(SPLIT_MODEL)) == 4


@pytest.mark.parametrize("seed", range(25))
def test_whole_plans_are_those_of_the_market_and_relaxations_bound_them(seed: int) -> None:
    market = random_market(seed)
    solution = solve(market, np.zeros((2, RESOURCES)), Effort(10))
    assert (solution.draft.placed_rp.sum(axis=1) == market.count_r).all()
    model = model_of(market, market.count_r)
    assert min(int(model.cost_n @ x) for x in plans(model)) == solution.draft.cost
    fractions = cheapest_fractions(model)
    assert cheapest_flow(model) <= fractions + 1e-6
    assert fractions <= solution.draft.cost + 1e-6
    prices = ascend(market, market.count_r, np.full(3, 1e6), np.zeros((2, RESOURCES))).price_pk
    assert proven_bound(market, market.count_r, prices) <= fractions + 1.0  # it is rounded up, since costs are whole


def test_only_what_can_run_short_is_asked_in_units_of_what_jobs_take() -> None:
    market = a_market([[0, 4], [0, 9]], cards=[4, 8], room=[11, 80], count=[1, 1])
    model = model_of(market, market.count_r)
    assert model.resource_k.tolist() == [2]
    assert model.demand_nk[:, 0].tolist() == [1, 1, 2, 2]
    assert model.capacity_pk[:, 0].tolist() == [2, 20]
    assert model_of(market, np.array([0, 1])).row_n.tolist() == [1, 1]


def test_tasks_of_a_gang_and_needs_that_differ_count() -> None:
    market = gap_market("1 2  3 4  2 5  6")
    model = model_of(market, market.count_r)
    assert (model.demand_nk[:, 0].tolist(), model.capacity_pk.tolist()) == ([2, 5], [[6]])
    two_tasks = a_market([[1]], cards=[3], room=[5], count=[1])
    gang = replace(two_tasks, tasks_r=np.array([2]))
    assert model_of(gang, gang.count_r).cost_n.tolist() == [1]
    with pytest.raises(ValueError, match="more than it has"):
        model_of(gang, gang.count_r).cost([0])


def test_a_plan_is_counted_or_refused() -> None:
    small_in_second, large_in_first = 1, 2
    assert SPLIT_MODEL.cost([small_in_second, large_in_first]) == 4
    for taken, wrong in (([1], "left out"), ([0, 1, 2], "left out or has two"), ([0, 2], "more than it has")):
        with pytest.raises(ValueError, match=wrong):
            SPLIT_MODEL.cost(taken)


def test_a_flow_is_refused_where_needs_differ_or_nothing_is_scarce() -> None:
    market = gap_market("2 1  3 4  2 3  2 2")
    wide = Market(
        **{f.name: getattr(market, f.name) for f in fields(Market)} | {"allowed_rp": np.array([[True, True]])}
    )
    model = model_of(wide, wide.count_r)
    with pytest.raises(ValueError, match="not the same in every pool"):
        model.transport(model.tightest())
    ample = a_market([[1]], cards=[1], room=[9], count=[1])
    with pytest.raises(ValueError, match="no resource can run short"):
        model_of(ample, ample.count_r).tightest()


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    SPLIT_MODEL.save(tmp_path / "model.npz")
    read = Model.load(tmp_path / "model.npz")
    for field in fields(Model):
        assert (getattr(read, field.name) == getattr(SPLIT_MODEL, field.name)).all()


def test_a_program_that_breaks_down_is_named() -> None:
    with pytest.raises(NoPeers, match=r"bench\.peers\.nobody ended with 1: .*No module named"):
        Peers(sys.executable, 1.0).ask("nobody", SPLIT_MODEL)


class Listing:
    """Answers small questions by listing, those of flow by networkx."""

    def ask(self, program: str, model: Model) -> Answer:
        if program in ("lp", "flow"):
            return Answer("optimal", 0.5, 0.25, cheapest_flow(model))
        best = min(plans(model), key=lambda x: int(model.cost_n @ x), default=None)
        if best is None:
            return Answer("infeasible", 0.5)
        return Answer("optimal", 0.5, 0.25, int(model.cost_n @ best), taken=tuple(np.flatnonzero(best).tolist()))


def gap_market(text: str) -> Market:
    return gap.market(np.array(text.split(), dtype=np.int64))


def test_placement_is_compared_with_relaxations_of_its_own_market() -> None:
    drawn = (200, 5, 20, 0.9, 3, placement.CARDS)
    compared = placement.compare(placement.measure(*drawn), *drawn, Listing())
    assert [peer.peer for peer in compared.peers] == ["HiGHS LP", "min-cost flow"]
    for peer in compared.peers:
        assert peer.value is not None
        assert peer.value_ratio is not None
        assert 1 <= peer.value_ratio < 1.1
        assert peer.value_ratio == pytest.approx(compared.cost / peer.value, abs=1e-6)
        assert peer.time_ratio == pytest.approx(compared.solve_cpu_seconds / 0.25, abs=0.02)
    waiting, sites, country = placement.ground(*drawn)
    plan = place(waiting, sites, country, placement.NOW_MS)
    assert compared.cost == sum(int(d.placement.cost.total) for d in plan.decisions.values() if d.placement.cost)
    assert placement._shown(compared).count("\n") == 3


@pytest.mark.parametrize(
    ("text", "values", "good"),
    [
        ("2 3  1 9 2  9 2 9  5 5 5  5 5 5  10 5", [5, 5], True),
        ("2 3  1 9 2  9 2 9  5 5 5  5 5 5  5 5", [None, None], False),
        ("1 2  1 1  2 9  8", [None, None], False),
    ],
)
def test_an_instance_is_compared_with_whole_plans(text: str, values: list[int | None], good: bool) -> None:
    market = gap_market(text)
    compared = gap.compare(gap.measure("small", market, 0.3, 0, None), market, Listing())
    assert [peer.value for peer in compared.peers] == values
    assert compared.at_least_as_good is good
    assert ("worse than" in gap._shown(compared)) is not good


def test_who_finds_a_cheaper_plan_is_better() -> None:
    line = gap.measure("small", gap_market("1 1  7  2  2"), 0.1, 0, None)
    theirs = [gap.Beside("HiGHS MIP", "time limit reached", value, None, 1.0, 1.0) for value in (8, 7, 6)]
    assert gap.at_least_as_good(line, theirs[:2])
    assert not gap.at_least_as_good(line, theirs)


@pytest.mark.parametrize("main", [placement.main, gap.main])
def test_a_time_that_is_none_is_refused(main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--peers", "--peer-seconds", "0"])
    assert "'0' is not a number from 0.1 to 3600" in capsys.readouterr().err
