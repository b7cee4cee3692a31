"""The command line: what it prints and how it exits."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from imagebuild.cli.main import _places as places
from imagebuild.cli.main import cli, main
from imagebuild.host.process import run

ROOT = Path(__file__).parents[2]


class Imagebuild(Protocol):
    def __call__(self, *words: str) -> Done: ...


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def imagebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Imagebuild]:
    """The command line in this process, in the repository's folder, with its own store."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("IMAGEBUILD_STORE", str(tmp_path / "store"))
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGHUP)}

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["imagebuild", *words])
        capsys.readouterr()
        code: str | int | None = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        captured = capsys.readouterr()
        return Done(int(code or 0), captured.out, captured.err)

    yield run
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


def test_help_has_examples_and_exit_codes(imagebuild: Imagebuild) -> None:
    text = imagebuild("--help").stdout
    assert "imagebuild build debian-13" in text
    assert "130 interrupted" in text
    assert "Examples:" in imagebuild("build", "--help").stdout


def test_an_unknown_recipe_is_a_usage_error_that_names_similar_recipes(tmp_path: Path, imagebuild: Imagebuild) -> None:
    done = imagebuild("plan", "debain-13")
    assert done.returncode == 2
    assert "debian-13" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        "name: wrong\nos: {family: debian, version: 13, codename: trixie}\ndisk:\n  sise: 4GiB\npackages: [-x]\n"
    )
    return path


def test_all_errors_of_a_recipe_are_reported_with_their_lines(
    wrong: Path, tmp_path: Path, imagebuild: Imagebuild
) -> None:
    for command in ("lint", "plan", "build", "render"):
        done = imagebuild(command, str(wrong))
        assert done.returncode == 2, command
        assert f"{wrong}:4: disk.sise:" in done.stderr
        assert "size" in done.stderr
        assert f"{wrong}:5: packages[0]" in done.stderr


def test_errors_are_json_on_request(wrong: Path, tmp_path: Path, imagebuild: Imagebuild) -> None:
    done = imagebuild("build", str(wrong), "--json")
    assert done.returncode == 2
    assert done.stderr == ""
    event = json.loads(done.stdout.splitlines()[-1])
    assert event["event"] == "error"
    assert {problem["line"] for problem in event["problems"]} == {4, 5}


def test_lint_without_names_checks_the_recipes_of_the_project(
    wrong: Path, imagebuild: Imagebuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(wrong.parent)
    (wrong.parent / "recipes").mkdir()
    wrong.rename(wrong.parent / "recipes" / "own.yaml")
    done = imagebuild("lint")
    assert done.returncode == 2
    assert "recipes/own.yaml:4: disk.sise:" in done.stderr
    assert "debian" not in done.stderr


def test_a_missing_recipe_is_answered_with_the_names_of_those_here(
    tmp_path: Path, imagebuild: Imagebuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "web.yaml").write_text("extends: debian-13.yaml\n")
    for command in ("build", "plan"):
        done = imagebuild(command)
        assert done.returncode == 2
        assert "The recipes here: web (`imagebuild list` shows all)" in done.stderr


def test_lint_of_all_shipped_recipes_finds_nothing(imagebuild: Imagebuild) -> None:
    done = imagebuild("lint")
    assert done.returncode == 0, done.stderr
    assert "no problems found" in done.stdout


def test_render_prints_the_kickstart_without_secrets(tmp_path: Path, imagebuild: Imagebuild) -> None:
    done = imagebuild("render", "debian-13")
    assert done.returncode == 0
    assert "liveimg --url=file:///run/kickstrap/payload" in done.stdout
    assert "rootpw --lock" in done.stdout


def test_a_store_that_cannot_be_created_is_a_host_error(tmp_path: Path, imagebuild: Imagebuild) -> None:
    (tmp_path / "file").write_text("")
    done = imagebuild("plan", "debian-13", "--store", str(tmp_path / "file" / "store"))
    assert done.returncode == 3
    assert "cannot make the store" in done.stderr


def test_operations_are_listed_and_shown(imagebuild: Imagebuild) -> None:
    assert "remove-ssh-host-keys" in imagebuild("operations", "list").stdout
    assert "Parameters" in imagebuild("operations", "show", "install-packages").stdout
    assert imagebuild("operations", "show", "no-such").returncode == 2


@pytest.mark.seconds
@pytest.mark.parametrize("words", [["operations", "list"], ["schema"], ["build", "nothing", "--json"]])
def test_a_full_standard_output_is_one_sentence(words: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "imagebuild", *words],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False,
        )  # fmt: skip
    assert done.stderr == "imagebuild: cannot write to standard output: no space left\n"
    assert done.returncode == 1


@pytest.mark.seconds
def test_publishing_with_a_full_standard_output_is_one_sentence(tmp_path: Path) -> None:
    for words in (["templates", "--on", tmp_path], ["templates", "--on", tmp_path, "--json"]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "imagebuild", *words],
                stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, timeout=60, check=False,
            )  # fmt: skip
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "cannot write to standard output: no space left" in done.stderr


def test_list_names_the_shipped_recipe(imagebuild: Imagebuild) -> None:
    found = [json.loads(line) for line in imagebuild("list", "--json").stdout.splitlines()]
    assert "debian-13" in {one["name"] for one in found}


def test_a_store_that_cannot_be_written_is_reported_in_a_sentence(
    imagebuild: Imagebuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied", "/store/key")

    monkeypatch.setattr("imagebuild.store.store.Store.key", refuse)
    done = imagebuild("plan", "debian-13")
    assert done.returncode == 3
    assert "Permission denied (/store/key)" in done.stderr


@pytest.mark.seconds
def test_a_build_imports_no_more_than_it_needs() -> None:
    """If the store has all results, imports take most of a build's time.

    The terminal, downloads and other commands are not imported.
    """
    modules = run([sys.executable, "-c", "import imagebuild.cli.build, sys; print(*sys.modules)"], timeout=60).stdout
    loaded = set(modules.split())
    assert "imagebuild.build.engine" in loaded
    assert loaded & {"rich", "imagebuild.fetch.transfer", "imagebuild.cli.scrub", "guestfs"} == set()
    assert not [name for name in loaded if name.startswith("imagebuild.customise.operations.")]


@pytest.mark.seconds
def test_lint_imports_no_more_than_it_needs() -> None:
    code = "from imagebuild.cli.main import cli; cli.main(['lint', '--offline', 'recipes/debian-13.yaml'],"
    code = f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); {code} standalone_mode=False)"
    loaded = set(run([sys.executable, "-c", code], cwd=ROOT, timeout=60).stdout.splitlines()[-1].split())
    assert "imagebuild.kickstart.check" in loaded
    disks = {"guestfs", "libvirt", "imagebuild.guest.disk", "imagebuild.guest.launch"}
    assert loaded & {"rich", "pycurl", "sqlite3", "imagebuild.events", "imagebuild.contents.inventory", *disks} == set()


def test_help_lists_each_command_with_its_first_paragraph_and_imports_none() -> None:
    report = "atexit.register(lambda: print(*sys.modules))"
    code = f"import atexit, sys; {report}; from imagebuild.cli.main import main; main()"
    done = run([sys.executable, "-c", code, "--help"], timeout=60)
    text, _, loaded = done.stdout.rstrip().rpartition("\n")
    assert (
        set(loaded.split())
        & {"imagebuild.recipe.model.recipe", "imagebuild.build.engine", "pydantic", "rich", "guestfs"}
        == set()
    )
    listed = "".join(text.split())  # a line may also end after a hyphen
    for name, command in cli.commands.items():
        first = "".join((command.help or "").split("\n\n")[0].split())
        assert f"{name}{first}" in listed


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["build", "web"], ["--store", "--output"]),
        (["init", "folder"], []),
        (["hosts"], []),
        (["shelf", "build", "x"], ["--output"]),
        (["no-such-command"], []),
        ([], []),
    ],
)
def test_options_for_another_file_system(words: list[str], options: list[str]) -> None:
    assert places(words) == options


def test_a_full_disk_has_a_hint_that_the_command_knows(
    imagebuild: Imagebuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("imagebuild.trust.signers.os.fsync", full)
    done = imagebuild("attest", "--new-key", str(tmp_path / "key.pem"))
    assert done.returncode == 3
    assert done.stderr.endswith("No space left on device\n    hint: choose another file with --new-key\n")
    assert not (tmp_path / "key.pem").exists()
