"""The command line of each server of a control plane."""

from dataclasses import dataclass
from pathlib import Path

from localfed.pki import SERVICE_IP
from localfed.spec import ClusterSpec

ETCD_URL = "unix://etcd.sock:0"  # a file in the cluster's folder, where every server runs: nobody else can reach it
PEER_URL = "unix://peer.sock:0"
NODE_GRACE_SECONDS = 10
NODE_LEASE_SECONDS = 12  # renewed every quarter of it
POWER_LABEL = "localfed.suanli.io/power"
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "disruption-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "resourcequota-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "taint-eviction-controller",
    "ttl-after-finished-controller",
    "validatingadmissionpolicy-status-controller",
)


@dataclass(frozen=True)
class Server:
    """One server process: the binary it is, and its arguments. Each runs in its cluster's folder."""

    name: str
    argv: tuple[str, ...]


def etcd() -> Server:
    """The cluster's store. Nothing is synced to disk: it outlives its processes, not a power cut."""
    return Server(
        "etcd",
        (
            "--name=etcd",
            "--data-dir=etcd",
            f"--listen-client-urls={ETCD_URL}",
            f"--advertise-client-urls={ETCD_URL}",
            f"--listen-peer-urls={PEER_URL}",
            f"--initial-advertise-peer-urls={PEER_URL}",
            f"--initial-cluster=etcd={PEER_URL}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
    )


def apiserver(spec: ClusterSpec, port: int) -> Server:
    """The API server: RBAC, the default admission plugins, certificates of the cluster's own authority."""
    audit = (
        ("--audit-policy-file=audit-policy.yaml", "--audit-log-path=audit.log", "--audit-log-maxsize=4096")
        if spec.audit
        else ()
    )
    return Server(
        "kube-apiserver",
        (
            f"--etcd-servers={ETCD_URL}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--tls-cert-file=pki/apiserver.crt",
            "--tls-private-key-file=pki/apiserver.key",
            "--client-ca-file=pki/ca.crt",
            "--service-account-key-file=pki/service-account.key",
            "--service-account-signing-key-file=pki/service-account.key",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--authorization-mode=RBAC",
            f"--service-cluster-ip-range={SERVICE_IP}/16",
            "--endpoint-reconciler-type=none",
            "--profiling=false",
            *audit,
        ),
    )


def controller_manager(spec: ClusterSpec) -> Server:
    """The controllers a federation member needs, each with its own service account, without client-side limits."""
    return Server(
        "kube-controller-manager",
        (
            "--kubeconfig=controller-manager.kubeconfig",
            "--secure-port=0",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            "--service-account-private-key-file=pki/service-account.key",
            "--root-ca-file=pki/ca.crt",
            f"--controllers={','.join((*CONTROLLERS, *spec.extra_controllers))}",
            "--concurrent-job-syncs=20",
            "--concurrent-gc-syncs=20",
            "--concurrent-namespace-syncs=10",
            "--kube-api-qps=1000",
            "--kube-api-burst=2000",
            "--node-monitor-period=1s",
            f"--node-monitor-grace-period={NODE_GRACE_SECONDS}s",
            "--profiling=false",
        ),
    )


def scheduler() -> Server:
    """The default scheduler, without client-side limits."""
    return Server("kube-scheduler", ("--config=scheduler.yaml", "--secure-port=0", "--leader-elect=false"))


def kwok() -> Server:
    """The nodes and their pods, played by stages; a node whose power label is not `on` is left alone."""
    return Server(
        "kwok",
        (
            "--kubeconfig=kwok.kubeconfig",
            "--config=stages.yaml",
            f"--manage-nodes-with-label-selector={POWER_LABEL}=on",
            f"--node-lease-duration-seconds={NODE_LEASE_SECONDS}",
            "--node-ip=10.0.0.1",
            "--cidr=10.64.0.0/10",
            "--v=WARN",
        ),
    )


def scheduler_config() -> str:
    """The scheduler's configuration file."""
    return """\
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: scheduler.kubeconfig, qps: 1000, burst: 2000}
enableProfiling: false
"""


def environment(folder: Path) -> dict[str, str]:
    """A server's whole environment: nothing of the user's, so no proxy and no kubeconfig slips in."""
    return {"HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C"}
