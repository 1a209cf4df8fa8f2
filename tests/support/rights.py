"""What a real API server says that somebody may do."""

import asyncio
from collections.abc import Sequence

from harness.shell import Kubectl
from suanli.kube.client import ApiClient
from suanli.kube.local import load_target

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
AT_ONCE = 16
Question = tuple[str, str, str, str, str]  # verb, group, resource[/subresource], namespace, name


def answers(hub: Kubectl, user: str, questions: Sequence[Question]) -> dict[Question, bool]:
    """Whether the user may do each of these; "" as namespace asks for all of them, "" as name for any."""
    return asyncio.run(_ask(hub, user, questions))


async def _ask(hub: Kubectl, user: str, questions: Sequence[Question]) -> dict[Question, bool]:
    groups = ["system:authenticated"]
    if user.startswith("system:serviceaccount:"):
        groups += ["system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}"]
    async with ApiClient(load_target(hub.kubeconfig), name="rights", concurrency=AT_ONCE) as client:

        async def may(question: Question) -> bool:
            verb, group, resource, namespace, name = question
            plural, _, sub = resource.partition("/")
            what = {
                "verb": verb,
                "group": group,
                "resource": plural,
                "subresource": sub,
                "namespace": namespace,
                "name": name,
            }
            answer = await client.post(REVIEWS, {"spec": {"user": user, "groups": groups, "resourceAttributes": what}})
            return bool(answer["status"]["allowed"])

        said = await asyncio.gather(*(may(question) for question in questions))
    return dict(zip(questions, said, strict=True))
