import pytest

from demo.cases import End, special
from demo.country import Country, Room, Rooms
from suanli.api.job import ComputeJob


def test_three_are_impossible_and_valid(country: Country, small: Rooms) -> None:
    cases = special(country, small, 60.0)
    assert [case.end for case in cases].count(End.WAITS) == 3
    for case in cases:
        spec = ComputeJob.model_validate(case.job).spec
        assert bool(country.homes(spec, small)) is (case.end is not End.WAITS), case.name


def test_the_far_origin_is_farther_than_its_tier_from_every_site(country: Country, small: Rooms) -> None:
    far = next(case for case in special(country, small, 60.0) if case.name == "too-far").job["spec"]
    assert min(country.one_way_us(far["origin"], site) for site in country.sites) > 1_000


def test_an_impossible_job_that_some_site_could_take_is_noticed(whole_country: Country) -> None:
    everywhere = {region: f"{region}-x" for region in whole_country.regions}
    site = whole_country.sites["zhongwei-dc1"]
    sites = {
        name: site.model_copy(update={"spec": site.spec.model_copy(update={"region": region})})
        for region, name in everywhere.items()
    }
    crowded = Country(whole_country.regions, whole_country.policy, whole_country.links, sites)
    rooms = {(name, "nvidia-a100-80g"): Room(2, 8) for name in sites} | {
        (name, "cpu-x86"): Room(2, 64) for name in sites
    }
    with pytest.raises(ValueError, match="too-far was meant to have no site"):
        special(crowded, rooms, 60.0)
