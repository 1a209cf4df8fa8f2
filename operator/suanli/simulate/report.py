"""The result as one page of HTML that needs nothing else: charts, and every figure of them as a table."""

from collections.abc import Iterator, Sequence
from html import escape

from suanli.base.clock import time_text
from suanli.base.money import yuan_text
from suanli.placement.kpis import evidence
from suanli.simulate.outcome import Budgets, Outcome
from suanli.simulate.plots import Chart, bars, network, queue_times, short_time, use_by_site
from suanli.simulate.policies import SUANLI
from suanli.simulate.result import Result, Savings

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { border-bottom: 1px solid #bbb; padding: .25rem .7rem .25rem 0; text-align: right; vertical-align: top; }
th:first-child, td:first-child, td.text, th.text { text-align: left; }
svg { width: 100%; height: auto; } figure { margin: 1rem 0; } figcaption { color: #444; font-size: .9rem; }
.note { border-left: 4px solid #1a1a1a; padding-left: .8rem; }
"""


def charts(result: Result) -> tuple[Chart, ...]:
    """All pictures; the first policy's where a picture shows one."""
    first, asked = result.outcomes[0], result.asked
    return (
        network(first.flows, first.policy),
        use_by_site(first.use, asked.begin_ms, result.end_ms, first.policy),
        queue_times(result.outcomes),
        *_money_charts(result.outcomes),
    )


def html(result: Result) -> str:
    """The page."""
    pictures = {chart.name: chart for chart in charts(result)}
    body = "\n".join(_body(result, pictures))
    title = f"Simulation of {escape(result.asked.scenario)}"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n'
    )


def _body(result: Result, pictures: dict[str, Chart]) -> Iterator[str]:
    asked, first = result.asked, result.outcomes[0]
    yield f"<h1>Simulation of {escape(asked.scenario)}</h1>"
    if result.partial:
        yield '<p class="note"><strong>Partial result.</strong> The run ended before the last job did; all figures are of the time until then.</p>'
    yield (
        f"<p>{asked.rows:,} jobs on {asked.sites} sites from {time_text(asked.begin_ms)} to {time_text(result.end_ms)} (UTC), a cycle every "
        f"{short_time(asked.cycle_ms / 1_000)} at most, seed {asked.seed}. All policies saw the same jobs, the same filters and the same capacity."
    )
    if asked.bad_rows:
        yield f" {asked.bad_rows:,} rows of the trace could not be used."
    if asked.left_out:
        yield f" {asked.left_out:,} rows were left out because no site could ever run them, such as: {escape(asked.left_out_example)}."
    yield "</p>"
    yield from (f'<p class="note">{escape(warning)}</p>' for warning in asked.warnings)
    yield "<h2>In short</h2>"
    yield _summary(result.outcomes)
    yield "<h2>Flows between hubs</h2>"
    yield _figure(pictures["network"])
    yield _flows(first)
    yield "<h2>Use of the sites</h2>"
    yield _figure(pictures["use"])
    if any(o.lost.attempts for o in result.outcomes):
        yield "<h2>Outages</h2>"
        yield _lost(result.outcomes)
    yield "<h2>Queue time</h2>"
    yield _figure(pictures["queue"])
    yield _queues(result.outcomes)
    yield "<h2>Cost and carbon</h2>"
    yield from (_figure(pictures[name]) for name in ("counted", "paid", "carbon"))
    yield _costs(result.outcomes)
    if any(o.budgets for o in result.outcomes):
        yield "<h2>Budgets</h2>"
        yield _budgets(result.outcomes)
    if result.savings is not None:
        yield "<h2>Putting off</h2>"
        yield f"<p>{escape(saved_text(result.outcomes, result.savings))}.</p>"
        yield _putting_off(result.outcomes)
    yield "<h2>Figures of the policy</h2>"
    yield from (_kpis(outcome) for outcome in result.outcomes)
    yield "<h2>Metering</h2>"
    yield _metering(first)


def _money_charts(outcomes: Sequence[Outcome]) -> Iterator[Chart]:
    least = outcomes[0].money.counted_micro_yuan

    def counted(outcome: Outcome) -> str:
        micro = outcome.money.counted_micro_yuan
        more = "" if outcome is outcomes[0] or least <= 0 else f" ({(micro - least) / least:+.1%})"
        return f"{_yuan(micro)} CNY{more}"

    yield bars(
        "counted",
        "What placement makes small, CNY",
        "Run, energy, transfer, carbon at the policy's price, less what the policy prefers and more what it avoids. Dark: the first policy.",
        [(o.policy, o.money.counted_micro_yuan / 1e6, counted(o)) for o in outcomes],
    )
    yield bars(
        "paid",
        "What is paid, CNY",
        "Run, energy and transfer.",
        [(o.policy, o.money.paid_micro_yuan / 1e6, f"{_yuan(o.money.paid_micro_yuan)} CNY") for o in outcomes],
    )
    yield bars(
        "carbon",
        "Carbon, tonnes of CO2",
        "Location-based: energy that is not green, by the factor of the grid.",
        [(o.policy, o.carbon_kg / 1_000, f"{o.carbon_kg / 1_000:,.2f} t") for o in outcomes],
    )


def _figure(chart: Chart) -> str:
    return f"<figure>{chart.svg}<figcaption>{escape(chart.title)}. {escape(chart.text)}</figcaption></figure>"


def _summary(outcomes: Sequence[Outcome]) -> str:
    rows = [
        (
            o.policy + (" (partial)" if o.partial else ""),
            f"{o.jobs.placed:,}",
            f"{o.jobs.waiting:,}",
            short_time(o.queue[-1].p99_s),
            _yuan(o.money.counted_micro_yuan),
            _yuan(o.money.paid_micro_yuan),
            f"{o.carbon_kg / 1_000:,.2f}",
            o.east_to_west,
            _gap(o),
        )
        for o in outcomes
    ]
    head = (
        "Policy",
        "Jobs placed",
        "Waiting",
        "Queue time p99",
        "Counted, CNY",
        "Paid, CNY",
        "Carbon, t",
        "East to west",
        "Proven gap, mean and worst",
    )
    return _table("All policies on the same trace", head, rows)


def _gap(outcome: Outcome) -> str:
    if outcome.gap_mean_ppm is None or outcome.gap_worst_ppm is None:
        return "not proven"
    return f"{outcome.gap_mean_ppm / 10_000:.4f} % and {outcome.gap_worst_ppm / 10_000:.4f} %"


def _flows(outcome: Outcome) -> str:
    rows = [
        (
            f.source,
            f.target,
            f"{f.source_side} to {f.target_side}",
            f"{f.jobs:,}",
            f"{f.card_hours:,.1f}",
            f"{f.core_hours:,.1f}",
            f"{f.moved_gib:,.0f}",
        )
        for f in sorted(outcome.flows, key=lambda f: -(f.card_hours + f.core_hours))
    ]
    head = ("Origin", "Ran in", "Sides", "Jobs", "Card-hours", "Core-hours", "Moved, GiB")
    return _table(f"Flows ({outcome.policy})", head, rows)


def _lost(outcomes: Sequence[Outcome]) -> str:
    rows = [
        (o.policy, f"{o.lost.attempts:,}", f"{o.lost.card_hours:,.1f}", f"{o.lost.core_hours:,.1f}") for o in outcomes
    ]
    head = ("Policy", "Attempts", "Card-hours", "Core-hours")
    return _table("Lost with sites that were out of reach; counted in all other figures too", head, rows)


def _queues(outcomes: Sequence[Outcome]) -> str:
    rows = [
        (
            q.tier,
            o.policy,
            f"{q.jobs:,}",
            f"{q.waiting:,}",
            *(short_time(s) for s in (q.p50_s, q.p95_s, q.p99_s, q.longest_s)),
        )
        for tier in [q.tier for q in outcomes[0].queue]
        for o in outcomes
        for q in o.queue
        if q.tier == tier
    ]
    head = ("Tier", "Policy", "Started", "Waiting", "p50", "p95", "p99", "Longest")
    return _table("From arrival to start, moving of inputs included", head, rows)


def _costs(outcomes: Sequence[Outcome]) -> str:
    rows = [
        (
            o.policy,
            *(
                _yuan(micro)
                for micro in (
                    o.money.run_micro_yuan,
                    o.money.energy_micro_yuan,
                    o.money.transfer_micro_yuan,
                    o.money.paid_micro_yuan,
                    o.money.carbon_micro_yuan,
                    o.money.policy_micro_yuan,
                    o.money.counted_micro_yuan,
                )
            ),
            f"{o.energy_kwh:,.0f}",
            f"{o.moved_gib:,.0f}",
        )
        for o in outcomes
    ]
    head = ("Policy", "Run", "Energy", "Transfer", "Paid", "Carbon", "Policy", "Counted", "kWh", "Moved, GiB")
    return _table("Cost by line, CNY; carbon and policy are counted and not paid", head, rows)


def saved_text(outcomes: Sequence[Outcome], saved: Savings) -> str:
    """What suanli saves by putting jobs off, as a sentence without its stop."""
    put_off = next(o.putting_off for o in outcomes if o.policy == SUANLI)
    return (
        f"{put_off.were:,} of {put_off.may:,} jobs that may wait were put off, {short_time(put_off.waited_mean_s)} in the mean; against all at once "
        f"this saves {_yuan(saved.energy_micro_yuan)} CNY of electricity, {_yuan(saved.paid_micro_yuan)} CNY of what is paid{_percent(saved.paid_share)}, "
        f"{_yuan(saved.counted_micro_yuan)} CNY of what is counted{_percent(saved.counted_share)}, and {saved.carbon_kg:,.1f} kg of CO2"
        f"{_percent(saved.carbon_share)}"
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f" ({share:.2%})"


def _putting_off(outcomes: Sequence[Outcome]) -> str:
    rows = [
        (o.policy, f"{p.may:,}", f"{p.were:,}", short_time(p.waited_mean_s) if p.were else "", f"{p.late:,}")
        for o, p in ((o, o.putting_off) for o in outcomes)
    ]
    head = ("Policy", "May wait", "Put off", "Waited in the mean", "Placed too late, for want of room")
    return _table("Jobs that may be put off", head, rows)


def budgets_text(outcome: Outcome, budgets: Budgets) -> str:
    """How many of a policy's jobs waited for money, as a sentence without its stop."""
    return f"{outcome.policy}: {budgets.waited:,} jobs had to wait for their accounts' money, {budgets.waiting:,} wait for it at the end"


def _budgets(outcomes: Sequence[Outcome]) -> str:
    told = [(o, o.budgets) for o in outcomes if o.budgets]
    rows = [
        (
            o.policy,
            one.account,
            one.period or "paid in",
            *map(_yuan, (one.amount_micro_yuan, one.spent_micro_yuan, one.held_micro_yuan)),
        )
        for o, budgets in told
        for one in budgets.limits
    ]
    head = ("Policy", "Account", "Period", "May be spent", "Spent", "Held for running jobs")
    title = "; ".join(budgets_text(o, budgets) for o, budgets in told)
    return _table(f"Budgets and prepayments, CNY. {title}", head, rows)


def _kpis(outcome: Outcome) -> str:
    rows = [(k.name, k.value or "unknown", evidence(k), k.target or "none", k.met or "") for k in outcome.kpis]
    head = ("Figure", "Value", "Made from", "Target", "Met")
    return _table(f"Computed from what ran and what the sites have ({outcome.policy})", head, rows)


def _metering(outcome: Outcome) -> str:
    rows = [
        (
            m.site,
            m.side,
            m.class_,
            f"{m.units:,} {m.unit.lower()}s",
            f"{m.jobs:,}",
            f"{m.unit_hours:,.2f} {m.unit.lower()}-hours",
            f"{m.use:.1%}",
        )
        for m in outcome.metered
    ]
    rows.append(
        (
            "all",
            "",
            "",
            "",
            f"{outcome.jobs.placed:,}",
            f"{outcome.card_hours:,.2f} card-hours, {outcome.core_hours:,.2f} core-hours",
            "",
        )
    )
    head = ("Site", "Side", "Class", "Units", "Jobs", "Ran", "Held")
    return _table(f"What ran where ({outcome.policy})", head, rows)


def _yuan(micro_yuan: int) -> str:
    whole, fen = yuan_text(micro_yuan).split(".")
    return f"{int(whole):,}.{fen}" if abs(micro_yuan) < 1_000_000_000 else f"{int(whole):,}"


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
