"""Names and labels on the wire, in one place."""

import hashlib

GROUP = "suanli.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

# On every object we make on a member.
LABEL_HUB = f"{GROUP}/hub"  # the hub's identity: UID of its kube-system namespace
LABEL_JOB_UID = f"{GROUP}/job-uid"
LABEL_EPOCH = f"{GROUP}/epoch"
LABEL_MANAGED = "app.kubernetes.io/managed-by"
ANNOTATION_JOB = f"{GROUP}/job"  # namespace/name on the hub, for people
ANNOTATION_CLASS = f"{GROUP}/class"
FINALIZER_METERING = f"{GROUP}/metering"
MANAGER = "suanli"
MEMBER_NAMESPACE_PREFIX = "suanli-t-"


def short_hash(*parts: str, length: int = 8) -> str:
    """A short, stable name part."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:length]


def member_namespace(hub_id: str, namespace: str) -> str:
    """The tenant's namespace on a member: one per hub and hub namespace, at most 63 characters."""
    return f"{MEMBER_NAMESPACE_PREFIX}{namespace[:40].rstrip('-')}-{short_hash(hub_id, namespace)}"


def member_job_name(uid: str, epoch: int) -> str:
    """The member Job of one job UID and epoch: the same call always names the same object."""
    return f"j-{uid}-{epoch}"
