"""The commands of hack/localfed."""

import json
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from localfed import hold, memory, nodes, state
from localfed.apiclient import ApiClient
from localfed.binaries import Binaries
from localfed.errors import LocalfedError
from localfed.spec import federation, read_shape_file
from localfed.tools import TOOL_OF

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__, rich_markup_mode=None
)
Dir = Annotated[
    Path | None, typer.Option("--dir", help="The federation's folder.", show_default="one of yours in /tmp")
]
Bin = Annotated[
    Path | None,
    typer.Option(
        "--bin", envvar="SUANLI_BIN", help="A folder of ready binaries.", show_default="the cache, built once"
    ),
]


@app.command()
def up(
    members: Annotated[int, typer.Option(min=0, help="How many members beside the hub.")] = 3,
    shape: Annotated[Path | None, typer.Option(help="YAML: `nodes` of each member, or `members` by name.")] = None,
    bin_dir: Bin = None,
    folder: Dir = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and end it all with Ctrl-C.")] = False,
    user: Annotated[
        int | None,
        typer.Option(envvar="SUANLI_LOCALFED_USER", help="End it when this process has ended, however that ended."),
    ] = None,
    ready_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Bring a hub and its members up; they stay up until `down`."""
    place = _folder(folder)
    specs = read_shape_file(shape, members) if shape else federation(members)
    if not foreground:
        arguments = ["--members", str(members), "--dir", str(place)]
        arguments += ["--shape", str(shape)] if shape else []
        arguments += ["--bin", str(bin_dir)] if bin_dir else []
        arguments += ["--user", str(user)] if user else []
        raise typer.Exit(hold.detach(arguments))

    def ready() -> None:
        if ready_fd is None:
            typer.echo("localfed: Ctrl-C ends it", err=True)
        else:
            hold.let_go(ready_fd, place)

    hold.hold(specs, bin_dir, place, ready, user)


@app.command()
def down(folder: Dir = None) -> None:
    """End every server and remove the folder."""
    place = _folder(folder)
    typer.echo(f"localfed: {'ended' if hold.end(place) else 'nothing was up in'} {place}", err=True)


@dataclass(frozen=True)
class Row:
    """One cluster in `status`."""

    cluster: str
    server: str
    is_ready: bool
    ready_nodes: int
    nodes: int
    servers: int
    memory_mib: int


@app.command()
def status(
    folder: Dir = None,
    output: Annotated[str, typer.Option(help="table or json")] = "table",
) -> None:
    """Show each cluster, whether it is ready, its nodes, and the memory it takes (shared pages counted once)."""
    rows = [_row(name, each) for name, each in state.require(_folder(folder)).clusters.items()]
    if output == "json":
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    table = Table("cluster", "server", "ready", "nodes", "servers", "memory", box=None)
    for row in rows:
        counted = f"{row.ready_nodes}/{row.nodes}"
        table.add_row(
            row.cluster, row.server, "yes" if row.is_ready else "no", counted, str(row.servers), f"{row.memory_mib} MiB"
        )
    Console(highlight=False, soft_wrap=True).print(table)


@app.command()
def kubeconfig(name: str, folder: Dir = None) -> None:
    """Print the path of a cluster's kubeconfig: export KUBECONFIG=$(hack/localfed kubeconfig hub)."""
    clusters = state.require(_folder(folder)).clusters
    if name not in clusters:
        raise LocalfedError(f"there is no cluster {name!r}, only {', '.join(clusters)}")
    typer.echo(clusters[name].kubeconfig)


@app.command()
def logs(
    name: Annotated[str, typer.Argument(help="A cluster; all when left out.")] = "",
    component: Annotated[str, typer.Argument(help="One of its servers; all when left out.")] = "",
    folder: Dir = None,
    lines: Annotated[int, typer.Option(min=1, help="How many lines of each log, from its end.")] = 20,
) -> None:
    """Print the end of the servers' logs."""
    place = _folder(folder)
    state.require(place)
    found = sorted(place.glob(f"{name or '*'}/logs/{component or '*'}.log"))
    if not found:
        raise LocalfedError(f"there is no log of {component or 'any server'} in {name or 'any cluster'} of {place}")
    for path in found:
        typer.echo(f"==> {path}")
        with path.open(encoding="utf-8", errors="replace") as log:
            typer.echo("".join(deque(log, lines)).rstrip("\n"))


@app.command()
def binaries(bin_dir: Bin = None) -> None:
    """Build what is missing, and print where every program is."""
    programs = Binaries(bin_dir)
    programs.ensure(sorted(TOOL_OF))
    for name in sorted(TOOL_OF):
        typer.echo(f"{name} {TOOL_OF[name].version} {programs.path(name)}")


def _row(name: str, cluster: state.ClusterState) -> Row:
    api = ApiClient(int(cluster.server.rpartition(":")[2]), Path(cluster.kubeconfig).parent / "pki")
    is_ready = api.is_ready()
    known = api.call("GET", nodes.NODES)["items"] if is_ready else []
    return Row(
        cluster=name,
        server=cluster.server,
        is_ready=is_ready,
        ready_nodes=sum(nodes.is_ready(node) for node in known),
        nodes=len(known),
        servers=len(cluster.pids),
        memory_mib=memory.proportional_kib(cluster.pids.values()) >> 10,
    )


def _folder(given: Path | None) -> Path:
    return (given or state.default_folder()).absolute()
