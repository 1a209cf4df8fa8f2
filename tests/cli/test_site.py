"""`suanli site`: what it says and how it ends; what it does is tested in tests/federation and tests/e2e."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from apistore import Json
from joinable import a_hub, a_member, a_site
from serving import serving
from suanli.cli.site import site_app


def suanli(*argv: str | Path) -> Result:
    return CliRunner().invoke(site_app, [str(a) for a in argv])


def wrong(result: Result) -> str:
    """The one sentence of an error."""
    assert result.exit_code in (2, 4), result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return f"{result.exit_code} {line.removeprefix('error: ')}"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(*documents: Json, name: str = "site.yaml") -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump_all(documents))
        return path

    return written


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A kubeconfig that leads nowhere: nothing listens there."""
    cluster = {"server": "https://127.0.0.1:1"}
    raw = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(raw))
    return path


# --- done


def test_a_member_joins_and_leaves(tmp_path: Path, write: Callable[..., Path]) -> None:
    hub, member = a_hub(), a_member()
    with serving(hub, member):
        both = ("--kubeconfig", hub.kubeconfig(tmp_path), "--member-kubeconfig", member.kubeconfig(tmp_path))
        joined = suanli("join", "s", *both, "-f", write(a_site("other"), a_site("s", "zhongwei")))
        assert (joined.exit_code, joined.stderr) == (0, "")
        told = joined.stdout.splitlines()
        assert told[0] == "member: Namespace suanli-system created"
        assert told[-2:] == [
            "hub: ComputeSite s created",
            'site "s" has joined; `kubectl get csite s` shows whether it is ready',
        ]
        assert hub.get("/apis/suanli.io/v1alpha1/computesites/s")["spec"]["region"] == "zhongwei"
        again = suanli("join", "s", *both)
        assert (again.exit_code, "created" in again.stdout) == (0, False)
        left = suanli("leave", "s", *both)
        assert (left.exit_code, left.stdout.splitlines()[-1]) == (0, 'site "s" has left')
        assert suanli("leave", "s", *both).exit_code == 0


def test_a_site_can_be_described_by_options(tmp_path: Path) -> None:
    hub, member = a_hub(), a_member()
    with serving(hub, member):
        both = ("--kubeconfig", hub.kubeconfig(tmp_path), "--member-kubeconfig", member.kubeconfig(tmp_path))
        offers = ("--offers", "general=cpu", "--offers", "nvidia-a100-80g=nvidia.com/gpu")
        options = ("--region", "shanghai", "--racks", "7", "--operated-by", "Example Compute", *offers)
        assert suanli("join", "s", *both, *options).exit_code == 0
        spec = hub.get("/apis/suanli.io/v1alpha1/computesites/s")["spec"]
        assert (spec["region"], spec["standardRacks"], spec["operator"]) == ("shanghai", 7, "Example Compute")
        assert [(r["class"], r["resourceName"], r["unit"], r["type"]) for r in spec["resources"]] == [
            ("general", "cpu", "Core", "General"),
            ("nvidia-a100-80g", "nvidia.com/gpu", "Card", "Intelligent"),
        ]


def test_a_cluster_that_is_gone_is_taken_off_the_hub(tmp_path: Path) -> None:
    hub = a_hub()
    hub.put(a_site("s"))
    with serving(hub):
        assert suanli("leave", "s", "--kubeconfig", hub.kubeconfig(tmp_path), "--member-is-gone").exit_code == 0
        assert hub.objects("/apis/suanli.io/v1alpha1/computesites") == []


# --- the input is wrong: 2


@pytest.mark.parametrize("name", ["Shanghai", "a_b", "-a", "a.b", "x" * 64, "", "上海", "../../etc", "a\x1b[31m"])
def test_a_name_that_is_none(name: str, config: Path) -> None:
    shown = name[:80].replace("\x1b[31m", "")
    why = f'2 "{shown}" is not a name: lower-case letters, digits and "-", at most 63'
    for command in (("join", "--member-kubeconfig", config), ("leave", "--member-is-gone")):
        result = suanli(*command, "--kubeconfig", config, "--", name)
        assert result.exit_code == 2
        assert wrong(result) == why


def test_a_namespace_that_is_none(config: Path) -> None:
    assert wrong(suanli("leave", "s", "--member-is-gone", "--namespace", "A")).startswith('2 "A" is not a name')


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["-f", "FILE", "--region", "shanghai"], "give either -f or --region, not both"),
        (["--racks", "3"], "--racks, --operated-by and --offers describe a new site; give its --region with them"),
        (
            ["--operated-by", "x"],
            "--racks, --operated-by and --offers describe a new site; give its --region with them",
        ),
        (["--offers", "a=cpu"], "--racks, --operated-by and --offers describe a new site; give its --region with them"),
        (["--region", "r", "--offers", "cpu"], '--offers "cpu": write it as CLASS=RESOURCE, such as general=cpu or'),
        (["--region", "r", "--offers", "=cpu"], '--offers "=cpu": write it as CLASS=RESOURCE'),
        (["--region", "r", "--offers", "a="], '--offers "a=": write it as CLASS=RESOURCE'),
        (["--region", "No Region"], 'options: ComputeSite field spec.region: "No Region": '),
        (["--region", "r", "--racks", "-1"], 'options: ComputeSite field spec.standardRacks: "-1": '),
        (["--region", "r", "--offers", "A=cpu"], 'options: ComputeSite field spec.resources.0.class: "A": '),
        (["-f", "nowhere.yaml"], "nowhere.yaml: No such file or directory; name a manifest that can be read"),
    ],
)
def test_options_that_make_no_site(options: list[str], why: str, config: Path, write: Callable[..., Path]) -> None:
    argv = [str(write(a_site("s"))) if o == "FILE" else o for o in options]
    said = wrong(suanli("join", "s", "--kubeconfig", config, "--member-kubeconfig", config, *argv))
    assert said.startswith(f"2 {why}")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", 'it must hold one ComputeSite named "s", it holds 0 of 0'),
        ("words", 'it must hold one ComputeSite named "s", it holds 0 of 0'),
        ("kind: ComputeSite\nmetadata: {name: t}", 'it must hold one ComputeSite named "s", it holds 0 of 1'),
        ("kind: ComputeSite\nmetadata: s", 'it must hold one ComputeSite named "s", it holds 0 of 1'),
        (
            "kind: ComputeSite\nmetadata: {name: s}\n" * 1 + "---\nkind: ComputeSite\nmetadata: {name: s}",
            "it holds 2 of 2",
        ),
        ("kind: ComputeSite\nmetadata: {name: s}\n", "ComputeSite field "),
        ("a: [", "it is not YAML: "),
        ("a: \x00", "it is not YAML: "),
    ],
)
def test_a_manifest_without_the_site(content: str, why: str, config: Path, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(content)
    said = wrong(suanli("join", "s", "--kubeconfig", config, "--member-kubeconfig", config, "-f", path))
    assert said.startswith(f"2 {path}: ")
    assert why in said


@pytest.mark.parametrize(
    ("field", "value"), [("region", "No"), ("standardRacks", -1), ("surprise", 1), ("energy", {"pue": "0.5x"})]
)
def test_a_manifest_with_a_wrong_field_names_it(
    field: str, value: object, config: Path, write: Callable[..., Path]
) -> None:
    site = a_site("s")
    site["spec"][field] = value
    said = wrong(suanli("join", "s", "--kubeconfig", config, "--member-kubeconfig", config, "-f", write(site)))
    assert said.startswith("2 ")
    assert f"ComputeSite field spec.{field}" in said


def test_a_member_that_is_gone_or_given_but_not_both(config: Path) -> None:
    why = "2 give --member-kubeconfig, or --member-is-gone when the cluster exists no more"
    assert wrong(suanli("leave", "s", "--kubeconfig", config)) == why
    assert wrong(suanli("leave", "s", "--kubeconfig", config, "--member-kubeconfig", config, "--member-is-gone")) == why


@pytest.mark.parametrize("side", ["--kubeconfig", "--member-kubeconfig"])
def test_a_kubeconfig_that_cannot_be_used(side: str, config: Path, tmp_path: Path) -> None:
    given = {"--kubeconfig": config, "--member-kubeconfig": config, side: tmp_path / "nowhere"}
    for command in ("join", "leave"):
        said = wrong(suanli(command, "s", *(part for pair in given.items() for part in pair)))
        assert said == (
            f"2 {tmp_path / 'nowhere'}: there is no such file; name the kubeconfig of the cluster's administrator"
        )


def test_a_context_that_is_not_there(config: Path) -> None:
    said = wrong(suanli("leave", "s", "--kubeconfig", config, "--context", "nowhere", "--member-is-gone"))
    assert said.startswith("2 ")
    assert "nowhere" in said


def test_a_certificate_that_cannot_be_used(config: Path) -> None:
    raw = yaml.safe_load(config.read_text())
    raw["clusters"][0]["cluster"]["certificate-authority-data"] = "bm90IGEgY2VydGlmaWNhdGU="
    config.write_text(yaml.safe_dump(raw))
    said = wrong(suanli("leave", "s", "--kubeconfig", config, "--member-is-gone"))
    assert said.startswith("2 the certificates for https://127.0.0.1:1 cannot be used")


@pytest.mark.parametrize("argv", [["join"], ["join", "s"], ["leave"], ["leave", "s", "--what"], ["stay", "s"]])
def test_words_that_are_none(argv: list[str]) -> None:
    assert suanli(*argv).exit_code == 2


# --- a cluster refuses or cannot be reached: 4


def test_a_cluster_that_cannot_be_reached(config: Path) -> None:
    said = wrong(suanli("leave", "s", "--kubeconfig", config, "--member-is-gone"))
    assert said.startswith("4 the hub cannot be reached: https://127.0.0.1:1 could not be reached")
    said = wrong(suanli("join", "s", "--kubeconfig", config, "--member-kubeconfig", config, "--region", "r"))
    assert said.startswith("4 the hub cannot be reached")


def test_a_cluster_that_refuses(tmp_path: Path) -> None:
    hub, member = a_hub(), a_member("hub")
    with serving(hub, member):
        both = ("--kubeconfig", hub.kubeconfig(tmp_path), "--member-kubeconfig", member.kubeconfig(tmp_path))
        assert wrong(suanli("join", "s", *both, "--region", "shanghai")) == (
            "4 the member is the hub itself; give --member-kubeconfig of another cluster"
        )
        assert wrong(suanli("join", "s", *both, "--region", "shanghai", "--server", "http://a")).startswith(
            '2 cluster.server "http://a": it must begin with https://'
        )


def test_what_a_hostile_member_says_cannot_dress_up_the_terminal(tmp_path: Path) -> None:
    hub, member = a_hub(), a_member()
    member.refuse("*", 403, "Forbidden", "\x1b[2Jall is well\r\nsite joined")
    with serving(hub, member):
        both = ("--kubeconfig", hub.kubeconfig(tmp_path), "--member-kubeconfig", member.kubeconfig(tmp_path))
        said = wrong(suanli("join", "s", *both, "--region", "shanghai"))
        assert said.isprintable()


@pytest.mark.parametrize("command", ["join", "leave"])
def test_help_says_what_each_option_is(command: str) -> None:
    shown = suanli(command, "--help")
    assert shown.exit_code == 0
    assert "--member-kubeconfig" in shown.stdout
