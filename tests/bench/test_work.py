import json
from typing import Any

import pytest

from bench.dispatch import work
from bench.dispatch.ground import SITES
from bench.dispatch.work import Made, Pair
from demo.country import Country, load
from demo.jobs import EXAMPLE
from suanli.api.job import ComputeJob
from suanli.base.names import LABEL_FAILOVER, LABEL_JOB_UID

HUB_ID = "11111111-2222-3333-4444-555555555555"
UID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
STATUS: dict[str, Any] = {
    "state": "Starting",
    "assignment": {"site": "zhongwei-dc1", "epoch": 1, "class": "cpu-x86", "time": "2026-01-01T00:00:00Z"},
    "conditions": [{"type": "Placed", "status": "True", "message": "für 中卫"}],
    "failover": "AtMostOnce",
}


@pytest.fixture(scope="module")
def country() -> Country:
    return load(EXAMPLE).only(SITES)


def a_pair(country: Country, site: str = "yrd-demo-dc1") -> Pair:
    spec = work.manifest("bench-queue", 7)["spec"]
    return work.pair(Made(UID, "bench-queue", "work-00007", "42", spec), STATUS, country.sites[site], HUB_ID)


def test_every_job_is_valid_and_fits_every_site(country: Country) -> None:
    kinds = set()
    for index in range(40):
        job = ComputeJob.model_validate(work.manifest("bench-queue", index))
        assert all(country.permits(job.spec, site) for site in SITES)
        kinds.add((job.spec.category, job.spec.origin))
    assert len(kinds) == len(work.CATEGORIES) * len(work.ORIGINS)


def test_jobs_differ_in_name_and_environment_and_not_in_size() -> None:
    texts = [json.dumps(work.manifest("bench-queue", index)) for index in (0, 20, 1980)]
    assert len(set(texts)) == 3
    assert len({len(text) for text in texts}) == 1


def test_the_patch_commits_the_assignment_against_the_version_that_was_read(country: Country) -> None:
    pair = a_pair(country)
    patch = json.loads(pair.patch)
    assert patch["metadata"] == {"resourceVersion": "42", "uid": UID}
    assert patch["status"] == {**STATUS, "assignment": {**STATUS["assignment"], "site": "yrd-demo-dc1"}}
    assert pair.patch_path == "/apis/suanli.io/v1alpha1/namespaces/bench-queue/computejobs/work-00007/status"


def test_the_job_is_the_one_the_operator_renders(country: Country) -> None:
    pair = a_pair(country)
    job = json.loads(pair.create)
    assert job["metadata"]["name"] == f"j-{UID}-1"
    assert job["metadata"]["labels"][LABEL_JOB_UID] == UID
    assert job["metadata"]["labels"][LABEL_FAILOVER] == "AtMostOnce"
    assert pair.create_path == f"/apis/batch/v1/namespaces/{job['metadata']['namespace']}/jobs"
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["sleep", f"{work.RUN_S}s"]
    assert pair.site == "yrd-demo-dc1"


def test_sizes_are_the_bytes_on_the_wire(country: Country) -> None:
    pair = a_pair(country)
    sizes = work.sizes(pair)
    assert (sizes.status_patch, sizes.job_create) == (len(pair.patch), len(pair.create))
    assert "für 中卫".encode() in pair.patch
    assert b": " not in pair.create
