"""`imagebuild publish`, `templates`, `rollback` and `prune`: words, output, JSON and exit codes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from imagebuild.cli import project
from imagebuild.cli.prune import prune
from imagebuild.cli.publish import publish
from imagebuild.cli.rollback import rollback
from imagebuild.cli.templates import templates
from imagebuild.errors import ImageBuildError
from imagebuild.machine.domain_xml import definition
from imagebuild.publish import opening, state
from imagebuild.publish.reports import schema
from tests.machine.machines import recipe
from tests.publish.memory_target import MemoryTarget

PROJECT = """\
hosts:
  kvm1: {uri: qemu+ssh://root@kvm1.example.org/system, labels: [dc1]}
  kvm2: {uri: qemu+ssh://root@kvm2.example.org/system, labels: [dc2]}
  kvm3: {uri: qemu+ssh://root@kvm3.example.org/system, labels: [dc2]}
groups:
  first: [kvm2]
"""
SIZE = 3 << 20


class Fleet:
    """Three hosts in memory, and a folder with artifacts of `small`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts = {name: MemoryTarget(name) for name in ("kvm1", "kvm2", "kvm3")}

    def artifact(self, version: str, *, verdict: str = "passed", xml: str = "") -> None:
        """Make an artifact, which becomes the latest one."""
        folder = self.folder / "artifacts" / "small" / f"2026-11-29.{version}"
        folder.mkdir(parents=True)
        data = version.encode() * SIZE
        (folder / "small.qcow2").write_bytes(data)
        (folder / "small.xml").write_text(xml or definition(recipe("")))
        image = {
            "file": "small.qcow2", "format": "qcow2", "size": SIZE, "virtual_size": 1 << 30,
            "sha256": hashlib.sha256(data).hexdigest(),
        }  # fmt: skip
        content: dict[str, Any] = {"name": "small", "version": folder.name, "image": image, "fingerprint": "f" * 64}
        if verdict:
            content["verification"] = {"verdict": verdict}
        (folder / "manifest.json").write_text(json.dumps(content))
        latest = folder.parent / "latest"
        latest.unlink(missing_ok=True)
        latest.symlink_to(folder.name)

    @property
    def current(self) -> str:
        return " ".join(one.current("small").rpartition(".")[2] or "-" for one in self.hosts.values())


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IMAGEBUILD_CONFIG", raising=False)
    (tmp_path / "imagebuild.yaml").write_text(PROJECT)
    made.artifact("1")
    monkeypatch.setattr(opening, "opened", lambda destination: made.hosts[destination.name].opened())
    return made


def invoked(command: click.Command, *words: str) -> Result:
    done = CliRunner().invoke(command, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit | ImageBuildError):
        raise done.exception
    return done


def problem(command: click.Command, *words: str) -> str:
    """The message and hint of an error that ends the command."""
    done = invoked(command, *words)
    if isinstance(done.exception, ImageBuildError):
        assert done.exception.exit_code == 2
        return f"{done.exception.message} [{done.exception.hint}]"
    assert done.exit_code == 2, done.output
    return done.output


def last(done: Result) -> dict[str, Any]:
    """The last event, which the schema describes."""
    event: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    Draft202012Validator(schema()).validate(event)
    return event


def test_a_release_reaches_all_hosts(fleet: Fleet) -> None:
    done = invoked(publish, "small", "--to", "all")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[-5] == "small 2026-11-29.1, 3 MiB"
    assert lines[-4].split() == ["kvm1", "switched", "0:00", "2026-11-29.1;", "3", "MiB", "sent"]
    assert lines[-1] == "3 switched"
    assert fleet.current == "1 1 1"
    again = invoked(publish, "small", "--to", "all")
    assert (again.exit_code, again.output.splitlines()[-1]) == (0, "3 unchanged")


def test_the_record_names_files_and_no_path(fleet: Fleet) -> None:
    invoked(publish, "small", "--to", "kvm1", "--as", "base")
    found = state.decoded(fleet.hosts["kvm1"].records["base"], "base").versions[0]
    assert f'<source file="{found.files[0].name}" />' in found.definition
    assert found.files[0].name.startswith("base--2026-11-29.1--")
    assert "/var/lib" not in found.definition
    assert "<name>" not in found.definition


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["small"], "--to"),
        (["nothing", "--to", "all"], "nothing is neither a file nor a folder"),
        (["small", "--to", "kvm9"], "no host, target or group 'kvm9'"),
        (["small", "--to", "all", "--as", "a/b"], "'a/b' is not a valid name of a template"),
        (["small", "--to", "all", "--canary", "0"], "at least one target"),
        (["small", "--to", "kvm1", "--canary", "first"], "none of these is among the targets of --to"),
        (["small", "--to", "all", "--keep-failed-canary"], "needs --canary"),
        (["small", "--to", "all", "--as", ""], "'' is not a valid name of a template"),
        (["imagebuild.yaml", "--to", "all"], "is an image file without a manifest"),
        (["imagebuild.yaml", "--to", "all"], "`imagebuild build RECIPE` makes one"),
        ([".", "--to", "all"], "give the folder of a finished build; `imagebuild build RECIPE` makes one"),
        (["../nothing", "--to", "all"], "`imagebuild build RECIPE` makes one"),
        (["small", "--to", "all", "--config", "none.yaml"], "none.yaml"),
    ],
)
def test_usage_errors(fleet: Fleet, words: list[str], wanted: str) -> None:
    assert wanted in problem(publish, *words)
    assert all(one.calls == [] for one in fleet.hosts.values())


@pytest.mark.parametrize("words", [["--canary", "mirror"], ["--canary", "4"], ["--dry-run", "--canary", "mirror"]])
def test_storage_is_no_canary_to_boot(fleet: Fleet, words: list[str]) -> None:
    (fleet.folder / "imagebuild.yaml").write_text(PROJECT + "targets:\n  mirror: {url: ./mirror}\n")
    fleet.hosts["mirror"] = MemoryTarget("mirror")
    said = problem(publish, "small", "--to", "all", "--canary-boot", *words)
    assert "the canary mirror is not a libvirt host" in said
    assert "--canary-check" in said
    assert all(one.calls == [] for one in fleet.hosts.values())


@pytest.mark.parametrize(
    ("verdict", "option", "other", "message"),
    [
        ("", "--unverified", "--despite-failure", "small 2026-11-29.2 has not been verified"),
        ("failed", "--despite-failure", "--unverified", "small 2026-11-29.2 did not pass its verification"),
    ],
)
def test_an_image_that_did_not_pass_needs_a_word(
    fleet: Fleet, verdict: str, option: str, other: str, message: str
) -> None:
    fleet.artifact("2", verdict=verdict)
    for words in ([], [other]):
        assert message in problem(publish, "small", "--to", "all", *words)
    assert fleet.current == "- - -"
    assert invoked(publish, "small", "--to", "all", option).exit_code == 0
    assert fleet.current == "2 2 2"
    assert state.decoded(fleet.hosts["kvm1"].records["small"], "small").versions[0].verdict == verdict


def test_an_altered_artifact_goes_nowhere(fleet: Fleet) -> None:
    path = fleet.folder / "artifacts/small/2026-11-29.1/small.qcow2"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    done = invoked(publish, "small", "--to", "all")
    assert isinstance(done.exception, ImageBuildError)
    assert "was changed after it was built" in done.exception.message
    assert all(one.calls == [] for one in fleet.hosts.values())


def test_a_definition_that_names_something_of_a_host_goes_nowhere(fleet: Fleet) -> None:
    hostile = definition(recipe("")).replace("<devices>", "<devices><hostdev mode='subsystem' type='usb'/>")
    fleet.artifact("2", xml=hostile)
    done = invoked(publish, "small", "--to", "all")
    assert isinstance(done.exception, ImageBuildError)
    assert "hostdev" in done.exception.message
    assert all(one.calls == [] for one in fleet.hosts.values())


def test_failures_are_in_the_table_with_what_to_do(fleet: Fleet) -> None:
    fleet.hosts["kvm2"].failing("send", "gone\x1b[31m\nfor good")
    done = invoked(publish, "small", "--to", "all")
    assert done.exit_code == 1
    assert "kvm2  failed         0:00  send: gone\\x1b[31m\\nfor good" in done.output
    assert done.output.splitlines()[-1] == "2 switched, 1 failed"
    assert "\x1b" not in done.output
    for one in fleet.hosts.values():
        one.failing("open")
    assert invoked(publish, "small", "--to", "all").exit_code == 3


def test_json_ends_with_what_happened_at_each_target(fleet: Fleet) -> None:
    fleet.hosts["kvm3"].failing("switch")
    done = invoked(publish, "small", "--to", "all", "--json")
    event = last(done)
    assert (event["event"], event["template"], event["version"]) == ("published", "small", "2026-11-29.1")
    assert [(one["target"], one["status"], one["phase"], one["sent"]) for one in event["targets"]] == [
        ("kvm1", "switched", "", SIZE), ("kvm2", "switched", "", SIZE), ("kvm3", "failed", "switch", SIZE),
    ]  # fmt: skip
    assert event["targets"][2]["message"] == "kvm3 does not answer: switch"
    steps = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    assert {(one["recipe"], one["step"]) for one in steps} == {
        ("small", "read"), ("kvm1", "publish"), ("kvm2", "publish"), ("kvm3", "publish"),
    }  # fmt: skip
    assert done.exit_code == 1


def test_a_dry_run_says_what_would_happen(fleet: Fleet) -> None:
    invoked(publish, "small", "--to", "kvm1")
    fleet.artifact("2")
    invoked(publish, "small", "--to", "kvm2")
    fleet.hosts["kvm3"].failing("state")
    done = invoked(publish, "small", "--to", "all", "--dry-run")
    assert done.output.splitlines()[-4:] == [
        "small 2026-11-29.2, 3 MiB; nothing was changed",
        "kvm1  would send up to 3 MiB and switch from 2026-11-29.1; has 1 version",
        "kvm2  current already; would be read back",
        "kvm3  failed: kvm3 does not answer: state",
    ]
    assert fleet.current == "1 2 -"
    event = last(invoked(publish, "small", "--to", "kvm1", "--dry-run", "--json"))
    assert (event["event"], event["size"], event["targets"][0]["sends"]) == ("planned", SIZE, SIZE)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["--canary", "2"], "kvm1 kvm2"),
        (["--canary", "first"], "kvm2"),
        (["--canary", "label=dc2"], "kvm2 kvm3"),
        ([], "kvm1"),
    ],
)
def test_canaries_are_checked_before_the_others(fleet: Fleet, words: list[str], first: str) -> None:
    invoked(publish, "small", "--to", "all")
    fleet.artifact("2")
    check = 'echo "$IMAGEBUILD_HOST $IMAGEBUILD_URI" >> checked; test -e good'
    done = invoked(publish, "small", "--to", "all", *words, "--canary-check", check)
    checked = sorted(Path("checked").read_text().splitlines())
    assert checked == [f"{name} qemu+ssh://root@{name}.example.org/system" for name in first.split()]
    assert done.exit_code == 1
    assert fleet.current == "1 1 1"
    assert "canary check: the check of the canary ended with exit status 1" in done.output
    assert "a canary is not good" in done.output
    kept = invoked(publish, "small", "--to", "all", *words, "--canary-check", check, "--keep-failed-canary")
    assert kept.exit_code == 1
    assert fleet.current == " ".join("2" if name in first else "1" for name in fleet.hosts)
    Path("good").touch()
    assert invoked(publish, "small", "--to", "all", *words, "--canary-check", check).exit_code == 0
    assert fleet.current == "2 2 2"


def test_rollback_and_its_output(fleet: Fleet) -> None:
    for version in "23":
        fleet.artifact(version)
        invoked(publish, "small", "--to", "kvm1,kvm2")
    done = invoked(rollback, "small")
    assert done.exit_code == 0, done.output
    assert fleet.current == "2 2 -"
    assert "kvm1  switched       0:00  2026-11-29.2; was 2026-11-29.3" in done.output
    assert done.output.splitlines()[-1] == "2 switched, 1 absent"
    assert invoked(rollback, "small", "--on", "kvm3").exit_code == 1
    event = last(invoked(rollback, "small", "--on", "kvm2", "--to", "2026-11-29.3", "--json"))
    assert (event["event"], event["to"], event["targets"][0]["previous"]) == (
        "rolled back", "2026-11-29.3", "2026-11-29.2",
    )  # fmt: skip
    assert "'..' is not a valid name of a version" in problem(rollback, "small", "--to", "..")
    assert "not a valid name of a template" in problem(rollback, "-")


def test_prune_shows_first_and_removes_with_yes(fleet: Fleet) -> None:
    for version in "234":
        fleet.artifact(version)
        invoked(publish, "small", "--to", "kvm1")
    assert "--keep" in problem(prune, "small")
    done = invoked(prune, "--keep", "1", "--on", "kvm1")
    assert done.output.splitlines() == [
        "kvm1: would remove small 2026-11-29.2, 3 MiB",
        "kvm1: would remove small 2026-11-29.3, 3 MiB",
        "6 MiB would be freed; add --yes to remove them",
    ]
    assert len(fleet.hosts["kvm1"].files) == 3
    event = last(invoked(prune, "--keep", "1", "--json"))
    assert (event["dry_run"], len(event["targets"][0]["removed"])) == (True, 2)
    fleet.hosts["kvm1"].users = {name: "vm1" for name in fleet.hosts["kvm1"].files if "29.2" in name}
    done = invoked(prune, "small", "--keep", "1", "--yes")
    assert done.output.splitlines() == [
        "kvm1: removed small 2026-11-29.3, 3 MiB",
        "kvm1: kept small 2026-11-29.2: used by vm1",
        "3 MiB freed",
    ]
    assert (done.exit_code, len(fleet.hosts["kvm1"].files)) == (0, 2)
    assert invoked(prune, "small", "--keep", "2").output == "nothing to remove\n"


def test_templates_shows_what_is_where(fleet: Fleet) -> None:
    invoked(publish, "small", "--to", "kvm1,kvm2")
    fleet.artifact("2")
    invoked(publish, "small", "--to", "kvm1")
    done = invoked(templates)
    assert done.exit_code == 0
    rows = [line.split() for line in done.output.splitlines()]
    assert [row[:4] for row in rows] == [
        ["TARGET", "TEMPLATE", "VERSION", "STATE"],
        ["kvm1", "small", "2026-11-29.2", "current"],
        ["kvm1", "small", "2026-11-29.1", "previous"],
        ["kvm2", "small", "2026-11-29.1", "current"],
        ["kvm3:", "no", "templates"],
    ]
    assert rows[1][5:] == ["3", "MiB", "passed"]
    first = next(iter(fleet.hosts["kvm2"].files))
    fleet.hosts["kvm2"].files[first] = bytes(SIZE)
    assert invoked(templates, "small").exit_code == 0
    checked = invoked(templates, "small", "--check", "--on", "label=dc2,kvm1")
    assert checked.exit_code == 1
    assert f"altered: {first}" in checked.output
    event = last(invoked(templates, "--check", "--json"))
    assert event["targets"][1]["templates"][0]["versions"][0]["drift"] == [{"file": first, "drift": "altered"}]


def error_of(done: Result) -> tuple[str, str | None]:
    assert isinstance(done.exception, ImageBuildError)
    assert done.exception.exit_code == 1
    return done.exception.message, done.exception.hint


@pytest.mark.parametrize("json_too", [False, True])
def test_a_template_that_no_target_has_is_an_error(fleet: Fleet, *, json_too: bool) -> None:
    invoked(publish, "small", "--to", "kvm1,kvm2")
    words = ["--json"] if json_too else []
    for command in (templates, prune):
        more = [*words, "--keep", "1", "--yes"] if command is prune else words
        done = invoked(command, "smal", *more)
        assert error_of(done) == ("no target has a template smal", "did you mean 'small'?")
        assert "KiB freed" not in done.output
        if json_too:
            assert [one["message"] for one in last(done)["targets"]] == ["no template smal"] * 3
        done = invoked(command, "small", "nope", "mope", *more)
        assert error_of(done) == ("no target has a template nope or mope", "known: small")
    assert error_of(invoked(rollback, "nope", *words))[0] == "no target has a template nope"
    assert fleet.current == "1 1 -"


def test_a_target_that_failed_may_have_the_template(fleet: Fleet) -> None:
    fleet.hosts["kvm1"].failing("open")
    done = invoked(templates, "small")
    assert error_of(done) == (
        "no target that answered has a template small",
        "`imagebuild templates` shows what is where",
    )
    assert "kvm1: failed at open" in done.output
    assert "kvm3: no template small" in done.output
    for host in fleet.hosts.values():
        host.failing("open")
    assert invoked(templates, "small").exit_code == 3


def test_leftovers_of_a_template_without_a_record_are_listed_and_removed(fleet: Fleet) -> None:
    left = f"old--1--{'a' * 16}.qcow2"
    fleet.hosts["kvm1"].files[left] = b"part"
    shown = invoked(templates, "old")
    assert (shown.exit_code, shown.exception) == (0, None)
    assert f"kvm1: left over: {left}, 1 KiB; `imagebuild prune` removes it unless something uses it" in shown.output
    fleet.hosts["kvm1"].users = {left: "vm1"}
    assert "is used by vm1" in invoked(prune, "old", "--keep", "1", "--yes").output
    fleet.hosts["kvm1"].users = {}
    assert invoked(prune, "old", "--keep", "1", "--yes").exit_code == 0
    assert left not in fleet.hosts["kvm1"].files


def test_a_record_that_cannot_be_used_is_listed_with_a_hint(fleet: Fleet) -> None:
    fleet.hosts["kvm1"].records["web"] = "{x"
    done = invoked(templates, "--on", "kvm1")
    assert done.exit_code == 1
    assert "it is not JSON" in done.output
    assert "kvm1: web: restore it with virsh edit" in done.output


def test_the_schema_is_printed(fleet: Fleet) -> None:
    assert json.loads(invoked(project.schema, "--of", "publish").stdout) == schema()


def test_an_interruption_is_exit_code_130_after_the_table(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    from imagebuild.publish import parallel

    whole = parallel.Work.each

    def interrupted(self: parallel.Work, *words: Any) -> Any:
        found = whole(self, *words)
        self.stop.set()
        return found

    monkeypatch.setattr(parallel.Work, "each", interrupted)
    done = invoked(publish, "small", "--to", "all", "--canary", "1")
    assert isinstance(done.exception, ImageBuildError)
    assert done.exception.exit_code == 130
    assert done.output.splitlines()[-1] == "1 switched, 2 not started"


def test_prune_claims_nothing_of_targets_that_it_could_not_read(fleet: Fleet) -> None:
    for host in fleet.hosts.values():
        host.failing("open")
    done = invoked(prune, "--keep", "2")
    assert done.exit_code == 3
    assert "kvm1: failed at open" in done.output
    assert "nothing to remove" not in done.output
