import numpy as np
import pytest

from suanli.placement.rounding import rounded

ONE = np.ones((3, 1, 1))


def test_a_cycle_of_fractions_is_emptied() -> None:
    jobs = np.array([[1.5, 2.5], [2.5, 1.5]])
    whole = rounded(jobs, ONE[:2], np.zeros((2, 1)))
    assert whole.sum(axis=1).tolist() == [4, 4]
    assert whole.sum(axis=0).tolist() == [4, 4]
    assert np.count_nonzero(whole) == 2


def test_what_is_left_over_goes_where_there_is_more_room() -> None:
    jobs = np.array([[0.5, 0.5]])
    assert rounded(jobs, ONE[:1], np.array([[0.0], [0.5]])).tolist() == [[0, 1]]
    assert rounded(jobs, ONE[:1], np.array([[0.5], [0.0]])).tolist() == [[1, 0]]


def test_small_jobs_even_out_what_large_ones_leave() -> None:
    jobs = np.array([[0.5, 0.5], [2.5, 2.5]])
    whole = rounded(jobs, np.array([[[4.0]], [[1.0]]]), np.zeros((2, 1)))
    large = int(whole[0].argmax())
    assert whole[1, large] < whole[1, 1 - large]


def test_to_wait_has_room_without_end() -> None:
    jobs = np.array([[0.5, 0.5]])
    assert rounded(jobs, ONE[:1], np.array([[10.0]])).tolist() == [[0, 1]]


def test_fractions_that_are_next_to_nothing_are_given_to_the_others() -> None:
    jobs = np.array([[2.9995, 0.0005]])
    assert rounded(jobs, ONE[:1], np.zeros((2, 1))).tolist() == [[3, 0]]


@pytest.mark.parametrize("seed", range(40))
def test_rows_keep_their_sums_and_pools_of_equal_jobs_are_off_by_less_than_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, pools = int(rng.integers(1, 12)), int(rng.integers(1, 9))
    count = rng.integers(0, 20, rows)
    jobs = rng.dirichlet(np.full(pools, rng.choice([0.05, 0.5, 5.0])), rows) * count[:, None]
    some = np.where(jobs >= 1e-3, jobs, 0.0)
    some *= (count / np.maximum(some.sum(axis=1), 1e-3))[:, None]
    whole = rounded(jobs, np.ones((rows, 1, 2)), np.zeros((pools, 2)))
    assert (whole >= 0).all()
    assert whole.sum(axis=1).tolist() == count.tolist()
    assert (np.abs(whole.sum(axis=0) - some.sum(axis=0)) < 1.0 + 1e-6).all()
    assert (whole[some == 0] == 0).all()
    assert np.count_nonzero(whole) <= rows + 2 * pools


@pytest.mark.parametrize("seed", range(20))
def test_rows_of_many_sizes_keep_their_sums(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = rng.integers(0, 9, 8)
    jobs = rng.dirichlet(np.full(5, 0.3), 8) * count[:, None]
    sizes = rng.choice([1.0, 2.0, 5.0], (8, 5 if seed % 2 else 1, 2))
    whole = rounded(jobs, sizes, rng.uniform(0, 3, (5, 2)))
    assert whole.sum(axis=1).tolist() == count.tolist()
    assert (whole >= 0).all()
