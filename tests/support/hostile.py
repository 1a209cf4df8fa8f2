"""What a hostile tenant may try: attacks as data, each with what must become of it, and the ways to bring them in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from manifests import Manifest, a_job, changed

LONG = "x" * 4_097
MARK = "evil"


class Fate(StrEnum):
    """What must become of an attack."""

    REFUSED = "refused"  # by the API server
    HARMLESS = "harmless"  # taken, and what is rendered of it is as all of ours


class Way(StrEnum):
    """How it comes in. `UNCHECKED` ways ask the server not to tell of fields that it does not know."""

    CREATE = "kubectl create"
    CREATE_UNCHECKED = "create, unchecked"
    PATCH = "kubectl patch"
    PATCH_UNCHECKED = "patch, unchecked"
    STATUS = "status patch"
    APPLY = "server-side apply"


@dataclass(frozen=True)
class Attack:
    """A whole object, or a change of one, on one way; and what must become of it."""

    name: str
    way: Way
    body: Manifest
    fate: Fate


def attacks() -> list[Attack]:
    """All of them."""
    found = [*_smuggled(), *_values(), *_metadata(), *_statuses()]
    assert len({(each.name, each.way) for each in found}) == len(found), "two attacks have one name"
    return found


def _under(path: str, value: object) -> Manifest:
    """A change of one field as a merge patch."""
    made: Any = value
    for step in reversed(path.split(".")):
        made = {step: made}
    return dict(made)


# --- fields of pods, jobs and other systems, put wherever somebody might copy them from

_CONTAINER: Mapping[str, object] = {
    "name": MARK,
    "image": "team/evil:1",
    "securityContext": {"privileged": True},
    "volumeMounts": [{"name": "host", "mountPath": "/host"}],
}
_OF_A_POD: Mapping[str, object] = {
    "activeDeadlineSeconds": 99_999_999,
    "affinity": {"nodeAffinity": {}},
    "automountServiceAccountToken": True,
    "containers": [_CONTAINER],
    "dnsConfig": {"nameservers": ["198.51.100.1"]},
    "dnsPolicy": "None",
    "enableServiceLinks": True,
    "ephemeralContainers": [_CONTAINER],
    "hostAliases": [{"ip": "198.51.100.1", "hostnames": ["kubernetes.default.svc"]}],
    "hostIPC": True,
    "hostNetwork": True,
    "hostPID": True,
    "hostUsers": True,
    "hostname": "master",
    "imagePullSecrets": [{"name": "others"}],
    "initContainers": [_CONTAINER],
    "nodeName": "master-1",
    "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
    "os": {"name": "windows"},
    "overhead": {"cpu": "0"},
    "preemptionPolicy": "PreemptLowerPriority",
    "priorityClassName": "system-node-critical",
    "resourceClaims": [{"name": "all", "resourceClaimName": "others"}],
    "restartPolicy": "Always",
    "runtimeClassName": "unconfined",
    "schedulerName": "mine",
    "schedulingGates": [{"name": "never"}],
    "securityContext": {"runAsUser": 0, "sysctls": [{"name": "kernel.msgmax", "value": "1"}]},
    "serviceAccount": "default",
    "serviceAccountName": "cluster-admin",
    "setHostnameAsFQDN": True,
    "shareProcessNamespace": True,
    "subdomain": "kube-dns",
    "supplementalGroups": [0],
    "terminationGracePeriodSeconds": 99_999_999,
    "tolerations": [{"operator": "Exists"}],
    "topologySpreadConstraints": [],
    "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
}
_OF_A_CONTAINER: Mapping[str, object] = {
    "allowPrivilegeEscalation": True,
    "capabilities": {"add": ["SYS_ADMIN"]},
    "devices": ["/dev/kmsg"],
    "envFrom": [{"secretRef": {"name": "others"}}],
    "imagePullPolicy": "Never",
    "lifecycle": {"postStart": {"exec": {"command": ["id"]}}},
    "livenessProbe": {"httpGet": {"path": "/", "port": 80, "host": "198.51.100.1"}},
    "ports": [{"containerPort": 22, "hostPort": 22}],
    "privileged": True,
    "procMount": "Unmasked",
    "resizePolicy": [],
    "resources": {"limits": {"cpu": "1000"}},
    "stdin": True,
    "terminationMessagePath": "/etc/passwd",
    "volumeDevices": [{"name": "disk", "devicePath": "/dev/sda"}],
    "volumeMounts": [{"name": "host", "mountPath": "/host"}],
}
_ELSEWHERE: Mapping[str, object] = {
    "spec.backoffLimit": 1_000_000,
    "spec.completions": 1_000_000,
    "spec.hostNetwork": True,
    "spec.manualSelector": True,
    "spec.namespace": "kube-system",
    "spec.parallelism": 1_000_000,
    "spec.podTemplate": {"spec": {"containers": [_CONTAINER]}},
    "spec.serviceAccountName": "cluster-admin",
    "spec.suspend": False,
    "spec.ttlSecondsAfterFinished": 0,
    "spec.template.metadata": {"labels": {"suanli.io/hub": MARK}, "ownerReferences": []},
    "spec.template.spec": {"hostNetwork": True, "containers": [_CONTAINER]},
    "spec.template.scratch.hostPath": {"path": "/"},
    "spec.template.scratch.medium": "Memory",
    "spec.template.scratch.subPath": "../../etc",
    "spec.template.scratch.mountPropagation": "Bidirectional",
    "spec.resources.perTask.nvidia.com/gpu": "8",
    "spec.resources.perTask.limits": {"cpu": "1000"},
    "spec.resources.nodeSelector": {"pool": "others"},
    "spec.limits.usage": "0",
    "spec.assignment": {"site": "east", "epoch": 9},
    "spec.owner": "another-team",
}
_DEEP: Mapping[str, object] = {
    "valueFrom": {"secretKeyRef": {"name": "others", "key": "token"}},
    "fieldRef": {"fieldPath": "spec.nodeName"},
}


def _smuggled() -> Iterator[Attack]:
    """What the template has no field for: a careful client is told, for any other one it is dropped."""
    fields = {f"spec.template.{field}": value for field, value in {**_OF_A_POD, **_OF_A_CONTAINER}.items()}
    for path, value in {**fields, **_ELSEWHERE}.items():
        whole, name = _with(path, value), path.removeprefix("spec.")
        patch = {"spec": {"priority": 7, **_patched(path, value)["spec"]}}
        yield Attack(name, Way.CREATE, whole, Fate.REFUSED)
        yield Attack(name, Way.CREATE_UNCHECKED, whole, Fate.HARMLESS)
        yield Attack(name, Way.APPLY, whole, Fate.REFUSED)
        yield Attack(name, Way.PATCH, patch, Fate.REFUSED)
        yield Attack(name, Way.PATCH_UNCHECKED, patch, Fate.HARMLESS)
    for field, value in _DEEP.items():
        whole = changed(a_job(), "spec.template.env.0", {"name": "A", field: value})
        yield Attack(f"env.{field}", Way.CREATE, whole, Fate.REFUSED)
        yield Attack(f"env.{field}", Way.CREATE_UNCHECKED, whole, Fate.HARMLESS)
        yield Attack(f"env.{field}", Way.APPLY, whole, Fate.REFUSED)


def _with(path: str, value: object) -> Manifest:
    head, _, last = path.partition("perTask.")
    if not last:
        return changed(a_job(), path, value)
    whole = a_job()
    whole["spec"]["resources"]["perTask"][last] = value  # a name with dots in it
    assert head
    return whole


def _patched(path: str, value: object) -> Manifest:
    head, found, last = path.partition("perTask.")
    return _under(f"{head}perTask", {last: value}) if found else _under(path, value)


# --- values of fields that are there

_IMAGE = "spec.template.image"
_ENV = "spec.template.env"
_MOUNT = "spec.template.scratch.mountPath"
_FOLDER = "spec.template.workingDir"
_TASK = "spec.resources.perTask"
_WRONG: Mapping[str, tuple[object, ...]] = {
    _IMAGE: (
        "", " ", "-v", "--privileged", "a b", "a\nb", "a\x00b", "team/train:1.4\n", "$(id)", "`id`", "a;b", "a|b", "ａ", "a\u202eb",
        "http:\\\\x", "a" * 513, 1, None, ["a"], {"name": "a"},
    ),
    _ENV: (
        [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}], [{"name": "ASCEND_VISIBLE_DEVICES", "value": "0-7"}],
        [{"name": "AMD_VISIBLE_DEVICES", "value": "all"}], [{"name": "CAMBRICON_VISIBLE_DEVICES", "value": "all"}],
        [{"name": "NVIDIA_MIG_CONFIG_DEVICES", "value": "all"}], [{"name": "NVIDIA_MIG_MONITOR_DEVICES", "value": "all"}],
        [{"name": "NVIDIA_IMEX_CHANNELS", "value": "0"}], [{"name": "ASCEND_RUNTIME_MOUNTS", "value": "/etc"}],
        [{"name": "ASCEND_RUNTIME_OPTIONS", "value": "NODRV"}], [{"name": "A"}, {"name": "A"}], [{"name": "A=B"}], [{"name": ""}],
        [{"name": "1A"}], [{"name": "A B"}], [{"name": "A\n"}], [{"name": "A\x00"}], [{"name": "Ａ"}], [{"name": "PATH\u200b"}],
        [{"name": "A" * 129}], [{"name": "A", "value": LONG}], [{"name": "A", "value": 1}], [{"value": "a"}], ["A=B"],
        [{"name": f"A{n}"} for n in range(129)], {"A": "B"}, [{"name": f"A{n}", "value": LONG[1:]} for n in range(33)],
    ),
    _MOUNT: (
        "/", "//", "/proc", "/proc/", "/proc/self", "//proc", "/./proc", "/.//proc/sys", "/sys", "/sys/fs/cgroup", "/dev", "/dev/shm",
        "/a/../proc", "/..", "/../etc", "/a/..", "/a/./b", "/a:ro", "/a:/b", "scratch", "", "/a b", "/a\n", "/a\x00", "/ａ", "/" + "a" * 256,
        "C:\\Windows", "/$(HOME)", "~",
    ),
    _FOLDER: (
        "/proc/self/fd/7", "/proc/self/fd/8", "/proc/1/root", "/sys/fs/cgroup", "/dev/fd/7", "/./proc/self/fd/8", "//proc/self/fd/8",
        "/a/../../proc/self/fd/8", "/..", "proc/self", "/a\nb", "/" + "a" * 256, 7,
    ),
    "spec.template.command": (["a"] * 65, [LONG], [1], [None], "sh -c id", {"0": "a"}, [["a"]]),
    "spec.template.args": (["a"] * 257, [LONG[1:]] * 33, [True], "id"),
    "spec.template.scratch.size": ("0", "-1Gi", "1Ei", "2Pi", "1", "1e9", 10, "٣Gi", "1Gi ", "NaN"),
    f"{_TASK}.cpu": ("0", "-1", "0.5m", "1000001", "1e3", "1E", 4, "inf", "9" * 30, "１", "1\n", "0x10", "1_000"),
    f"{_TASK}.memory": ("0", "-1Gi", "1Ki", "1025Ti", 1, "9" * 30, "64GiB", "1e9", ""),
    f"{_TASK}.cards": (-1, 1_025, 2**31, 2**63, 2**64, 1.5, "8", True, None, [8]),
    "spec.tasks": (0, -1, 10_001, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63), 0.5, "2", True, [2]),
    "spec.priority": (-1, 1_000_001, 2**63, 1.5, "9"),
    "spec.resources.class": ([], ["a"] * 2, ["a"] * 9, [""], ["A"], ["a/b"], ["../a"], ["a\n"], ["x" * 64], "a", [None]),
    "spec.origin": ("", "..", "a/b", "a.b", "A", "ａ", "a\n", "x" * 64, 1),
    "spec.data.allowedSites": (["../east"], ["east\n"], ["*"], ["e" * 64], [f"s{n}" for n in range(65)], ["east", "east"]),
    "spec.limits.retries": (-1, 101, 2**63),
    "spec.limits.activeDeadline": ("0s", "-1s", "8761h", "9" * 30 + "h", "1ns", ""),
    "spec.limits.maxCost": ("-1", "1e9", "9" * 16, 5, "0x1"),
    "spec.timing.deadline": ("9999-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "tomorrow", "0001-01-01T00:00:00Z"),
    "spec.failover": ("Never", "", "atmostonce"),
    "spec.desiredState": ("Deleted", "", "running"),
    "spec.category": ("System", "", "general"),
}  # fmt: skip
_RIGHT: Mapping[str, tuple[object, ...]] = {
    _IMAGE: ("a", "127.0.0.1:5000/a", "a/../../b", "registry.example/a@sha256:" + "0" * 64, "localhost/a:b:c"),
    _ENV: (
        [{"name": "LD_PRELOAD", "value": "/host/lib.so"}], [{"name": "KUBERNETES_SERVICE_HOST", "value": "198.51.100.1"}],
        [{"name": "PATH", "value": "/host/bin"}], [{"name": "A", "value": "$(KUBERNETES_SERVICE_HOST)"}],
        [{"name": "A", "value": "$$(B) $( $) ${C} $$$"}], [{"name": "A", "value": "\u202e\u0000\u001b[2J\r\n"}],
        [{"name": "HTTP_PROXY", "value": "http://198.51.100.1"}], [{"name": "JOB_COMPLETION_INDEX", "value": "9"}],
        [{"name": "CUDA_VISIBLE_DEVICES", "value": "0"}], [{"name": "A", "value": "👩‍💻" * 800}],
        [{"name": f"A{n}", "value": "x"} for n in range(128)],
    ),
    _MOUNT: ("/var/run/secrets/kubernetes.io/serviceaccount", "/etc", "/process", "/usr/bin", "/a/dev", "/data/..x"),
    _FOLDER: ("/", "/srv", "/var/run/secrets", "/a/proc"),
    "spec.template.command": (
        ["sh", "-c", "mount -o remount,rw / && nsenter -t 1 -m -- id"], ["$(KUBERNETES_SERVICE_HOST)"], ["--privileged"], ["\u0000"],
        ["}}", "---", "{{ .Values }}", "%s"], [""],
    ),
    "spec.template.args": (["$(A)", "$$(A)", "$"] * 80, [LONG[1:]] * 31, ["\ud7ff\ufffd🚄"]),
    "spec.template.scratch.size": ("1Pi", "1Mi", "1048576"),
    f"{_TASK}.cpu": ("1m", "1M", "999999.999", "000000000000001"),
    f"{_TASK}.memory": ("1Pi", "1048576", "999999999999999"),
    f"{_TASK}.cards": (0, 1_024),
    "spec.tasks": (1, 10_000, 1_000.0),
    "spec.data.allowedSites": (["kube-system", "suanli-system"],),
    "spec.limits.activeDeadline": ("8760h", "1s"),
}  # fmt: skip


def _values() -> Iterator[Attack]:
    """Wrong ones are refused on every way; odd but right ones run in their container like any other."""
    for path, values in _WRONG.items():
        for number, value in enumerate(values):
            name, whole = f"{path.removeprefix('spec.')} #{number}", changed(a_job(), path, value)
            for way in (Way.CREATE_UNCHECKED, Way.APPLY):
                yield Attack(name, way, whole, Fate.HARMLESS if _is_absent(path, value) else Fate.REFUSED)
    for path, values in _RIGHT.items():
        for number, value in enumerate(values):
            name, whole = f"{path.removeprefix('spec.')} odd #{number}", changed(a_job(), path, value)
            yield Attack(name, Way.CREATE, whole, Fate.HARMLESS)
            yield Attack(name, Way.APPLY, whole, Fate.HARMLESS)
            # What is set cannot be changed, not even to what is right.
            yield Attack(name, Way.PATCH, _under(path, value), Fate.REFUSED)


def _is_absent(path: str, value: object) -> bool:
    """A null where there is a default is as if nothing had been written."""
    return value is None and path.endswith(".cards")


# --- names, labels and annotations

_LABELS: Mapping[str, str] = {
    "suanli.io/hub": MARK,
    "suanli.io/job-uid": "00000000-0000-0000-0000-000000000000",
    "suanli.io/epoch": "999",
    "app.kubernetes.io/managed-by": "Helm",
    "batch.kubernetes.io/job-name": MARK,
    "pod-security.kubernetes.io/enforce": "privileged",
    "kueue.x-k8s.io/queue-name": "others",
    "node-role.kubernetes.io/control-plane": "",
    "sidecar.istio.io/inject": "true",
    "admission.datadoghq.com/enabled": "true",
}
_ANNOTATIONS: Mapping[str, str] = {
    "suanli.io/job": "kube-system/evil",
    "suanli.io/class": MARK,
    "suanli.io/site": "another",
    "container.apparmor.security.beta.kubernetes.io/task": "unconfined",
    "seccomp.security.alpha.kubernetes.io/pod": "unconfined",
    "scheduler.alpha.kubernetes.io/critical-pod": "",
    "vault.hashicorp.com/agent-inject": "true",
    "k8s.v1.cni.cncf.io/networks": "kube-system/host",
    "io.kubernetes.cri-o.userns-mode": "auto",
    "kubectl.kubernetes.io/last-applied-configuration": '{"spec":{"template":{"hostNetwork":true}}}',
    "kubernetes.io/psp": "privileged",
    "note": "\u202e\u001b[2J\u0000",
}
_WRONG_OBJECTS: Mapping[str, object] = {
    "kind": "Pod",
    "apiVersion": "v1",
    "metadata.name": None,
    "spec": None,
    "spec.template": [],
}
_OTHER_OBJECTS: Mapping[str, object] = {
    "metadata.name": "another",
    "metadata.namespace": "kube-system",
    "metadata.uid": "0",
    "kind": "Pod",
}
_OWNER = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "00000000-0000-0000-0000-000000000000"}
_NAMES_REFUSED = (
    "a.b",
    "kube-root-ca.crt",
    "x" * 64,
    "x" * 63 + ".y",
    "",
    "..",
    ".",
    "a/b",
    "../a",
    "A",
    "a_b",
    "a b",
    "a\n",
    "ａ",
    "算力",
    "-a",
    "a-",
    "x" * 254,
    "a%2fb",
    "a;b",
    "a\x00",
)
_NAMES_TAKEN = ("0", "j-0f9f6c1e-0b0c-4c3a-9c7e-3b8f1f2a4d55-1", "kube-system", "x" * 63, "a--b", "null", "true", "1e3")


def _metadata() -> Iterator[Attack]:
    for field, values in (("labels", _LABELS), ("annotations", _ANNOTATIONS)):
        for key, value in values.items():
            whole = changed(a_job(), f"metadata.{field}", {key: value})
            yield Attack(f"{field} {key}", Way.CREATE, whole, Fate.HARMLESS)
            yield Attack(f"{field} {key}", Way.APPLY, whole, Fate.HARMLESS)
            yield Attack(f"{field} {key}", Way.PATCH, {"metadata": {field: {key: value}}}, Fate.HARMLESS)
    for name in _NAMES_REFUSED:
        yield Attack(
            f"name {name[:20]!r} ({len(name)})", Way.CREATE, changed(a_job(), "metadata.name", name), Fate.REFUSED
        )
    for name in _NAMES_TAKEN:
        whole = changed(a_job(), "metadata.name", name)
        yield Attack(f"name {name[:20]!r} ({len(name)})", Way.CREATE, whole, Fate.HARMLESS)
        yield Attack(f"name {name[:20]!r} ({len(name)})", Way.APPLY, whole, Fate.HARMLESS)
    odd: Mapping[str, tuple[object, Fate]] = {
        "finalizers": (["suanli.io/metering", "example.com/never"], Fate.HARMLESS),
        "ownerReferences": ([_OWNER], Fate.HARMLESS),
        "uid": ("00000000-0000-0000-0000-000000000000", Fate.HARMLESS),
        "generation": (-1, Fate.HARMLESS),
        "namespace": ("kube-system", Fate.REFUSED),
        "deletionTimestamp": ("2000-01-01T00:00:00Z", Fate.HARMLESS),
        "selfLink": ("/api/v1/namespaces/kube-system/pods/x", Fate.HARMLESS),
        "generateName": ("../", Fate.REFUSED),
    }
    for field, (strange, fate) in odd.items():
        yield Attack(f"metadata {field}", Way.CREATE, changed(a_job(), f"metadata.{field}", strange), fate)
    for path, wrong in _WRONG_OBJECTS.items():
        yield Attack(f"object {path}", Way.CREATE, changed(a_job(), path, wrong), Fate.REFUSED)
    for path, wrong in _OTHER_OBJECTS.items():
        yield Attack(f"object {path}", Way.PATCH, _under(path, wrong), Fate.REFUSED)


# --- statuses, by somebody who may write them

_TIME = "2026-01-31T08:00:00Z"


def _assigned(**fields: object) -> Manifest:
    return {"assignment": {"site": "east", "epoch": 1, "class": "general", "time": _TIME, **fields}}


_STATUSES: Mapping[str, tuple[Manifest, Fate]] = {
    **{f"site {value!r}": (_assigned(site=value), Fate.REFUSED) for value in ("", "..", "a/b", "A", "a\n", "x" * 64, 1)},
    **{f"epoch {value!r}": (_assigned(epoch=value), Fate.REFUSED) for value in (0, -1, 2**64, 1.5, "1", "1/../2")},
    **{f"class {value!r}": (_assigned(**{"class": value}), Fate.REFUSED) for value in ("", "a/b", "A", "a\n", 1)},
    **{f"usage {value!r}": ({"usage": {"cardMs": value}}, Fate.REFUSED) for value in ("-1", 1, "1e9", "9" * 41, "")},
    "epoch of its own": (_assigned(epoch=2**31), Fate.HARMLESS),
    "site of its own": (_assigned(site="kube-system"), Fate.HARMLESS),
    "no conditions": ({"conditions": "none"}, Fate.REFUSED),
    "a long condition": (
        {"conditions": [{"type": "Placed", "status": "True", "reason": "x", "message": "x" * 1_025, "lastTransitionTime": _TIME}]},
        Fate.REFUSED,
    ),
    "a condition's status": (
        {"conditions": [{"type": "Placed", "status": "Yes", "reason": "x", "lastTransitionTime": _TIME}]}, Fate.REFUSED,
    ),
    "many conditions": (
        {"conditions": [{"type": f"T{n}", "status": "True", "reason": "x", "lastTransitionTime": _TIME} for n in range(17)]}, Fate.REFUSED,
    ),
    "unknown fields": ({"hostNetwork": True, "podTemplate": {"spec": {}}}, Fate.HARMLESS),
}  # fmt: skip
_THROUGH_STATUS: Mapping[str, Manifest] = {
    "spec": {"spec": {"tasks": 10_000, "template": {"image": "team/evil:1", "hostNetwork": True}}},
    "labels": {"metadata": {"labels": {"suanli.io/hub": MARK}}},
    "annotations": {"metadata": {"annotations": {"suanli.io/job": "kube-system/evil"}}},
    "finalizers": {"metadata": {"finalizers": ["suanli.io/metering"]}},
}


def _statuses() -> Iterator[Attack]:
    for name, (status, fate) in _STATUSES.items():
        yield Attack(f"status {name}", Way.STATUS, {"status": status}, fate)
    for name, patch in _THROUGH_STATUS.items():
        yield Attack(f"through status {name}", Way.STATUS, patch, Fate.HARMLESS)
