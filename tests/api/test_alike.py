"""What the API server takes, the models take, and the other way round: texts between right and wrong."""

from collections.abc import Callable, Mapping, Sequence

import pytest
from pydantic import ValidationError

from manifests import Manifest, a_job, a_link, a_policy, a_region, a_site, a_tariff, changed
from suanli.api import KINDS
from verdicts import Hub

MODELS = {model.kind_info.kind: model for model in KINDS}
EDGES = (
    "",
    " ",
    "0",
    "-",
    ".",
    "1\n",
    " 1",
    "１",
    "٣",
    "1_0",
    "+1",
    "1e3",
    "0x1",
    "inf",
    "NaN",
    "é",
    "a\x00b",
    "%s",
    "'",
    '"',
)
FIELDS: Mapping[str, tuple[Callable[[], Manifest], str, Sequence[str]]] = {
    "name": (a_job, "spec.origin", ("a", "a-", "-a", "a--b", "a.b", "A", "a\n", "ａ", "x" * 63, "x" * 64, "0a", "a_b")),
    "secret": (
        a_site, "spec.connection.kubeconfigSecretRef.name", ("a.b", "a..b", ".a", "a.", "a-.b", "x" * 253, "x" * 254, "a.b-c"),
    ),
    "text": (a_region, "spec.displayName", ("上海", "a\tb", "a\u2028b", "a\x7fb", "👩‍💻", "上" * 256, "上" * 257, "é" * 256)),
    "latitude": (a_region, "spec.latitude", ("90", "-90", "90.000000", "90.000001", "-0", "00012", "1.", ".5", "-.5", "1.0000000")),
    "longitude": (a_region, "spec.longitude", ("180", "-180.000001", "179.999999", "999999999999", "9999999999999")),
    "one-way": (
        a_link, "spec.oneWay",
        ("1us", "0.999us", "0.5us", "10s", "10.001s", "10s0.001us", "9.999s", "1h", "µs", "1µs", "1μs", "1ns", "1ms1ms", "5m", "0ms",
         "1.0001ms", "1.ms", "12345678901us", "999999999us"),
    ),
    "span": (
        a_job, "spec.timing.expectedDuration",
        ("1s", "999ms", "999.999ms", "1000ms", "8760h", "8760h0s", "8760h1us", "999999us", "1000000us", "999999.999us", "8760.001h", "99999h", "1h1h1h", "525600m", "1d", "-1h",
         "0h0m1s", "31536000s", "31536001s"),
    ),
    "bandwidth": (a_link, "spec.bandwidth", ("1M", "999k", "999999", "1000000", "1000P", "1001P", "1Gi", "400Gb", "1E", "0.001G", "0.0001G")),
    "cores": (a_job, "spec.resources.perTask.cpu", ("1m", "0.5m", "0.001", "0.0009", "1M", "1000001", "1000000.001", "999999.999", "1k", "1Mi", "1 ")),
    "memory": (
        a_job, "spec.resources.perTask.memory", ("1Mi", "1048575", "1048576", "1048575.999", "1Pi", "1025Ti", "1024Ti", "2P", "1P", "1.5Gi", "64GiB", "1Ki", "1e9"),
    ),
    "data": (a_job, "spec.data.inputs.0.size", ("1", "0.999", "999m", "1000m", "1001m", "1024Pi", "999999999999999Pi", "9999999999999999")),
    "pue": (a_site, "spec.energy.pue", ("1", "0.999999", "5.000000", "5.000001", "1.0000001", "01.2", "999999.9", "1234567")),
    "share": (a_site, "spec.energy.greenShare", ("0", "1", "0.0", "1.0", "1.000001", "0.999999", "0.0000001", "00.5", ".5")),
    "petaflops": (a_site, "spec.resources.0.petaflops", ("0.000001", "0.0000001", "0.000000", "999999", "1000000")),
    "zone": (
        a_site, "spec.energy.timezone",
        ("UTC", "Asia/Shanghai", "Asia/shanghai", "PRC", "Local", "Etc/GMT+8", "America/Argentina/Buenos_Aires", "Asia", "Asia/", "/Asia",
         "Asia/../UTC", "America/Port-au-Prince", "Mars/Olympus"),
    ),
    "from": (a_site, "spec.energy.priceSchedule.0.from", ("00:00", "23:59", "24:00", "7:00", "07:60", "07:00:00", "07:0０", "06:00")),
    "to": (a_site, "spec.energy.priceSchedule.0.to", ("24:00", "24:01", "00:00", "25:00", "22:00", "2200")),
    "resource": (
        a_site, "spec.resources.0.resourceName",
        ("cpu", "memory", "nvidia.com/gpu", "kubernetes.io/x", "a.kubernetes.io/x", "mykubernetes.io/x", "kubernetes.io", "a/b/c", "a./b",
         "A.com/x", "a.com/-x", "a.com/" + "x" * 63, "a.com/" + "x" * 64, "requests.a.com/x", "a.com/x.y_z-1"),
    ),
    "label": (a_policy, "spec.placementRules.1.siteSelector.matchLabels.owner", ("a", "A.b_c-1", "-a", "a-", "x" * 63, "x" * 64)),
    "price-of-an-item": (
        a_tariff, "spec.items.0.price", ("0", "000000", "999999.999999", "1000000", "1.", ".1", "-0", "0.0000001", "5,5", "1.123456"),
    ),
    "fee": (a_tariff, "spec.packages.0.fee", ("0", "999999999.999999", "1000000000", "1.0000001", "-1")),
    "currency": (a_tariff, "spec.currency", ("CNY", "cny", "CN", "CNYX")),
    "band": (a_tariff, "spec.schedules.1.bands.0.to", ("24:00", "23:59", "00:00", "24:01")),
    "weight": (a_policy, "spec.placementRules.0.weight", ("1", "01", "9999999999", "10000000000", "1.0")),
    "amount": (a_job, "spec.limits.maxCost", ("00", "999999999999999", "1000000000000000", "1.5")),
    "day": (
        a_policy, "spec.targets.0.by",
        ("2024-02-29", "2023-02-29", "2000-02-29", "1900-02-29", "2025-04-31", "2025-12-31", "2025-12-32", "2025-00-10", "2025-10-00",
         "0999-01-01", "3000-01-01", "2025-1-01", "20250101", "2025-W01-1", "２025-01-01"),
    ),
    "time": (
        a_job, "spec.timing.deadline",
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00z", "2026-01-31t08:00:00Z", "2026-01-31 08:00:00Z", "2026-01-31T24:00:00Z",
         "2026-01-31T23:59:60Z", "2026-02-29T00:00:00Z", "2026-01-31T08:00Z", "2026-01-31T08:00:00.1Z", "2026-01-31T08:00:00.123456Z",
         "2026-01-31T08:00:00.1234567Z", "2026-01-31T08:00:00,5Z", "2026-01-31T08:00:00x5Z", "2026-01-31T08:00:00+14:59",
         "2026-01-31T08:00:00+15:00", "2026-01-31T08:00:00+08", "2026-01-31", "20260131T080000Z", "2026-01-31T08:60:00Z"),
    ),
    "folder": (a_job, "spec.template.workingDir", ("/", "/a", "a", "/proc/self/fd/8", "/a/../proc", "//dev", "/./sys", "/processes")),
    "path": (
        a_job, "spec.template.scratch.mountPath",
        ("/", "/a", "a", "/a/../b", "/..", "/../a", "/...", "/a..", "/proc", "/proc/x", "/processes", "/sys", "/dev/shm", "/a/dev", "/a b", "//", "//proc", "/./proc", "/a/./b", "/a/.", "/a/", "/a/.b"),
    ),
    "image": (a_job, "spec.template.image", ("a", "a:1", "A/b@sha256:0", "-a", "a b", "a\n", "x" * 512, "x" * 513)),
    "variable": (
        a_job, "spec.template.env.0.name",
        ("A", "_", "1A", "A-B", "A.B", "Ａ", "x" * 128, "x" * 129, "NVIDIA_VISIBLE_DEVICES",
         "CUDA_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES", "X9_VISIBLE_DEVICES", "_VISIBLE_DEVICES", "ASCEND_RUNTIME_MOUNTS"),
    ),
}  # fmt: skip


def texts(field: str) -> list[str]:
    return list(dict.fromkeys([*FIELDS[field][2], *EDGES]))


def manifest(field: str, number: int) -> Manifest:
    build, path, _ = FIELDS[field]
    return changed(changed(build(), path, texts(field)[number]), "metadata.name", f"{field}-{number}")


def is_taken_offline(made: Manifest) -> bool:
    try:
        MODELS[made["kind"]].model_validate(made)
    except ValidationError:
        return False
    return True


@pytest.fixture(scope="module")
def answers(hub: Hub) -> dict[str, str]:
    return hub.verdicts([manifest(field, i) for field in FIELDS for i in range(len(texts(field)))])


@pytest.mark.parametrize("field", FIELDS)
def test_both_sides_decide_alike(answers: dict[str, str], field: str) -> None:
    differ = []
    for number, text in enumerate(texts(field)):
        offline, online = is_taken_offline(manifest(field, number)), not answers[f"{field}-{number}"]
        if offline != online:
            differ.append(f"{text!r} is taken by the {'model' if offline else 'API server'} alone")
    assert differ == []
    taken = [text for number, text in enumerate(texts(field)) if not answers[f"{field}-{number}"]]
    assert 1 <= len(taken) < len(texts(field))
    # A text that does not even look right is told so, and never that a rule about its value could not be computed.
    assert [
        a for n, a in answers.items() if n.startswith(f"{field}-") and "evaluating rule" in a and field != "zone"
    ] == []
