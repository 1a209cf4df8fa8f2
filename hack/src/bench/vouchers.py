"""`./hack/bench/vouchers`: claimants and redeemers who race for one pool, and whether anybody got more than there was."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from threading import Barrier

from commandline import whole
from suanli.api.voucher import VoucherProgram
from suanli.base.names import API_VERSION
from suanli.billing.event import UsageKind
from suanli.billing.ledger import Outcome
from suanli.billing.line import RatedLine
from suanli.billing.posting import cap_account, grant_hold, pool_account, redeemed, voucher_accounts
from suanli.billing.vouchers import Claim, Given, Holding, Part, Rejected, cap_micro_yuan, grant
from suanli.ledgerstore.ledger import SqliteLedger

NOW_MS = 1_793_491_200_000  # 2026-11-01 in Shanghai
ENTITIES = ("bureau", "lab", "startup")
PROVIDER = "wuhu-compute"
BUSY_MS = 60_000
MOST = 1_000_000


@dataclass
class Result:
    """What became of all claims, and what was overspent. Units: micro-yuan."""

    rounds: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    overspent: list[str] = field(default_factory=list)
    granted: int = 0
    paid: int = 0


def race(folder: Path, *, rounds: int, redeemers: int, seed: int) -> Result:
    """Rounds of one programme each; every redeemer is a thread with a connection of its own to one SQLite file.

    Half of them go by what they read a moment ago, half by nothing: only the ledger stands between those and the limit.
    """
    path, result = folder / "ledger.sqlite", Result()
    with SqliteLedger(path) as ledger, ThreadPoolExecutor(redeemers) as pool:
        for number in range(rounds):
            dice = Random(f"{seed} {number}")  # noqa: S311 - chance, not secrecy
            program = _program(dice, f"p{number}")
            together = Barrier(redeemers)
            seeds = [dice.randrange(1 << 32) for _ in range(redeemers)]
            told = pool.map(
                lambda i, program=program, together=together, seeds=seeds: _one(path, program, i, seeds[i], together),
                range(redeemers),
            )
            result.outcomes.update(told)
            _judge(ledger, program, result)
            result.rounds += 1
    return result


def _program(dice: Random, name: str) -> VoucherProgram:
    spec = {
        "displayName": name,
        "issuer": "bureau",
        "flow": "DeductAtCheckout",
        "terms": [{"name": "all", "ratePermille": 500}],
        "from": "2026-01-01",
        "capPerEntityYear": str(dice.randint(10, 3_000)),
        "poolPerYear": str(dice.randint(10, 6_000)),
    }
    return VoucherProgram.model_validate(
        {"apiVersion": API_VERSION, "kind": "VoucherProgram", "metadata": {"name": name}, "spec": spec}
    )


def _one(path: Path, program: VoucherProgram, index: int, seed: int, together: Barrier) -> str:
    """One claim and its redemption, from the very same moment on as all others."""
    dice = Random(seed)  # noqa: S311 - chance, not secrecy
    entity = dice.choice(ENTITIES)
    claim = Claim(
        f"{program.metadata.name}-{index}", entity, frozenset({entity}), "", f"c-{index}", PROVIDER,
        dice.randint(2, 2_000), 30, NOW_MS,
    )  # fmt: skip
    with SqliteLedger(path, busy_ms=BUSY_MS) as ledger:
        together.wait()
        found = grant(program, claim, _given(ledger, program, entity) if index % 2 else Given())
        if isinstance(found, Rejected):
            return found.reason
        holding = Holding(claim, found, found.amount_micro_yuan)
        ledger.open(voucher_accounts(program, holding, [PROVIDER]))
        hold = grant_hold(program, holding)
        (outcome,) = ledger.commit([hold])
        if outcome is not Outcome.CREATED:
            return outcome
        amount = dice.randint(1, found.amount_micro_yuan)
        line = _line(claim, amount)
        outcomes = ledger.commit(
            redeemed(program, holding, hold, "b", [(Part(line.id, 500, amount), line)], NOW_MS + 1)
        )
        return "redeemed" if set(outcomes) == {Outcome.CREATED} else f"not redeemed: {outcomes}"


def _given(ledger: SqliteLedger, program: VoucherProgram, entity: str) -> Given:
    cap, pool = cap_account(program, entity, "", 2026), pool_account(program, 2026)
    return Given(-ledger.balance(cap.name).least_micro_yuan, ledger.balance(pool.name).most_micro_yuan)


def _line(claim: Claim, amount: int) -> RatedLine:
    return RatedLine(
        id=claim.voucher, period="2026-11", account=claim.entity, namespace="n", job="j", job_uid="u", site="s", provider=PROVIDER,
        tariff="t", item="i", band="", bracket=0, qos="Normal", customer_class="", kind=UsageKind.CARD_TIME, class_="a",
        precision="", quantity=1, price_micro_yuan=1, list_micro_yuan=2 * amount, discount_micro_yuan=0,
        net_micro_yuan=2 * amount, commission_permille=0, tax_permille=0, events=1,
    )  # fmt: skip


def _judge(ledger: SqliteLedger, program: VoucherProgram, result: Result) -> None:
    """Whether pool and caps held, and what was paid is what was taken."""
    pool = ledger.balance(pool_account(program, 2026).name)
    limit = int(program.spec.pool_per_year or "0")
    result.granted += pool.most_micro_yuan
    result.paid += pool.posted_micro_yuan
    if pool.most_micro_yuan > limit:
        result.overspent.append(f"{program.metadata.name}: {pool.most_micro_yuan} of the pool's {limit} micro-yuan")
    used = 0
    for entity in ENTITIES:
        cap, most = ledger.balance(cap_account(program, entity, "", 2026).name), cap_micro_yuan(program, "") or 0
        used -= cap.least_micro_yuan
        if -cap.least_micro_yuan > most:
            result.overspent.append(
                f"{program.metadata.name}: {entity} has {-cap.least_micro_yuan} of its {most} micro-yuan"
            )
    if used != pool.most_micro_yuan:
        result.overspent.append(f"{program.metadata.name}: entities have {used}, the pool gave {pool.most_micro_yuan}")
    paid = -ledger.balance(f"subsidy:bureau:{PROVIDER}").posted_micro_yuan
    if paid != result.paid:
        result.overspent.append(f"{program.metadata.name}: {paid} were paid, {result.paid} taken from vouchers")


def main(argv: Sequence[str] | None = None) -> int:
    """Race; 0 nobody got too much, 1 somebody did, 2 wrong arguments."""
    parser = argparse.ArgumentParser(prog="hack/bench/vouchers", description=__doc__)
    parser.add_argument("--rounds", type=whole(1, MOST), default=1_000)
    parser.add_argument("--redeemers", type=whole(1, 256), default=16)
    parser.add_argument("--seed", type=whole(0, MOST), default=0)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    args = parser.parse_args(argv)
    begin = time.monotonic()
    with TemporaryDirectory(prefix="suanli-vouchers-") as folder:
        found = race(Path(folder), rounds=args.rounds, redeemers=args.redeemers, seed=args.seed)
    figures = {
        "rounds": found.rounds,
        "redeemers": args.redeemers,
        "outcomes": dict(sorted(found.outcomes.items())),
        "granted_micro_yuan": str(found.granted),
        "paid_micro_yuan": str(found.paid),
        "overspent": found.overspent,
        "seconds": round(time.monotonic() - begin, 1),
    }
    if args.output == "json":
        print(json.dumps(figures, indent=2))
    else:
        outcomes = ", ".join(f"{count} {name}" for name, count in found.outcomes.most_common())
        print(f"{found.rounds} rounds of {args.redeemers} redeemers in {figures['seconds']} s: {outcomes}")
        print(*found.overspent, f"{len(found.overspent)} overspent", sep="\n")
    return 1 if found.overspent else 0


if __name__ == "__main__":
    sys.exit(main())
