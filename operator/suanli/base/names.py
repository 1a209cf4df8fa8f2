"""Names and labels on the wire, in one place."""

import hashlib
from functools import lru_cache

GROUP = "suanli.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

# On every object we make on a member.
LABEL_HUB = f"{GROUP}/hub"  # the hub's identity: UID of its kube-system namespace
LABEL_JOB_UID = f"{GROUP}/job-uid"
LABEL_EPOCH = f"{GROUP}/epoch"
LABEL_FAILOVER = f"{GROUP}/failover"  # what the job's failover was when the attempt began: a fence goes by it
ANNOTATION_SITE = f"{GROUP}/site"  # on what a join made: the ComputeSite
ANNOTATION_CLUSTER = f"{GROUP}/cluster-id"  # on a site's Secret: UID of the member's kube-system namespace
LABEL_MANAGED = "app.kubernetes.io/managed-by"
ANNOTATION_JOB = f"{GROUP}/job"  # namespace/name on the hub, for people
ANNOTATION_CLASS = f"{GROUP}/class"
ANNOTATION_SWEEP = f"{GROUP}/sweep"  # on a ComputeSite: a person allows a mass removal there, once
ANNOTATION_FENCED = f"{GROUP}/fenced"  # on a Job that a fence stopped: when
ANNOTATION_FENCE_SEEN = f"{GROUP}/fence-seen"  # on the fence's Lease: the renewal that it has seen
FINALIZER_METERING = f"{GROUP}/metering"
MANAGER = "suanli"
CONTAINER = "task"  # the one container of our pods; a member may inject others beside it
MEMBER_NAMESPACE_PREFIX = "suanli-t-"
MEMBER_SYSTEM_NAMESPACE = "suanli-system"
FENCE = "suanli-fence"  # in the system namespace of a member: the fence, and the Lease that the hub renews
GUARD = "suanli"  # in a tenant's namespace on a member: the NetworkPolicy and the ResourceQuota
SECRET_KEY = "kubeconfig"  # noqa: S105 - a key's name
OLDEST_MINOR = 31  # of Kubernetes 1.x on hub and members


def short_hash(*parts: str, length: int = 8) -> str:
    """A short, stable name part."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:length]


@lru_cache(4_096)
def member_namespace(hub_id: str, namespace: str) -> str:
    """The tenant's namespace on a member: one per hub and hub namespace, at most 63 characters."""
    return f"{MEMBER_NAMESPACE_PREFIX}{namespace[:40].rstrip('-')}-{short_hash(hub_id, namespace)}"


def member_account(hub_id: str) -> str:
    """The hub's service account on a member, and what belongs to it."""
    return f"suanli-hub-{short_hash(hub_id)}"


def site_secret(site: str) -> str:
    """The Secret on the hub with a site's kubeconfig."""
    return f"site-{site}"


def member_job_name(uid: str, epoch: int) -> str:
    """The member Job of one job UID and epoch: the same call always names the same object."""
    return f"j-{uid}-{epoch}"
