"""docs/hosts.md, the JSON Schema and the file of ``init`` match the model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from imagebuild.cli.main import cli
from imagebuild.errors import RecipeError
from imagebuild.project import schema
from imagebuild.project.load import validate
from imagebuild.project.model import Project
from imagebuild.project.uri import PARAMETERS
from imagebuild.recipe.yaml.reader import parse

PAGE = Path(__file__).parents[2] / "docs" / "hosts.md"
TEXT = PAGE.read_text(encoding="utf-8")


def examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def skeleton() -> str:
    """The examples in the file that ``init`` writes, without the comment signs."""
    written = (resources.files("imagebuild.skeleton") / "imagebuild.yaml").read_text(encoding="utf-8")
    lines = written.replace("@NAME@", "web").splitlines()
    assert all(line.startswith("#") for line in lines)
    return "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[lines.index("# hosts:") :]) + "\n"


def loaded(text: str) -> Project:
    return validate(parse(text, "imagebuild.yaml"), Path("imagebuild.yaml"))


@cache
def validator() -> Draft7Validator:
    made = json.loads(schema.text())
    Draft7Validator.check_schema(made)
    return Draft7Validator(made)


def refused(text: str) -> list[str]:
    """Where the schema refuses a file."""
    found = validator().iter_errors(parse(text, "imagebuild.yaml").data)
    return sorted(".".join(str(step) for step in error.absolute_path) for error in found)


def test_the_keys_match_the_model(golden: Callable[[Path, str], None]) -> None:
    begin, end = re.search(r"<!-- keys: begin .*? -->\n", TEXT), TEXT.index("<!-- keys: end -->")
    assert begin is not None
    golden(PAGE, TEXT[: begin.end()] + schema.table() + TEXT[end:])


def test_the_parameters_of_uris_match_what_is_accepted() -> None:
    rows = re.findall(r"^\| (ssh|tls|tcp|unix) \| (.*) \|$", TEXT, re.MULTILINE)
    assert {transport: re.findall("`(.*?)`", cell) for transport, cell in rows} == {
        transport: list(parameters) for transport, parameters in PARAMETERS.items()
    }


def test_the_uris_that_it_says_are_refused_are_refused() -> None:
    rows = [row.split(" | ")[0] for row in TEXT.split("| URI | reason |")[1].split("\n\n")[0].splitlines()[2:]]
    written = [one.replace("…", "x") for row in rows for one in re.findall("`(.*?)`", row)]
    assert len(written) == 10
    for one in written:
        uri = f"qemu+ssh://h/system{one}" if one.startswith("?") else one.replace("://x", "://h/system")
        with pytest.raises(RecipeError):
            loaded(f"hosts:\n  a: {{uri: '{uri}'}}\n")


def test_its_example_shows_what_hosts_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (text,), (shown,) = examples("yaml"), examples("console")
    (tmp_path / "imagebuild.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    command, output = shown.removeprefix("$ imagebuild ").split("\n", 1)
    cli.main(command.split(), standalone_mode=False)
    assert capsys.readouterr().out == output


def test_the_file_of_init_is_empty_and_its_examples_are_valid() -> None:
    written = (resources.files("imagebuild.skeleton") / "imagebuild.yaml").read_text(encoding="utf-8")
    assert not loaded(written).entries
    made = loaded(skeleton())
    assert list(made.entries) == ["kvm1", "kvm2", "here", "mirror", "bucket"]
    assert set(made.groups) == {"canary", "production"}


@pytest.mark.parametrize("text", [*examples("yaml"), skeleton(), "hosts:\n", "groups:\n  g:\n", ""])
def test_the_schema_accepts(text: str) -> None:
    assert refused(text) == []
    assert loaded(text)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("hots: {}", ""),
        ("hosts: []", "hosts"),
        ("hosts: {a: {pool: x}}", "hosts"),
        ("hosts: {a: {uri: h}}", "hosts"),
        ("hosts: {a b: {uri: qemu:///system}}", "hosts"),
        ("targets: {a: {url: ''}}", "targets"),
        ("targets: {a: {url: s3://bbb, access_key: x}}", "targets"),
        ("groups: {g: a}", "groups"),
        ("groups: {g: [a b]}", "groups"),
    ],
)
def test_the_schema_and_the_loader_refuse(text: str, where: str) -> None:
    assert refused(text) == [where]
    with pytest.raises(RecipeError):
        loaded(text)


def test_every_key_is_described() -> None:
    assert "|  |" not in schema.table()
