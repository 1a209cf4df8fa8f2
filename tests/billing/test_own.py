"""The evidence of one party: all that its statement follows from, and nothing of anybody else."""

import re
from dataclasses import replace

import pytest

from months import ACCOUNTS, PROVIDERS, WUHU, random_month
from suanli.api.statement import Role
from suanli.billing.evidence import Dossier, write
from suanli.billing.own import of_party
from suanli.billing.statements import Party

RICH = 27


def told(dossier: Dossier) -> dict[str, str]:
    files: dict[str, list[str]] = {}
    write(dossier, lambda name, text: files.setdefault(name, []).append(text))
    return {name: "".join(pieces) for name, pieces in files.items()}


@pytest.mark.parametrize("seed", [RICH, 3, 8])
def test_a_consumer_finds_nothing_of_another_one(seed: int) -> None:
    month = random_month(seed)
    whole = "".join(told(month).values())
    for account in ACCOUNTS:
        text = "".join(told(of_party(month, Party(Role.CONSUMER, account))).values())
        others = [line for line in (*month.lines, *month.billed) if line.account != account]
        own = [line for line in (*month.lines, *month.billed) if line.account == account]
        names = "|".join(each for each in (*ACCOUNTS, "nobody") if each != account)
        assert re.findall(rf"(?<![-\w])({names})(?!\w)", text) == []
        secrets = {line.job_uid for line in others if line.job_uid} | {line.id for line in others}
        secrets |= {event.pod_uid for event in month.events if event.pod_uid and event.account != account}
        secrets |= {h.claim.voucher for h, _ in month.holdings if h.claim.entity != account}
        secrets |= {h.claim.contract for h, _ in month.holdings if h.claim.entity != account}
        amounts = {str(abs(line.net_micro_yuan)) for line in others} - {str(abs(line.net_micro_yuan)) for line in own}
        secrets |= {f'net_micro_yuan":"{amount}"' for amount in amounts - {"0"}}
        assert [secret for secret in secrets if secret in text] == []
        assert sum(secret in whole for secret in secrets) > len(secrets) // 2, "these were no secrets"


def test_a_provider_finds_nothing_that_its_customers_used_of_another_one() -> None:
    month = random_month(RICH)
    for seller in PROVIDERS.values():
        text = "".join(told(of_party(month, Party(Role.PROVIDER, seller))).values())
        others = [line for line in (*month.lines, *month.billed) if line.provider != seller]
        secrets = {line.id for line in others} | {line.tariff for line in others} | {"cap:", "voucher:hangzhou"}
        secrets |= {event.pod_uid for event in month.events if event.pod_uid and PROVIDERS[event.site] != seller}
        assert [secret for secret in secrets if secret in text] == []
        assert len(re.findall(f'"provider":"{seller}"', text)) > 1


def test_whose_statement_needs_all_is_told() -> None:
    month = random_month(RICH)
    with pytest.raises(ValueError, match="a part of what all others owe"):
        of_party(month, Party(Role.OPERATOR, "operator"))
    with pytest.raises(ValueError, match="has no statement of 2026-11"):
        of_party(month, Party(Role.CONSUMER, "nobody"))


def test_it_can_be_gone_through_again() -> None:
    own = of_party(random_month(RICH), Party(Role.PROVIDER, WUHU))
    assert told(own) == told(own) == told(replace(own))
    assert own.proof
