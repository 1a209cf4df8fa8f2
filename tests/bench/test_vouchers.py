from pathlib import Path

import pytest

from bench import vouchers
from suanli.api.voucher import VoucherProgram
from suanli.billing.ledger import LedgerAccount


def test_no_pool_and_no_cap_is_overspent_by_sixteen_redeemers(tmp_path: Path) -> None:
    found = vouchers.race(tmp_path, rounds=5, redeemers=16, seed=1)
    assert found.overspent == []
    assert sum(found.outcomes.values()) == 5 * 16
    assert found.outcomes["redeemed"] > 0
    assert found.outcomes["exceeds-limit"] > 0, "nobody raced past a limit, so nothing was shown"
    assert 0 < found.paid <= found.granted


def test_a_pool_without_a_limit_in_the_ledger_is_found_overspent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unlimited(program: VoucherProgram, year: int) -> LedgerAccount:
        return LedgerAccount(f"voucher:{program.metadata.name}:{year}")

    monkeypatch.setattr("suanli.billing.posting.pool_account", unlimited)
    found = vouchers.race(tmp_path, rounds=5, redeemers=16, seed=1)
    assert any("of the pool's" in each for each in found.overspent)


def test_the_command_prints_what_became_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert vouchers.main(["--rounds", "1", "--redeemers", "4"]) == 0
    assert "1 rounds of 4 redeemers" in capsys.readouterr().out
