from suanli.placement.effort import WORK_PER_MS, Effort


def test_a_part_is_spent_by_itself_and_from_the_whole() -> None:
    whole = Effort(100)
    part = whole.part(0.25)
    part.spend(25 * WORK_PER_MS)
    assert part.is_spent
    assert not whole.is_spent
    whole.spend(75 * WORK_PER_MS)
    assert whole.is_spent


def test_a_part_ends_by_the_clock_at_its_share_of_the_time_left() -> None:
    now_ms = [20.0]
    part = Effort(100, lambda: now_ms[0]).part(0.5)
    now_ms[0] = 59.0
    assert not part.is_spent
    now_ms[0] = 60.0
    assert part.is_spent


def test_it_affords_what_is_left_of_work_and_of_time() -> None:
    assert Effort(10).affords(10 * WORK_PER_MS)
    assert not Effort(10).affords(10 * WORK_PER_MS + 1)
    assert not Effort(10, lambda: 6.0).affords(5 * WORK_PER_MS)
