"""Every command's ``--json``: each line is what its JSON Schema describes, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator, ValidationError

from imagebuild import scrub as scrubbing
from imagebuild.cli import json_output, json_page
from imagebuild.cli import scrub as scrub_command
from imagebuild.cli.main import _wants_json, cli
from imagebuild.customise import registry as operations
from imagebuild.host.accelerator import Verdict
from imagebuild.publish import instance
from imagebuild.publish.instance_record import Instance, Usable
from imagebuild.publish.libvirt_target import LibvirtTarget
from imagebuild.schema.customised import Change, CustomiseResult, OperationResult
from imagebuild.store.history import History
from imagebuild.store.store import Store
from tests.cli import test_inspect, test_publish_commands, test_verify_command
from tests.cli.test_history_command import BUILT, FAILED
from tests.exports import artifacts as exported
from tests.shelf import artifacts as shelved

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "json.md"
artifacts = test_inspect.artifacts
fleet, Fleet = test_publish_commands.fleet, test_publish_commands.Fleet
output, verifier = test_verify_command.output, test_verify_command.verifier
HEAD = "os: {family: debian, version: 13, codename: trixie}\ninstaller: {mirror: http://mirror.example/debian}\n"


def closed(node: Any) -> Any:
    """The schema without room for fields that it does not name."""
    if isinstance(node, dict):
        inner = {key: closed(value) for key, value in node.items()}
        return {**inner, "additionalProperties": False} if "properties" in node and "required" in node else inner
    return [closed(one) for one in node] if isinstance(node, list) else node


def validated(command: str, text: str) -> list[dict[str, Any]]:
    """The lines of a command, each of which its schema describes completely."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    validator = Draft202012Validator(closed(json_output.schema(command)))
    for line in lines:
        assert isinstance(line["schema"], int)
        validator.validate(line)
    return lines


def ran(*words: str | Path, code: int = 0) -> list[dict[str, Any]]:
    """The lines of a command with ``--json``, which the schema that `imagebuild schema` prints describes."""
    given = [str(word) for word in words]
    done = CliRunner().invoke(cli, [*given, "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return validated(given[0], done.stdout)


def events(lines: list[dict[str, Any]]) -> list[str]:
    return [f"{line['event']} {line['state']}" if "state" in line else line["event"] for line in lines]


def commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name in group.commands:
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from commands(command, above or name)
        else:
            yield above or name, command


def test_every_command_with_the_option_has_a_schema() -> None:
    having = {name for name, command in commands(cli) if any(one.name == "as_json" for one in command.params)}
    assert having == set(json_output.OUTPUTS)


@pytest.mark.parametrize("command", list(json_output.OUTPUTS))
def test_a_schema_is_valid_and_distinguishes_its_lines(command: str) -> None:
    schema = json_output.schema(command)
    Draft202012Validator.check_schema(schema)
    names = [kind.__dataclass_fields__["event"].default for kind in json_output.kinds_of(command)]
    states = [getattr(kind, "state", "") for kind in json_output.kinds_of(command)]
    assert len(set(zip(names, states, strict=True))) == len(names)
    printed = CliRunner().invoke(cli, ["schema", "--output", command]).stdout
    assert json.loads(printed) == schema


def test_an_unknown_field_a_missing_one_and_a_wrong_type_are_found() -> None:
    line = {"schema": 1, "event": "created", "name": "web", "files": ["x"]}
    assert validated("init", json.dumps(line))
    for wrong in ({**line, "more": 1}, {**line, "files": "x"}, {**line, "event": "made"}, {**line, "schema": 2}):
        with pytest.raises(ValidationError):
            validated("init", json.dumps(wrong))
    del line["name"]
    with pytest.raises(ValidationError):
        validated("init", json.dumps(line))


def test_the_page_is_generated(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--regenerate"):
        PAGE.write_text(json_page.text(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == json_page.text()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/web.yaml").write_text(f"name: web\n{HEAD}packages: [vim]\n")
    (tmp_path / "recipes/shop.yaml").write_text(f"name: shop-${{size}}\nmatrix: {{size: [s, l]}}\n{HEAD}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEBUILD_STORE", str(tmp_path / "store"))
    return tmp_path


def test_recipes_and_plans(project: Path) -> None:
    found = {line["name"]: line for line in ran("list")}
    assert found["shop-s"]["axes"] == {"size": "s"}
    (plan,) = ran("plan", "web")
    assert (plan["event"], plan["recipe"], plan["image"]) == ("plan", "web", None)
    assert [line["recipe"] for line in ran("plan", "shop")] == ["shop-s", "shop-l"]
    assert ran("init", "new", "--name", "shop")[0]["files"][0] == "new/recipes/shop.yaml"


def test_lint(project: Path) -> None:
    assert events(ran("lint", "web", "--offline"))[-1] == "summary"
    (project / "wrong.ks").write_text("lang en_US\nnonsense\n")
    found = ran("lint", "wrong.ks", code=2)
    assert events(found)[-2:] == ["finding", "summary"]
    assert found[-1]["errors"] == len([one for one in found if one.get("severity") == "error"])
    assert {one["event"] for one in ran("lint", "--list-rules")} == {"rule"}
    assert {one["event"] for one in ran("lint", "--list-syntaxes")} == {"syntax"}


def test_operations_and_checks() -> None:
    for group, event in (("operations", "operation"), ("checks", "check")):
        listed = ran(group, "list")
        assert {one["event"] for one in listed} == {event}
        assert ran(group, "show", listed[3]["name"]) == [listed[3]]
        Draft202012Validator.check_schema({**listed[3]["parameters"], "$schema": json_output.DIALECT})


def test_history_and_gc(project: Path) -> None:
    store = Store(project / "store")
    for build in (BUILT, FAILED):
        History(store).put(build)
    assert [one["outcome"] for one in ran("history")] == ["failed", "built"]
    made = store.root / "damaged" / "x"
    made.mkdir(parents=True)
    (made / "file").write_bytes(bytes(5000))
    (collected,) = ran("gc", "--dry-run")
    assert collected["dry_run"]
    assert collected["removed"]


def test_hosts(project: Path) -> None:
    (project / "imagebuild.yaml").write_text(
        "hosts:\n  kvm1: {uri: qemu+ssh://root@kvm1/system, path: /srv, identity_file: id, known_hosts_file: known}\n"
        "targets:\n  s3: {url: s3://images/x, endpoint: https://s3.example.org, region: x, access_key: {env: KEY},"
        " secret_key: {file: secret}}\n  sftp: {url: sftp://x@y/z, identity_file: id, known_hosts_file: known}\n"
        "groups:\n  all-of-it: [kvm1, s3]\n"
    )
    (project / "known").write_text("kvm1 ssh-ed25519 AAAA\n")
    found = ran("hosts")
    assert events(found) == ["host", "target", "target", "group"]
    assert found[1]["access_key"] == {"env": "KEY"}
    assert "file" not in ran("hosts", "--to", "qemu:///system")[0]


@pytest.mark.seconds
def test_doctor(project: Path) -> None:
    found = ran("doctor", code=CliRunner().invoke(cli, ["doctor"]).exit_code)
    assert set(events(found)) == {"requirement", "ability"}


def test_inspect_and_diff(artifacts: Path) -> None:
    assert isinstance(ran("inspect", "web")[0]["files"], int)
    assert ran("inspect", "web", "--all")[0]["files"]
    (found,) = ran("diff", "artifacts/web/2026-11-28.1", "web", "--fail-on", "new-setuid-file", code=1)
    assert (found["event"], found["same"], bool(found["gates"])) == ("compared", False, True)
    for part in ("accounts", "units", "files"):
        assert found[part]["added"] or found[part]["removed"] or found[part]["changed"], part


def test_publishing(fleet: Fleet) -> None:
    assert events(ran("publish", "small", "--to", "all"))[-1] == "published"
    fleet.artifact("2")
    assert events(ran("publish", "small", "--to", "all", "--dry-run"))[-1] == "planned"
    ran("publish", "small", "--to", "all")
    assert events(ran("templates", "--check"))[-1] == "templates"
    assert events(ran("rollback", "small", "--on", "kvm1"))[-1] == "rolled back"
    assert events(ran("prune", "--keep", "1"))[-1] == "pruned"
    fleet.artifact("3")
    fleet.hosts["kvm3"].failing("switch")
    assert ran("publish", "small", "--to", "all", code=1)[-1]["targets"][2]["status"] == "failed"


def test_verify(output: Path, verifier: test_verify_command.Verifier) -> None:
    (line,) = ran("verify", "small", "--output", output, code=1)
    assert line["result"]["schema"] == 1


@pytest.mark.seconds
def test_export_and_shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = exported.made(tmp_path, sizes=(2 * exported.MIB,))
    assert events(ran("export", made.artifact.folder, "azure", "out"))[-1] == "exported"
    shelved.artifact(tmp_path / "shelved")
    assert events(ran("shelf", "build", "shelf", "--output", "shelved"))[-1] == "shelf"


def test_scrub_and_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(bytes(4096))
    name = operations.TEMPLATE[0]
    changed = OperationResult(name, "changed", "", (Change("/x", "removed", "--- a\n"),), 0.5, (Change("/y", "no"),))
    done = CustomiseResult((changed,), {})
    monkeypatch.setattr(scrubbing, "scrub", lambda *_, **__: done)
    monkeypatch.setattr(scrubbing, "audit", lambda *_, **__: done)
    monkeypatch.setattr(scrub_command.accelerator, "verdict", lambda _: Verdict("tcg", "none"))
    store = ("--store", tmp_path / "store")
    assert ran("scrub", image, "--dry-run", *store, code=1)[-1]["operations"][0]["changes"][0]["path"] == "/x"
    assert events(ran("audit", image, *store, code=1)) == ["step started", "step done", "audited"]


def test_instantiate(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Instance("web1", "u", "web", "1", ("/v",), ("52:54:00:00:00:01",), "web1", "cloud-init", emulated=True)
    monkeypatch.setattr(LibvirtTarget, "__enter__", lambda self: self)
    monkeypatch.setattr(LibvirtTarget, "__exit__", lambda *_: None)
    monkeypatch.setattr(instance, "instantiate", lambda *_, **__: made)
    monkeypatch.setattr(instance, "removed", lambda *_, **__: None)
    monkeypatch.setattr(instance, "wait", lambda *_, **__: Usable("login prompt", 3.0, ""))
    words = ("instantiate", "web", "web1", "--on", "qemu:///session")
    assert ran(*words, "--wait")[-1]["usable"]["sign"] == "login prompt"
    assert events(ran(*words, "--remove"))[-1] == "removed"


def imagebuild(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "IMAGEBUILD_STORE": str(folder / "store")}
    argv = [sys.executable, "-m", "imagebuild", *words]
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["build", "--jbos", "2", "web", "--json"], 2, "No such option"),
        (["build", "nothing", "--json"], 2, "there is no recipe"),
        (["build", "wrong", "--json"], 2, "wrong.yaml:1"),
        (["gc", "--keep", "0", "--json"], 2, "--keep"),
        (["inspect", "nothing", "--json"], 2, "neither a file"),
    ],
)
def test_an_error_is_the_last_line(project: Path, words: list[str], code: int, said: str) -> None:
    (project / "recipes/wrong.yaml").write_text("nmae: wrong\n")
    done = imagebuild(*words, folder=project)
    error = validated(words[0], done.stdout)[-1]
    assert (done.returncode, error["exit_code"], error["event"]) == (code, code, "error")
    assert said in error["message"]


def test_a_build_that_fails(project: Path) -> None:
    """Its steps, and its error: nothing listens at the mirror."""
    text = (project / "recipes/web.yaml").read_text().replace("http://mirror.example", "http://127.0.0.1:9")
    (project / "recipes/web.yaml").write_text(text)
    done = imagebuild("build", "web", "--json", folder=project)
    lines = validated("build", done.stdout)
    assert events(lines)[0] == "step started"
    assert {"step failed", "error"} <= set(events(lines))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["gc", "--json"], True),
        (["gc"], False),
        (["run", "web", "curl", "--json"], False),
        (["run", "web", "--", "curl", "--json"], False),
    ],
)
def test_the_words_of_a_guests_command_are_its_own(words: list[str], wanted: bool) -> None:
    assert _wants_json(words) == wanted
