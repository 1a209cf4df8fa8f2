"""`./hack/bench/gap`: generalised assignment as the special case of the model that it is.

An agent is a pool of one node, an item a job of one task whose need differs from pool to pool. Format of the instances
(OR-Library): `m n`, m rows of n costs, m rows of n weights, m capacities; minimise.

The budget is processor time, so that a busy machine changes no value; both times are shown.

With `--peers` HiGHS (whole numbers, 1 thread) and CP-SAT (2 workers) get the same instances, with their own time: of the processor too.
With `--draw` instances are put into the folder that has them not yet; that of the literature or of somebody else stays (`instances.py`).
"""

import argparse
import csv
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.instances import KINDS, Kind, drawn, kind
from bench.peers.answer import Answer
from bench.peers.ask import Asked, NoPeers, add_arguments, installed, model_of
from commandline import number
from suanli.placement.batch import Ints
from suanli.placement.effort import Effort
from suanli.placement.market import Market
from suanli.placement.solve import RESOURCES, solve

PEERS = (("HiGHS MIP", "mip"), ("CP-SAT", "cpsat"))
BEST_KNOWN = "best_known.csv"
LEEWAY_MS = 200  # what comes after the search: packing and the proof
MOST_NUMBERS = 20_000_000
MOST_VALUE = 1 << 40
NEVER = 1 << 40  # work and attempts that no run comes to: the clock decides


@dataclass(frozen=True)
class Line:
    """What one instance came to. `gap_percent` is proven; `above_percent` is against the best value known."""

    instance: str
    agents: int
    items: int
    value: int
    unplaced: int
    bound: int
    gap_percent: float
    best_known: int | None
    above_percent: float | None
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Beside:
    """What a peer made of an instance: the best plan it found, counted again, and what it proved that none is below."""

    peer: str
    status: str
    value: int | None
    bound: float | None
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Compared(Line):
    """An instance with its peers, and whether ours is a whole plan that none of theirs betters."""

    peers: tuple[Beside, ...]
    at_least_as_good: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 measured, 2 a wrong argument, no instance that can be read or no peers to be had."""
    args = _arguments(argv)
    if not args.folder.is_dir():
        print(f"gap: {args.folder} is not a folder; name one with instances", file=sys.stderr)
        return 2
    if args.draw is not None:
        return _drawn(args.folder, args.draw or [kind(text) for text in KINDS.split()], args.seed)
    try:
        return _measured(args, installed(args.peer_seconds) if args.peers else None)
    except NoPeers as error:
        print(f"gap: {error}", file=sys.stderr)
        return 2


def _drawn(folder: Path, kinds: Sequence[Kind], seed: int) -> int:
    for kind_ in kinds:
        path = folder / kind_.name
        if path.exists():
            print(f"{path.name} is there and stays")
        else:
            path.write_text(drawn(kind_, seed), encoding="ascii")
            print(f"{path.name} drawn from {seed}")
    return 0


def _measured(args: argparse.Namespace, peers: Asked | None) -> int:
    known = best_known(args.folder / BEST_KNOWN)
    lines: list[Line] = []
    if args.output == "table":
        print(HEAD)
    for path in sorted(args.folder.rglob("*")):
        if not path.is_file() or path.suffix or path.name == "LICENSE":
            continue
        try:
            market = read(path)
        except ValueError as error:
            print(f"gap: {path.name}: {error}", file=sys.stderr)
            continue
        line = measure(path.name, market, args.seconds, args.seed, known.get(path.name))
        lines.append(compare(line, market, peers) if peers else line)
        if args.output == "table":
            print(_shown(lines[-1]), flush=True)
    if args.output == "json":
        print(
            json.dumps({"seconds": args.seconds, "seed": args.seed, "instances": [asdict(x) for x in lines]}, indent=2)
        )
    elif peers:
        good = sum(line.at_least_as_good for line in lines if isinstance(line, Compared))
        print(f"at least as good as the better of {' and '.join(n for n, _ in PEERS)}: {good} of {len(lines)}")
    if not lines:
        print(f"gap: {args.folder} holds no instance; its files are to be named without a suffix", file=sys.stderr)
        return 2
    return 0


def read(path: Path) -> Market:
    """One instance. Raises: ValueError with what is wrong."""
    if path.stat().st_size > 8 * MOST_NUMBERS:
        raise ValueError(f"it is larger than {8 * MOST_NUMBERS >> 20} MiB")
    words = path.read_text(encoding="ascii", errors="replace").split()
    try:
        numbers = np.array([int(word) for word in words], dtype=np.int64)
    except (ValueError, OverflowError):
        odd = next(word for word in words if not word.lstrip("-").isdigit() or len(word) > 15)
        raise ValueError(f'"{odd[:40]}" is not a whole number') from None
    return market(numbers)


def market(numbers: Ints) -> Market:
    """The numbers of an instance as rows and pools. Raises: ValueError with what is wrong."""
    agents, items = (int(x) for x in numbers[:2]) if len(numbers) >= 2 else (0, 0)
    wanted = 2 + 2 * agents * items + agents
    if agents < 1 or items < 1 or len(numbers) != wanted:
        raise ValueError(f"{agents} agents and {items} items need {wanted} numbers, it has {len(numbers)}")
    if numbers.min() < 0 or numbers.max() > MOST_VALUE:
        raise ValueError(f"numbers are to lie between 0 and {MOST_VALUE}")
    costs, weights = numbers[2 : 2 + 2 * agents * items].reshape(2, agents, items)
    capacity = numbers[-agents:]
    need_rpk = np.zeros((items, agents, RESOURCES), dtype=np.int64)
    need_rpk[:, :, 0], need_rpk[:, :, 3] = weights.T, 1
    return Market(
        cost_rp=costs.T.copy(),
        allowed_rp=capacity >= weights.T,
        wish_rp=np.zeros((items, agents), dtype=np.int64),
        count_r=np.ones(items, dtype=np.int64),
        tasks_r=np.ones(items, dtype=np.int64),
        priority_r=np.zeros(items, dtype=np.int64),
        need_rpk=need_rpk,
        nodes=tuple(((1, (int(room), 0, 0, items)),) for room in capacity),
        queue=np.column_stack([np.arange(items), np.ones(items, dtype=np.int64)]),
    )


def measure(name: str, market: Market, seconds: float, seed: int, known: int | None) -> Line:
    """Solve one instance in so many seconds of processor time: on an idle core they are seconds."""
    began, cpu_began = time.perf_counter(), time.process_time()
    late_ms = NEVER - max(0.0, 1_000 * seconds - LEEWAY_MS)

    def elapsed_ms() -> float:
        return late_ms + 1_000 * (time.process_time() - cpu_began)

    effort = Effort(NEVER, elapsed_ms, patience=NEVER, tolerance=0.0)
    solution = solve(market, np.zeros((len(market.nodes), RESOURCES)), effort, seed)
    took, cpu_took = time.perf_counter() - began, time.process_time() - cpu_began
    value = solution.draft.cost
    bound = value - solution.gap_ppm * solution.draft.amounts // 1_000_000
    return Line(
        instance=name,
        agents=len(market.nodes),
        items=len(market.count_r),
        value=value,
        unplaced=int(market.count_r.sum() - solution.draft.placed_rp.sum()),
        bound=bound,
        gap_percent=solution.gap_ppm / 10_000,
        best_known=known,
        above_percent=round(100 * (value - known) / known, 4) if known else None,
        seconds=round(took, 2),
        cpu_seconds=round(cpu_took, 2),
    )


def compare(line: Line, market: Market, peers: Asked) -> Compared:
    """The same instance given to the peers, who place every item or nothing."""
    model = model_of(market, market.count_r)
    beside = []
    for name, program in PEERS:
        answer = peers.ask(program, model) if market.able_r.all() else Answer("infeasible: an item fits nowhere")
        value = None if answer.value is None else int(answer.value)
        beside.append(
            Beside(name, answer.status, value, answer.bound, round(answer.seconds, 2), round(answer.cpu_seconds, 2))
        )
    good = at_least_as_good(line, beside)
    return Compared(**vars(line), peers=tuple(beside), at_least_as_good=good)


def at_least_as_good(line: Line, beside: Sequence[Beside]) -> bool:
    """Whether ours places every item and no peer found a cheaper way to do so."""
    values = [peer.value for peer in beside if peer.value is not None]
    return not line.unplaced and line.value <= min(values, default=line.value)


def best_known(path: Path) -> dict[str, int]:
    """The best values known by instance, of a table with columns Path and Best known solution value."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    values = ((row.get("Path") or "", row.get("Best known solution value") or "") for row in rows)
    return {Path(place).name: int(value) for place, value in values if place and value.isdigit()}


HEAD = f"{'instance':<12} {'agents':>6} {'items':>6} {'value':>12} {'bound':>12} {'gap %':>8} {'best known':>12} {'above %':>8} {'unplaced':>8} {'s':>6} {'cpu s':>6}"


def _shown(line: Line) -> str:
    known = "-" if line.best_known is None else str(line.best_known)
    above = "-" if line.above_percent is None else f"{line.above_percent:.4f}"
    shown = (
        f"{line.instance:<12} {line.agents:>6} {line.items:>6} {line.value:>12} {line.bound:>12} {line.gap_percent:>8.4f} "
        f"{known:>12} {above:>8} {line.unplaced:>8} {line.seconds:>6.2f} {line.cpu_seconds:>6.2f}"
    )
    if not isinstance(line, Compared):
        return shown
    told = [f"{'':<12} {_told(peer)}" for peer in line.peers]
    verdict = "at least as good as" if line.at_least_as_good else "worse than"
    return "\n".join(
        [shown, *told, f"{'':<12} ours, with {line.cpu_seconds:.2f} s of processor, is {verdict} the better of both"]
    )


def _told(peer: Beside) -> str:
    value = "no value" if peer.value is None else f"value {peer.value}"
    bound = "" if peer.bound is None else f", bound {peer.bound:.1f}"
    return f"{peer.peer}: {value}{bound}, {peer.status} in {peer.seconds:.2f} s, {peer.cpu_seconds:.2f} s of processor"


def _kind(text: str) -> Kind:
    try:
        return kind(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="hack/bench/gap",
        description="Instances of generalised assignment through the production solver: value, proven bound, best known value.",
        epilog="Exit code: 0 measured, 2 a wrong argument, no instance or no peers.",
    )
    parser.add_argument("folder", type=Path, help="folder of instances in the format of the OR-Library")
    parser.add_argument("--seconds", type=number(0.1, 3_600), default=6.0, help="processor time for one instance (6)")
    parser.add_argument("--seed", type=int, default=0, help="decides which costs are shaken, and what is drawn (0)")
    parser.add_argument(
        "--draw",
        type=_kind,
        nargs="*",
        metavar="KIND",
        help="put an instance of each kind (c20x400) into the folder, if it is not there, and end; without a kind, of the twelve that are compared",
    )
    parser.add_argument("--output", choices=("table", "json"), default="table", help="table or json (table)")
    add_arguments(parser)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
