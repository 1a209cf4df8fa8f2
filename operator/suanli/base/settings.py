"""The operator's settings, read once from SUANLI_* variables."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from suanli.base.clock import is_zone

PREFIX = "SUANLI_"


def networks(text: str) -> tuple[str, ...]:
    """The networks of a list such as "10.8.0.0/16,2001:db8::/32". Raises: ValueError."""
    return tuple(str(ip_network(part.strip())) for part in text.split(",")) if text.strip() else ()


def _list_of_networks(text: str) -> str:
    networks(text)
    return text


def _zone(text: str) -> str:
    if not is_zone(text):
        raise ValueError('it is no time zone of the IANA data base, such as "Asia/Shanghai" or "UTC"')
    return text


class Settings(BaseModel):
    """Every knob of the operator with its default; a variable is SUANLI_ and the field's name in capitals."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: Annotated[
        str, Field(max_length=63, description="Namespace of the operator: its Lease and the sites' Secrets.")
    ] = "suanli-system"
    identity: Annotated[
        str, Field(max_length=253, description="This replica's name in the Lease; empty: the host's name.")
    ] = ""
    kubeconfig: Annotated[str, Field(description="Kubeconfig of the hub; empty: the pod's service account.")] = ""
    data_dir: Annotated[str, Field(min_length=1, description="Folder of the usage ledger.")] = "/var/lib/suanli"
    http_host: Annotated[str, Field(description="Address of probes and metrics.")] = "0.0.0.0"  # noqa: S104 - a pod's probes come from outside
    http_port: Annotated[int, Field(ge=0, le=65_535, description="Port of probes and metrics; 0 takes a free one.")] = (
        8080
    )
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least severe log line.")] = (
        "INFO"
    )
    log_format: Annotated[str, Field(pattern="^(json|text)$", description="json or text.")] = "json"
    allow_loopback_members: Annotated[
        str,
        Field(pattern="^(Allow|Refuse)$", description="Allow members on this machine's loopback, for tests and demos."),
    ] = "Refuse"
    hub_concurrency: Annotated[int, Field(ge=1, le=512, description="Requests to the hub at a time.")] = 32
    member_concurrency: Annotated[int, Field(ge=1, le=512, description="Requests to one member at a time.")] = 32
    workers: Annotated[int, Field(ge=1, le=1_024, description="Jobs taken forward at a time.")] = 32
    cycle_ms: Annotated[
        int, Field(ge=10, le=60_000, description="Least time between the starts of two placement cycles.")
    ] = 200
    cycle_jobs: Annotated[
        int,
        Field(
            ge=1_000,
            le=1_000_000,
            description="Jobs that one placement cycle asks at most; accounts share them equally.",
        ),
    ] = 10_000
    full_compare_s: Annotated[
        int, Field(ge=5, le=86_400, description="Time between two full comparisons of mirror, hub and members.")
    ] = 300
    probe_s: Annotated[int, Field(ge=1, le=600, description="Time between two looks at whether a member answers.")] = 5
    unreachable_after_s: Annotated[
        int, Field(ge=1, le=3_600, description="Silence after which a member counts as unreachable.")
    ] = 15
    report_pending_s: Annotated[
        int, Field(ge=1, le=3_600, description="Pods pending for so long are reported on the job.")
    ] = 60
    gang_timeout_s: Annotated[
        int, Field(ge=5, le=86_400, description="Time for all tasks to start; then the attempt is taken back.")
    ] = 600
    image_timeout_s: Annotated[
        int, Field(ge=1, le=86_400, description="Time for an image that cannot be pulled; then the attempt fails.")
    ] = 120
    retry_backoff_s: Annotated[
        int,
        Field(
            ge=0,
            le=3_600,
            description="A site is not tried again for a job for so long after an attempt there ended badly.",
        ),
    ] = 30
    retry_backoff_most_s: Annotated[
        int,
        Field(
            ge=0,
            le=86_400,
            description="A job that failed more than once waits before the next attempt, from the third on twice as long "
            "each time; so long at most.",
        ),
    ] = 600
    image_retries: Annotated[
        int,
        Field(
            ge=0,
            le=1_000,
            description="New attempts of one job whose image could not be pulled, within limits.retries.",
        ),
    ] = 3
    site_retries: Annotated[
        int,
        Field(
            ge=0,
            le=1_000,
            description="New attempts of one job after sites did not start it (GangTimeout, ClassNotOffered).",
        ),
    ] = 10
    preempted_retries: Annotated[
        int, Field(ge=0, le=1_000, description="New attempts of one job after members evicted it (Disrupted).")
    ] = 50
    retain_finished_s: Annotated[
        int, Field(ge=0, le=2_592_000, description="A finished job's objects stay on the member for so long.")
    ] = 3_600
    explain_s: Annotated[
        int, Field(ge=1, le=3_600, description="Least time between two updates of why a job waits.")
    ] = 20
    site_status_s: Annotated[
        int, Field(ge=1, le=3_600, description="Least time between two updates of a site's figures.")
    ] = 5
    sweep_percent: Annotated[
        int,
        Field(
            ge=0,
            le=100,
            description="Jobs on a member that the hub does not know are removed, but not if they are more than this share of "
            "all the hub's Jobs there; then a person is asked.",
        ),
    ] = 30
    sweep_least: Annotated[int, Field(ge=0, le=1_000_000, description="So few are removed whatever their share.")] = 20
    dead_after_s: Annotated[
        int,
        Field(ge=15, le=604_800, description="Silence after which AtLeastOnce jobs of a site are started elsewhere."),
    ] = 300
    failovers_per_minute: Annotated[
        int,
        Field(ge=1, le=100_000, description="Most attempts that leave silent and draining sites in a minute, in sum."),
    ] = 120
    site_failovers_per_minute: Annotated[
        int, Field(ge=1, le=100_000, description="Most attempts that leave one silent or draining site in a minute.")
    ] = 60
    fence_lease_s: Annotated[
        int,
        Field(ge=60, le=604_800, description="A member's fence stops AtMostOnce work when not renewed for so long."),
    ] = 900
    fence_renew_s: Annotated[
        int, Field(ge=1, le=20, description="Time between two renewals of a member's fence: one small write each.")
    ] = 10
    fence_margin_s: Annotated[
        int,
        Field(
            ge=60,
            le=3_600,
            description="From the end of a fence's lease until what it stops has certainly stopped: 30 s of clocks that "
            "differ, 30 s of pods' grace, the rest for the fence, its API server and the nodes.",
        ),
    ] = 120
    kpi_s: Annotated[
        int, Field(ge=1, le=86_400, description="Least time between two computations of the policy's figures.")
    ] = 60
    tenant_network: Annotated[
        str,
        Field(
            pattern="^(Isolated|Tenant|Open)$",
            description="What tasks may reach on a member. Isolated: nothing. Tenant: the tenant's other tasks there, DNS, and "
            "what SUANLI_TENANT_EGRESS names. Open: everything.",
        ),
    ] = "Tenant"
    tenant_egress: Annotated[
        str,
        AfterValidator(_list_of_networks),
        Field(
            max_length=4_096,
            description='Networks outside that tasks may reach, such as "10.8.0.0/16,203.0.113.7/32"; empty: none.',
        ),
    ] = ""
    tenant_pods: Annotated[
        int, Field(ge=1, le=150_000, description="Most pods of one tenant on one member at a time.")
    ] = 50_000
    tenant_mend_s: Annotated[
        int,
        Field(
            ge=1,
            le=3_600,
            description="Time between two looks at the tenants' namespaces on the members; what somebody changed is put right.",
        ),
    ] = 60
    ledger: Annotated[
        str,
        Field(
            max_length=1_024,
            description="The money ledger: a file, or a postgresql:// address; empty: ledger.sqlite3 in the data folder.",
        ),
    ] = ""
    bill_s: Annotated[int, Field(ge=1, le=86_400, description="Time between two looks at what is to be billed.")] = 60
    bill_timezone: Annotated[
        str,
        AfterValidator(_zone),
        Field(min_length=1, max_length=64, description="IANA time zone in which months of bills begin."),
    ] = "Asia/Shanghai"
    close_after_s: Annotated[
        int,
        Field(
            ge=0,
            le=31_622_400,
            description="A month is closed so long after its end; use that is heard of later is billed with the next one.",
        ),
    ] = 259_200
    usage_mark_s: Annotated[
        int,
        Field(
            ge=3_600,
            le=2_678_400,
            multiple_of=3_600,
            description="What pods that run on used is recorded whenever so many seconds of UTC are full, so that a month can be "
            "closed before they end. Whole hours; shorter than SUANLI_CLOSE_AFTER_S.",
        ),
    ] = 86_400
    lease_s: Annotated[
        int, Field(ge=3, le=300, description="A leader that has not renewed its Lease for so long is replaced.")
    ] = 15


def load(environment: Mapping[str, str]) -> Settings:
    """The settings of an environment.

    Raises: ValueError with one sentence that names the variable, its value and what is allowed.
    """
    values = {k.removeprefix(PREFIX).lower(): v for k, v in environment.items() if k.startswith(PREFIX)}
    unknown = sorted(set(values) - set(Settings.model_fields) - {"cache", "python", "clusters"})
    if unknown:
        raise ValueError(f"{PREFIX}{unknown[0].upper()} is not a setting; see docs/operations.md for the list")
    try:
        return Settings.model_validate({k: v for k, v in values.items() if k in Settings.model_fields})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        value = str(first["input"])[:120]
        text = f'{PREFIX}{name.upper()}="{value}": {first["msg"]} ({Settings.model_fields[name].description})'
        raise ValueError(text) from error
