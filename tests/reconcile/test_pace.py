from suanli.reconcile.pace import Pace


def test_no_more_leave_a_site_in_any_minute_than_are_allowed() -> None:
    pace = Pace(of_site=2, of_all=100)
    assert [pace.take("east", 0.0), pace.take("east", 30.0)] == [0, 0]
    assert pace.take("east", 40.0) == 20.0, "the first leaves the minute at 60"
    assert pace.take("west", 40.0) == 0
    assert [pace.take("east", 60.0), pace.take("east", 60.0)] == [0, 30.0]


def test_no_more_leave_all_sites_than_are_allowed() -> None:
    pace = Pace(of_site=100, of_all=3)
    assert [pace.take(site, 0.0) for site in ("east", "west", "north", "south")] == [0, 0, 0, 60.0]
    assert pace.take("south", 60.0) == 0


def test_who_is_refused_takes_nothing() -> None:
    pace = Pace(of_site=1, of_all=1)
    pace.take("east", 0.0)
    assert {pace.take("east", float(s)) for s in range(1, 60)} == {float(60 - s) for s in range(1, 60)}
    assert pace.take("west", 60.0) == 0
