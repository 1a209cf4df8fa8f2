"""The benchmark of rating: what it rates is whole, and its figures come from one run."""

import json

import pytest

from bench.billing import a_month, a_tariff, main, provider, site
from suanli.billing.pricebook import PriceBook


def test_a_size_is_rated_whole_and_shown_beside_its_floor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--events", "2000", "--events", "4000", "--output", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    first, second = shown["rating"]
    assert (first["events"], second["events"], first["growth"], shown["seed"]) == (2_000, 4_000, None, 1)
    for line in (first, second):
        assert line["lines"] > 100
        assert line["net_micro_yuan"] > 0
        assert line["events_per_second"] > 0
        assert line["times_the_floor"] > 0


def test_a_table_has_a_row_for_each_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--events", "1000"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert len(row) == len(head)
    assert row.split()[0] == "1000"


def test_the_same_seed_makes_the_same_month() -> None:
    book = PriceBook([a_tariff(0)], {site(0): provider(0)})
    assert a_month(500, 3, book) == a_month(500, 3, book)
    assert a_month(500, 3, book) != a_month(500, 4, book)


def test_a_wrong_argument_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--events", "none"])
    assert ended.value.code == 2
    assert "none" in capsys.readouterr().err
