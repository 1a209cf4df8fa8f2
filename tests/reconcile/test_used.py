"""What ran in a period: account by account it comes to the same as all at once."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from bench.billing import CLASSES, PROVIDERS, a_tariff, customers, provider, site
from builders import an_agreement
from suanli.base.units import MS_PER_HOUR
from suanli.billing.event import UsageEvent
from suanli.billing.facts import Facts
from suanli.billing.owned import Unbilled
from suanli.billing.period import month
from suanli.billing.rating import rate
from suanli.billing.usage import PodUsage
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.used import Used

MARCH = month("2026-03", "Asia/Shanghai")


@pytest.mark.parametrize("seed", range(3))
def test_accounts_one_by_one_come_to_the_same_as_all_at_once(tmp_path: Path, seed: int) -> None:
    random = Random(seed)
    facts = Facts(tuple(map(a_tariff, range(PROVIDERS))), {c.account: c for c in customers() if random.random() < 0.1})
    with UsageStore(tmp_path / "usage.sqlite3") as store:
        for job in range(40):
            number, kind = random.randrange(PROVIDERS), random.choice(CLASSES)
            for epoch in (1, 2):
                fields = {
                    "account": f"account-{random.randrange(30)}",
                    "site": site(number),
                    "provider": provider(number),
                    "class_": kind.class_,
                    "precision": kind.precision,
                    "unit": str(kind.unit),
                    "made_ms": MARCH.start_ms,
                }
                if random.random() < 0.9:
                    store.agree([an_agreement(f"u{job}", epoch, **fields)])
                start = MARCH.start_ms + random.randrange(30 * 24 * MS_PER_HOUR)
                end = start + random.randrange(60 * MS_PER_HOUR)
                store.record(
                    [PodUsage(f"p{job}-{epoch}", f"u{job}", epoch, site(number), "x", start, end, 2_000, 1 << 30, 4)]
                )
            if random.random() < 0.2:
                store.give_up(f"u{job}", [random.choice([1, 2])])
        used = Used(store, MARCH, store.count(), "hub")
        facts = replace(facts, providers=used.whose([])[0])
        seen: list[UsageEvent] = []
        unbilled: list[Unbilled] = []

        def look(events: list[UsageEvent], not_billed: list[Unbilled]) -> None:
            seen.extend(events)
            unbilled.extend(not_billed)

        found = used.rated(facts, look)
        assert found == rate(random.sample(seen, len(seen)), facts.book(), facts.customers, MARCH)
        assert len(found.lines) > 50
        assert Counter(each.why.split()[0] for each in unbilled).keys() == {"no", "the"}  # never sent, and given up
