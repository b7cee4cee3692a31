"""An unchanged build takes the short way, and whatever changes makes it plan again: the words, the
project's files, the host, the store, imagebuild itself or the artifact.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from unchanged_changes import CHANGES, edited
from unchanged_site import MORE, RECIPE, UnchangedSite

from imagebuild.cli import unchanged_build

pytestmark = pytest.mark.seconds


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> UnchangedSite:
    site = UnchangedSite(tmp_path_factory.mktemp("site"))
    site.make()
    return site


@pytest.fixture
def site(made: UnchangedSite) -> Iterator[UnchangedSite]:
    """The site, whose next build takes the short way; the test leaves all as it was."""
    if not made.goes_short():
        made.remember()
    records = {path: path.read_bytes() for path in made.records()}
    yield made
    made.forget()
    for path, content in records.items():
        path.write_bytes(content)
        path.chmod(0o600)


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_makes_the_long_way_decide(site: UnchangedSite, change: str) -> None:
    undo = CHANGES[change](site)
    try:
        assert not site.goes_short()
    finally:
        undo()
        (site.output / "latest").unlink(missing_ok=True)
        (site.output / "latest").symlink_to(site.version.name)


BUILDS = ["the recipe", "a file that is a program now", "a program", "a shorter image", "a verdict that is gone"]


@pytest.mark.parametrize("change", BUILDS)
def test_what_changes_the_image_is_built(site: UnchangedSite, change: str) -> None:
    undo = CHANGES[change](site)
    try:
        done = [site.build() for _ in range(2)]
    finally:
        undo()
    assert [(one.planned, one.code) for one in done] == [(True, 3)] * 2
    assert all("this would be built" in one.errors for one in done)


@pytest.mark.parametrize(
    "options",
    [
        ["--max-age=7d"],
        ["--trace=trace.json"],
        ["-qv"],
        ["--remote-store", "shared"],
    ],
    ids=" ".join,
)
def test_some_builds_are_never_remembered(site: UnchangedSite, options: list[str]) -> None:
    before = site.records()
    assert [site.build(*options).planned for _ in range(2)] == [True, True]
    assert site.records() == before


@pytest.mark.parametrize("option", ["--if-changed", "--refresh", "--trace", "-v", "--verbose"])
def test_some_options_are_not_even_watched(option: str) -> None:
    assert unchanged_build.is_plain(["build", "web", "--json"])
    assert not unchanged_build.is_plain(["build", "web", option])
    assert not unchanged_build.is_plain(["plan", "web"])


def test_several_images_are_never_remembered(site: UnchangedSite) -> None:
    undo = edited("project/recipes/web.yaml", RECIPE + "matrix: {axes: {site: [a, b]}}\n")(site)
    try:
        assert [site.run("build", "web", "--jobs", "1").planned for _ in range(2)] == [True, True]
    finally:
        undo()


def test_a_recipe_with_a_secret_is_never_remembered(site: UnchangedSite) -> None:
    secret = "root:\n  password: {file: ../files/password}\n"
    undo = edited("project/recipes/web.yaml", RECIPE.replace("root:\n", secret))(site)
    before = (site.version / "manifest.json").read_bytes()
    site.write(site.project / "files" / "password", "correct horse\n")
    try:
        site.make()
        done = [site.build() for _ in range(3)]
    finally:
        undo()
        (site.version / "manifest.json").write_bytes(before)
    assert [(one.planned, one.code) for one in done] == [(True, 0)] * 3


def body(record: Path) -> dict[str, Any]:
    """What a record says."""
    found: dict[str, Any] = json.loads(json.loads(record.read_text())["body"])
    return found


def without_times(text: str) -> str:
    """Output without the seconds that something took."""
    return re.sub(r'(?<="seconds": )[\d.]+|(?<=section_start:)\d+|(?<=section_end:)\d+|(?<=  )0:\d\d(?=  )', "T", text)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--json"],
        ["--quiet"],
        ["--progress", "none"],
        ["--progress", "plain", "--sections", "gitlab"],
        ["--progress", "rich"],
        ["--no-verify", "--output", "{output}"],
    ],
    ids=" ".join,
)
def test_both_ways_report_and_record_the_same(site: UnchangedSite, options: list[str]) -> None:
    options = [one.format(output=site.project / "artifacts") for one in options]
    site.remember(*options)
    short = site.build(*options)
    site.forget()
    long = site.build(*options)
    assert (short.planned, long.planned) == (False, True)
    assert (short.code, short.errors) == (long.code, long.errors) == (0, "")
    assert without_times(short.output) == without_times(long.output)
    assert "2026-11-30.1/web.qcow2" in short.output
    own = ("run", "began", "ended", "seconds")
    last = [{key: value for key, value in one.items() if key not in own} for one in site.recorded()[:2]]
    assert last[0] == last[1]
    assert last[0]["outcome"] == "unchanged"


def test_warnings_are_reported_both_ways(site: UnchangedSite) -> None:
    undo = edited("project/recipes/base/more.yaml", MORE)(site)
    before = (site.version / "manifest.json").read_bytes()
    try:
        site.make()
        short = site.remember()
        site.forget()
        long = site.build()
    finally:
        undo()
        (site.version / "manifest.json").write_bytes(before)
    assert "all clones of this image would have the same" in short.output
    assert without_times(short.output) == without_times(long.output)


def test_output_that_fails_ends_both_ways_the_same(site: UnchangedSite) -> None:
    def build() -> tuple[int, str, bool]:
        with Path("/dev/full").open("w") as full:
            done = site.ended(site.start("build", "web", output=full.fileno()))
        return done.code, done.errors, done.planned

    short = build()
    site.forget()
    long = build()
    assert short == (*long[:2], False)
    assert long[2]
    assert "no space left" in long[1]
    assert [one["outcome"] for one in site.recorded()[:2]] == ["failed"] * 2


def test_a_build_waits_for_another_one_the_long_way(site: UnchangedSite) -> None:
    (record,) = [path for path in site.records() if json.loads(path.read_text())["body"].find('"as_json": false') > 0][
        :1
    ]
    decision = json.loads(json.loads(record.read_text())["body"])["decision"]
    hold = (
        "import sys; from pathlib import Path; from imagebuild.store.store import Store\n"
        "with Store(Path(sys.argv[1])).locked(sys.argv[2], print):\n    print('held', flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", hold, decision["store"], decision["lock"]]
    holder = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=site.variables())
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    build = site.start("build", "web")
    assert build.stdout is not None
    assert build.stdout.readline() == f"web  waiting for another build of it (process {holder.pid})\n"
    holder.communicate()
    done = site.ended(build)
    assert (done.planned, done.code) == (True, 0)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no JSON": lambda path: path.write_text("{"),
    "other JSON": lambda path: path.write_text("[]"),
    "a part of it": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "another version in it": lambda path: path.write_text(path.read_text().replace("2026-11-30.1", "2026-11-30.2")),
    "what others may read": lambda path: path.chmod(0o644),
    "what others may have put there": lambda path: path.parent.chmod(0o777),
    "a link": lambda path: (path.rename(path.with_suffix(".aside")), path.symlink_to(path.with_suffix(".aside"))),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_record_is_ignored(site: UnchangedSite, damage: str) -> None:
    site.forget()
    site.remember()
    (record,) = site.records()
    DAMAGES[damage](record)
    done = site.build()
    record.parent.chmod(0o700)
    if record.is_dir():
        record.rmdir()
    assert (done.planned, done.code) == (True, 0)


def test_a_record_of_other_words_is_not_used(site: UnchangedSite) -> None:
    site.forget()
    site.remember()
    (record,) = site.records()
    site.remember("--json")
    (other,) = {*site.records()} - {record}
    other.write_bytes(record.read_bytes())
    assert site.build("--json").planned


def test_a_record_tells_others_nothing(site: UnchangedSite) -> None:
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o600 for one in site.records())
    assert stat.S_IMODE(site.records()[0].parent.stat().st_mode) == 0o700


def test_only_the_last_command_lines_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unchanged_build, "_MOST", 2)
    for at in range(4):
        path = tmp_path / f"{at}.json"
        path.touch()
        os.utime(path, (at, at))
    unchanged_build._remove_oldest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.json", "3.json"]


NOTING = """
import builtins, os
looked = set()

def noting(function):
    def call(path, *args, **kwargs):
        if isinstance(path, (str, os.PathLike)) and not kwargs.get("dir_fd"):
            looked.add(os.path.join(os.getcwd(), os.fspath(path)))
        return function(path, *args, **kwargs)
    return call

for name in ("stat", "lstat", "access", "readlink", "open", "listdir", "scandir"):
    setattr(os, name, noting(getattr(os, name)))

def write():
    with builtins.open(os.environ["LOOKED"], "w") as file:
        file.write("\\n".join(sorted(looked)))

atexit.register(write)
"""


def test_all_that_a_plan_looks_at_is_compared(site: UnchangedSite) -> None:
    """A path that is looked up, without being opened, is in the record; a new one must be noted, too."""
    site.environment |= {"FIRST": NOTING, "LOOKED": str(site.folder / "looked")}
    try:
        site.forget()
        assert site.build().planned
        (record,) = site.records()
    finally:
        site.environment.clear()
    compared = {
        os.path.realpath(site.project / path)
        for kind in ("files", "folders", "places", "libraries")
        for path in body(record)["inputs"][kind]
    }
    above = {str(parent) for path in compared for parent in Path(path).parents}
    looked = {os.path.realpath(path) for path in (site.folder / "looked").read_text().splitlines()}
    others = (
        # the interpreter and what is installed, of which names and times are compared
        sys.prefix, sys.base_prefix + "/lib", site.libraries, site.tree / "imagebuild", "/usr/share/locale",
        # compared as the states of probes
        *(site.programs, "/usr/bin", "/usr/sbin", "/usr/local", "/bin", "/sbin", "/etc/apt", "/var/lib/apt/lists"),
        # compared when the build is reported
        *(site.output.parent, site.store / "work", site.store / "locks", site.home / ".cache", "/dev", "/proc"),
        *(site.home / ".local", site.folder / "short"),
    )  # fmt: skip
    unknown = {path for path in looked - compared - above if not path.startswith(tuple(map(str, others)))}
    of_store = {path for path in unknown if Path(path).parent == site.store}
    assert unknown - of_store == set()
