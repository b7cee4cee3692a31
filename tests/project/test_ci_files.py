"""The CI jobs that ``imagebuild init`` writes: each is what its CI system reads, and what they run works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import click
import pytest
import tree_sitter_groovy
import yaml
from check_jsonschema.cli import main as check_jsonschema
from click.testing import CliRunner
from tree_sitter import Language, Node, Parser

from imagebuild.cli.main import cli
from imagebuild.project.creation import CI, SCHEDULES, Ci, contents

SCHEMAS = {
    "github": "vendor.github-workflows",
    "gitlab": "vendor.gitlab-ci",
    "woodpecker": "vendor.woodpecker-ci",
    "forgejo": "vendor.github-workflows",  # Forgejo's own is a subset of it, and not published
}
FOLDERS = ("IMAGEBUILD_STORE", "IMAGEBUILD_OUTPUT")


def text_of(ci: Ci) -> str:
    return contents("web", "debian-13", ci)[CI[ci]]


def read(ci: Ci) -> Any:
    return yaml.safe_load(text_of(ci))


def test_each_choice_has_a_file() -> None:
    assert {*CI, *SCHEDULES, "none"} == set(get_args(Ci))


def accepted(ci: str, path: Path) -> bool:
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", SCHEMAS[ci], str(path)])
    assert "validation" in done.output, done.output
    return done.exit_code == 0


@pytest.mark.parametrize("ci", list(SCHEMAS))
def test_the_schema_of_its_ci_system_accepts_it(ci: Ci, tmp_path: Path) -> None:
    path = tmp_path / "ci.yml"
    path.write_text(text_of(ci))
    assert accepted(ci, path)
    path.write_text(re.sub("(runs-on|script|commands): ?", "wrong: ", text_of(ci)))
    assert not accepted(ci, path)


# https://www.jenkins.io/doc/book/pipeline/syntax/
DIRECTIVES = {
    "pipeline": {"agent", "options", "triggers", "environment", "stages", "post", "parameters", "tools"},
    "stages": {"stage"},
    "stage": {"agent", "when", "steps", "post", "environment", "options"},
    "post": {"always", "success", "failure", "changed", "cleanup", "unstable", "aborted"},
    "options": {"disableConcurrentBuilds", "timeout", "buildDiscarder"},
    "triggers": {"cron", "pollSCM", "upstream"},
    "steps": {"sh"},
    "when": {"anyOf"},
    "anyOf": {"triggeredBy", "branch"},
}


def calls(node: Node, above: str = "") -> Iterator[tuple[str, str]]:
    """Each call in a block, with the name of the block's own."""
    name = node.child_by_field_name("name") if node.type in ("method_invocation", "juxt_function_call") else None
    if name is not None and name.text is not None:
        yield above, name.text.decode()
        inner = name.text.decode() if any(one.type == "closure" for one in descendants(node)) else ""
    else:
        inner = above
    for child in node.children:
        if node.type != "argument_list":
            yield from calls(child, inner)


def descendants(node: Node) -> Iterator[Node]:
    for child in node.children:
        yield child
        yield from descendants(child)


def parsed(text: str) -> Node:
    return Parser(Language(tree_sitter_groovy.language())).parse(text.encode()).root_node


def test_jenkins_file_is_a_declarative_pipeline() -> None:
    root = parsed(text_of("jenkins"))
    assert not root.has_error
    assert parsed(text_of("jenkins").replace("stage('build') {", "stage('build') ")).has_error
    found = [(above, name) for above, name in calls(root) if above in DIRECTIVES]
    assert {"stages", "environment", "triggers"} <= {name for _, name in found}
    assert [(above, name) for above, name in found if name not in DIRECTIVES[above]] == []


@pytest.mark.parametrize("ci", list(CI))
def test_it_keeps_the_logs_of_failures_and_the_store(ci: Ci) -> None:
    text = text_of(ci)
    assert "@" not in re.sub(r"@v\d", "", text)
    assert "imagebuild nightly\n" in text or "imagebuild nightly'\n" in text
    assert re.search(r"imagebuild gc .*--max-size", text)
    assert "/failures" in text
    if ci not in ("woodpecker", "forgejo"):
        assert "verify.xml" in text
    if ci != "woodpecker":
        assert "reports/" in text
    if ci in ("github", "jenkins"):
        assert "lint --sarif >lint.sarif" in text
    assert all(name in text for name in FOLDERS)


@pytest.mark.parametrize("ci", list(CI))
def test_the_commands_are_imagebuilds(ci: Ci, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command line is parsed with the options that the command really has."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    lines = re.findall(r"\bimagebuild ((?:lint|nightly|gc)\b[^\n`']*)", re.sub(r"(?m)^ *(#|//).*", "", text_of(ci)))
    assert {line.split()[0] for line in lines} == {"lint", "nightly", "gc"}
    for line in lines:
        words = shlex.split(line.replace("$IMAGEBUILD_OUTPUT", "out"), comments=True)
        name, *rest = [word for word in words if not word.startswith((">", "||"))]
        command = cli.commands[name]
        assert isinstance(command, click.Command)
        command.make_context(name, [word for word in rest if word not in ("imagebuild", "lint")])


STUB = """\
#!/bin/sh
case $1 in
nightly)
    [ ! -e "$FAIL" ] || { mkdir -p "$IMAGEBUILD_STORE/failures/web"; exit 1; }
    mkdir -p "$IMAGEBUILD_OUTPUT/web/$VERSION"
    ln -sfn "$VERSION" "$IMAGEBUILD_OUTPUT/web/latest" ;;
esac
"""


def test_githubs_build_reports_whether_the_image_is_new(tmp_path: Path) -> None:
    """The scripts of the steps, run in their order as the runner runs them."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/imagebuild").write_text(STUB)
    (tmp_path / "bin/imagebuild").chmod(0o755)
    steps = {step.get("name", step.get("id")): step["run"] for step in read("github")["jobs"]["build"]["steps"]
             if "run" in step}  # fmt: skip

    def run(script: str, version: str) -> tuple[int, str]:
        results, environment = tmp_path / "output", tmp_path / "environment"
        results.write_text("")
        env = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "RUNNER_TOOL_CACHE": str(tmp_path),
               "GITHUB_ENV": str(environment), "GITHUB_OUTPUT": str(results), "VERSION": version,
               "FAIL": str(tmp_path / "fail")}  # fmt: skip
        given = environment.read_text().splitlines() if environment.exists() else []
        env |= dict(line.split("=", 1) for line in given)
        done = subprocess.run(["bash", "-e", "-c", script], env=env, check=False, cwd=tmp_path)
        return done.returncode, results.read_text()

    assert run(steps["choose the folders"], "")[0] == 0
    assert run(steps["build"], "1") == (0, "new=true\n")
    assert run(steps["build"], "1") == (0, "")
    assert run(steps["build"], "2") == (0, "new=true\n")
    (tmp_path / "fail").touch()
    assert run(steps["build"], "3") == (1, "")
    assert (tmp_path / "imagebuild/store/failures/web").is_dir()


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    made = contents("web", "debian-13", "systemd")
    units = [tmp_path / Path(path).name for path in SCHEDULES["systemd"]]
    for unit, path in zip(units, SCHEDULES["systemd"], strict=True):
        unit.write_text(made[path])

    def verified() -> str:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
        )
        return "\n".join(line for line in done.stderr.splitlines() if "imagebuild-nightly" in line)

    assert verified() == ""
    units[0].write_text(made["systemd/imagebuild-nightly.service"].replace("Type=oneshot", "Type=once\nNoSuchKey=1"))
    assert "NoSuchKey" in verified()


def test_the_cron_line_prints_only_failures(tmp_path: Path) -> None:
    """As cron runs it: without the backslashes before %, in sh."""
    (line,) = [one for one in contents("web", "debian-13", "cron")["cron/imagebuild-nightly"].splitlines()
               if one.startswith("0 ")]  # fmt: skip
    fields = line.split(None, 6)
    assert fields[5] == "root"
    command = fields[6].replace("\\%", "%").replace("/srv/images", str(tmp_path))
    stub = tmp_path / "imagebuild"
    stub.write_text('#!/bin/sh\necho "$@"; echo table; exit $(cat code)\n')
    stub.chmod(0o755)
    for code, printed in (("0", ""), ("1", "nightly --progress none\ntable\n")):
        (tmp_path / "code").write_text(code)
        env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=env, check=False)
        assert done.stdout == printed
