"""The federation that serves all points: a hub, and an eastern and a western member of a few nodes."""

from typing import Any

import yaml

from harness import Federation, Site
from localfed import NodeShape
from suanli.base.names import API_VERSION

CORES = NodeShape(count=2, cpu="16", memory="64Gi", labels={"pool": "x86"}, name_prefix="x86")
PLACES = {"shanghai": ("31.23", "121.47"), "zhongwei": ("37.51", "105.19")}
# Short times, so that little is waited for; a finished job's objects go at once, so that all writes come.
SETTINGS = {
    "SUANLI_PROBE_S": "1",
    "SUANLI_UNREACHABLE_AFTER_S": "6",
    "SUANLI_DEAD_AFTER_S": "15",
    "SUANLI_RETRY_BACKOFF_S": "1",
    "SUANLI_SITE_STATUS_S": "1",
    "SUANLI_LEASE_S": "10",
    "SUANLI_RETAIN_FINISHED_S": "0",
}


def site(name: str, region: str, price: str) -> Site:
    """A member that offers cores at a price."""
    cores = {
        "class": "cpu-x86",
        "type": "General",
        "resourceName": "cpu",
        "unit": "Core",
        "listPrice": price,
        "nodeLabels": CORES.labels,
    }
    return Site(name, (CORES,), {"region": region, "standardRacks": 5000, "resources": [cores]})


SITES = (site("east", "shanghai", "0.08"), site("west", "zhongwei", "0.04"))


def prepare(federation: Federation) -> None:
    """Chart, regions and members."""
    federation.install_chart()
    federation.hub.apply(yaml.safe_dump_all(_region(name, *place) for name, place in PLACES.items()))
    for name in federation.sites:
        federation.join(name)


def _region(name: str, latitude: str, longitude: str) -> dict[str, Any]:
    spec = {"displayName": name, "latitude": latitude, "longitude": longitude, "province": name}
    return {"apiVersion": API_VERSION, "kind": "ComputeRegion", "metadata": {"name": name}, "spec": spec}
