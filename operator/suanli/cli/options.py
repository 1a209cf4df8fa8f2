"""Options that many commands take, in groups: a dataclass whose fields are the options."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from suanli.kube.client import Target
from suanli.kube.local import load_target


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer takes it: where a parameter is a dataclass, its fields stand in its place.

    typer knows no groups; it reads the signature, and calls with names.
    """
    signature = inspect.signature(command)
    groups: dict[str, Any] = {p.name: p.annotation for p in signature.parameters.values() if is_dataclass(p.annotation)}

    @wraps(command)
    def called(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    flat = [
        one.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for p in signature.parameters.values()
        for one in (inspect.signature(groups[p.name]).parameters.values() if p.name in groups else [p])
    ]
    vars(called)["__signature__"] = signature.replace(parameters=flat)
    return called


@dataclass(frozen=True)
class Hub:
    """Which hub, and as whom."""

    kubeconfig: Annotated[
        Path | None, typer.Option("--kubeconfig", help="Administrator's kubeconfig of the hub; default as kubectl's.")
    ] = None
    context: Annotated[str | None, typer.Option("--context", help="Context in it.")] = None

    def target(self) -> Target:
        """Where it is. Raises: SuanliError when no kubeconfig names it."""
        return load_target(self.kubeconfig, self.context)
