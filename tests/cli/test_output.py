"""Terminal output: untrusted names cannot control the terminal, whichever command prints them."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import signal
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_server import scripted
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from imagebuild import doctor, fetch, log
from imagebuild import scrub as scrubbing
from imagebuild.build import engine, gc
from imagebuild.build.scheduler import Outcome
from imagebuild.cli import build_results, output, report
from imagebuild.cli import main as program
from imagebuild.cli.options import RecipeName
from imagebuild.cli.terminal import TerminalReporter
from imagebuild.errors import HostError, ImageBuildError, InstallFailed, Problem
from imagebuild.events import ArtifactReady, ErrorReported
from imagebuild.fetch import Limits
from imagebuild.kickstart import sarif
from imagebuild.progress import Reporter
from imagebuild.schema.customised import Change, CustomiseResult, OperationResult
from imagebuild.store.history import Build, History
from imagebuild.store.store import Store

CLI = Path(program.__file__).parent
BAD = "n\x1b]0;t\x07\x1b[31m\x9b1m\x7f\u202e\u2066\u2069\u200e\u061c\u2028\r\nfake: line\x08[red]x[/red]"
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
    | st.sampled_from("\x1b\x07\n\r\t\x9b\x9d\x7f\u202e\u2066\u200f\u061c\u2028\u2029\u200b"),
    min_size=1,
    max_size=40,
)
names = settings(max_examples=15)


class Printed:
    """What a command printed on each stream, as bytes, and how it ended."""

    def __init__(self) -> None:
        self.code: object = 0
        self._streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2)]

    @contextmanager
    def taken(self) -> Iterator[None]:
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self._streams
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before

    def _text(self, at: int) -> str:
        self._streams[at].flush()
        return self._streams[at].buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]

    @property
    def out(self) -> str:
        return self._text(0)

    @property
    def err(self) -> str:
        return self._text(1)


def assert_safe(text: str, allowed: str = "\n\t") -> None:
    for character in text:
        assert character in allowed or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}, text


def ran(*words: str | Path) -> Printed:
    """Run the program with captured streams; everything it prints must be safe."""
    printed = Printed()
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGHUP)}
    before = sys.argv, sys.excepthook
    sys.argv = ["imagebuild", *map(str, words)]
    with printed.taken():
        try:
            program.main()
        except SystemExit as ended:
            printed.code = ended.code
        finally:
            sys.argv, sys.excepthook = before
            for signum, handler in handlers.items():
                signal.signal(signum, handler)
    for text in (printed.out, printed.err):
        assert_safe(text)
    if "--json" in words:
        assert printed.out.isascii()
        for line in printed.out.splitlines():
            json.loads(line)
    return printed


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGEBUILD_STORE", str(tmp_path / "store"))


# The source.


def test_only_one_module_prints() -> None:
    """And one function passes texts to rich and makes them safe."""
    found = []
    for path in sorted(CLI.glob("*.py")):
        tree = ast.parse(path.read_text())
        inside = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) and function.name == "_text"
            for node in ast.walk(function)
        }
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            called = ast.unparse(call.func)
            prints = re.search(r"^(print|Text|Markdown|Panel|Table)$|\becho\w*$|\.print\w*$", called)
            own = re.fullmatch(r"echo(_\w+)?|reports\.emit|self\._console\.print", called)
            if path.name != "output.py" and prints and not own and not (called == "Text" and id(call) in inside):
                found.append(f"{path.name}:{call.lineno}: {called}")
            if called == "self._console.print":
                assert ast.unparse(call.args[0]).startswith("_text(") or ast.unparse(call.args[0]) == "text"
            if called == "TextColumn":
                assert any(word.arg == "markup" for word in call.keywords), f"{path.name}:{call.lineno}"
        found += [
            f"{path.name}:{name.lineno}: {ast.unparse(name)}"
            for name in ast.walk(tree)
            if isinstance(name, ast.Attribute)
            and re.fullmatch(r"sys\.(__)?std(out|err)(__)?", ast.unparse(name))
            and path.name != "output.py"
        ]
    # Closes a stream that nobody reads; the log's handler, whose formatter makes lines safe.
    allowed = {"main.py": "sys.stderr", "options.py": "sys.stderr"}
    assert {line.partition(":")[0]: line.rpartition(" ")[2] for line in found} == allowed
    assert len(found) == len(allowed)


# The functions.


def test_lines_texts_data_and_documents() -> None:
    printed = Printed()
    with printed.taken():
        output.echo("a\nb\x1b")
        output.echo()
        output.echo_lines(["c\n", "d"])
        output.echo_text("e\n\tf\x1b")
        output.echo_data({"g\u202e": "\x7f\x9b\udcff"})
        output.echo_document("h\x1b")
        output.echo("i", err=True)
    assert printed.out == 'a\\nb\\x1b\n\nc\\n\nd\ne\n\tf\\x1b\n{"g\\u202e": "\\u007f\\u009b\\udcff"}\nh\x1b'
    assert printed.err == "i\n"


def test_a_secret_of_digits_is_masked_in_texts_and_leaves_json_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_spellings", set())
    log.hide("4711")
    printed = Printed()
    with printed.taken():
        output.echo_data({"size": 347112, "inner": [{"text": "the PIN is 4711\n"}], "tuple": ("4711", True, None)})
    found = json.loads(printed.out)
    assert found == {"size": 347112, "inner": [{"text": "the PIN is [secret]\n"}], "tuple": ["[secret]", True, None]}


def test_a_document_is_exact_for_programs_and_safe_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = Printed()
    with printed.taken():
        output.echo_document("printf '\x1b[0m'\n")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
        output.echo_document("printf '\x1b[0m'\n")
    assert printed.out == "printf '\x1b[0m'\nprintf '\\x1b[0m'\n"


def test_a_stream_that_cannot_print_a_character_gets_its_escape() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "ascii")
    before, sys.stdout = sys.stdout, stream
    try:
        output.echo("… ü")
    finally:
        sys.stdout = before
    stream.flush()
    assert stream.buffer.getvalue() == b"\\u2026 \\xfc\n"  # type: ignore[attr-defined]


# The commands.


@pytest.mark.seconds
@names
@given(TEXT)
@example(BAD)
def test_invalid_arguments_on_the_command_line(word: str) -> None:
    for words in (
        (word,), ("build", f"--{word}"), ("scrub", f"/nowhere/{word}"), ("operations", "show", word), ("doctor", word),
        ("build", "debian-13", "--image", word), ("plan", word), ("plan", "debian-13", "--var", f"{word}=1"),
        ("gc", "--max-size", word), ("gc", "--output", word), ("history", "--limit", word), ("completion", word),
        ("audit", "x", "--ignore", word), ("render", word), ("lint", "--syntax", word), ("lint", f"{word}.ks"),
        ("init", "x", "--from", word), ("build", "debian-13", "--max-age", word),
    ):  # fmt: skip
        printed = ran(*words)
        if printed.code:
            # The error is one line; a line break in the word does not begin another.
            assert not any(line.startswith("fake:") for line in printed.err.splitlines())


def test_help_keeps_its_line_breaks() -> None:
    assert "\n  -h, --help" in ran("build", "--help").out
    assert len(ran("operations").err.splitlines() + ran("operations").out.splitlines()) > 5
    assert "Usage: " in ran("build").err
    assert "Missing argument" in ran("build").err


@pytest.mark.seconds
@names
@given(TEXT, TEXT)
@example(BAD, BAD)
def test_keys_and_values_of_a_recipe(key: str, value: str) -> None:
    path = Path("r.yaml")
    quoted = json.dumps(key), json.dumps(value)
    path.write_text(
        f"name: {quoted[1]}\ndescription: {quoted[1]}\nos: {{family: debian, version: 13, codename: trixie}}\n"
        f"{quoted[0]}: 1\ndisk: {{{quoted[0]}: 2, size: {quoted[1]}}}\noperations: [{{{quoted[0]}: {quoted[1]}}}]\n"
    )
    for words in (("lint", path), ("plan", path), ("build", path), ("render", path), ("render", path, "--recipe")):
        assert ran(*words).code == 2
    assert ran("lint", path, "--json").code == 2
    text = ran("lint", path, "--sarif").out
    assert text.isascii()
    assert json.loads(text)["runs"][0]["results"]


@pytest.mark.seconds
@settings(max_examples=4)
@given(TEXT)
@example(BAD)
def test_recipes_with_such_names_are_listed(name: str) -> None:
    folder = Path("recipes")
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    path = folder / f"{name[:30]}.yaml"
    path.write_text(
        f"name: x\ndescription: {json.dumps(name)}\nos: {{family: debian, version: 13, codename: trixie}}\n"
    )
    assert ran("list").code == 0
    ran("list", "--json")
    ran("lint")
    ran("lint", "--sarif")
    for item in RecipeName().shell_complete(None, None, ""):  # type: ignore[arg-type]
        assert_safe(str(item.value), "")


def test_a_file_whose_name_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(b"r\xff.yaml"))
    path.write_text("name: [")
    for words in (("lint", path), ("plan", path), ("lint", path, "--json")):
        assert ran(*words).code == 2
    log = json.loads(ran("lint", path, "--sarif").out)
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place["uri"] == "r%FF.yaml"
    assert "\\xff" in ran("lint", path).err


@names
@given(TEXT)
@example(BAD)
def test_kickstarts(text: str) -> None:
    Path("k.ks").write_text(f"lang {text}\n%packages\n{text}\n%end\n{text} --{text}\n%{text}\n", newline="")
    for words in (("lint", "k.ks"), ("lint", "k.ks", "--json"), ("lint", "k.ks", "--sarif")):
        ran(*words)


def test_a_sarif_message_is_one_printable_line() -> None:
    log = sarif.log([Problem("f", 1, BAD, BAD, BAD)], Path.cwd())
    assert_safe(log["runs"][0]["results"][0]["message"]["text"], "")


@names
@given(TEXT, st.booleans())
@example(BAD, True)
@example("-", False)
def test_scrub_and_audit(name: str, json_: bool) -> None:
    change = Change(f"/tmp/{name}", f"removed {name}", f"--- a\n+++ b\n+{name}\n\tx\n")
    operations = (
        OperationResult("reset-hostname", "changed", "", (change,), 1.0),
        OperationResult("clean-logs", "not applicable", name, (), 1.0),
    )
    result = CustomiseResult(operations, {})
    image = Path(f"{name[:30]}.raw")
    image.write_bytes(bytes(4096))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scrubbing, "scrub", lambda *_, **__: result)
        patch.setattr(scrubbing, "audit", lambda *_, **__: result)
        patch.setattr("imagebuild.cli.scrub._accelerator", lambda _: "tcg")
        last = ["--json"] * json_
        # Like a shell glob with ./ in front: a name that begins with a dash would be an option.
        path = f"./{image}"
        for words in (["scrub", path], ["scrub", path, "--dry-run"], ["audit", path]):
            printed = ran(*words, *last)
            assert printed.err == ""
            assert "reset-hostname" in printed.out
    image.unlink()


@names
@given(TEXT, st.booleans())
@example(BAD, False)
def test_history_gc_and_doctor(name: str, json_: bool) -> None:
    last = ["--json"] * json_
    History(Store(Path("store"))).put(
        Build(run=f"{name}-1", recipe=name, began="2026-01-31T12:00:00.000+00:00", outcome="failed", error=name)
    )
    with pytest.MonkeyPatch.context() as patch:
        removed = gc.Removed(f"dead build {name}", 1 << 20, name)
        patch.setattr(gc, "collect", lambda *_, **__: gc.CollectedGarbage((removed,), 0))
        finding = doctor.HostFinding("note", name, name, name)
        patch.setattr("imagebuild.cli.doctor.examine", lambda _: [finding])
        for command in ("history", "gc", "doctor"):
            lines = ran(command, *last).out.splitlines()
            assert not any(line.startswith("fake:") for line in lines)


def test_a_table_stays_aligned_if_names_are_escaped() -> None:
    history = History(Store(Path("store")))
    for at, name in enumerate(["a\x1bb", "plain-name"]):
        history.put(Build(run=f"r-{at}", recipe=name, began=f"2026-01-31T12:00:0{at}.000+00:00", outcome="failed"))
    lines = ran("history").out.splitlines()
    assert len({line.index(word) for line, word in zip(lines, ("outcome", "failed", "failed"), strict=True)}) == 1


@names
@given(TEXT)
@example(BAD)
def test_the_summary_of_several_builds(name: str) -> None:
    printed = Printed()
    with printed.taken():
        build_results.table([Outcome(name, 1.0, ErrorReported(message=name, exit_code=1))])
        reporter = report.reporter(as_json=False, quiet=False)
        image = f"/srv/{name}"
        build_results.print_result(
            reporter, ArtifactReady(unchanged=False, recipe=name, version=name, image=image, manifest=image)
        )
        error = ErrorReported(message=name, exit_code=1, hint=name, console=(name,), evidence=name)
        build_results.print_result(reporter, error)
        build_results.print_result(reporter, replace(error, problems=(Problem(name, 1, name, name, name),)))
    assert_safe(printed.out, "\n")
    assert_safe(printed.err, "\n")
    assert len(printed.out.splitlines()) == 3
    assert len(printed.err.splitlines()) == 4 + 5


@names
@given(TEXT)
@example(BAD)
def test_what_goes_wrong_in_a_build(name: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise InstallFailed(f"the installer died: {name}", console=[name, name], hint=f"look at {name}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "build", fail)
        printed = ran("build", "debian-13")
        assert printed.code == 1
        assert len(printed.err.splitlines()) == 4
        last = json.loads(ran("build", "debian-13", "--json").out.splitlines()[-1])
    assert last["console"] == [name, name]  # exactly


@names
@given(TEXT)
@example(BAD)
def test_progress(name: str) -> None:
    printed = Printed()
    screen = io.StringIO()
    with printed.taken():
        console = Console(file=screen, force_terminal=True, color_system=None, width=500)
        reporters: list[Reporter] = [
            report.PlainReporter(output.echo),
            report.JsonReporter(),
            TerminalReporter(console),
        ]
        for reporter in reporters:
            reporter.note(name, name)
            with reporter.step(name, "install") as step:
                step.update(name, 0.5)
                step.summary(name)
            with pytest.raises(ImageBuildError), reporter.step(name, "convert") as step:
                step.update(name)
                raise ImageBuildError(name)
    assert_safe(printed.out, "\n")
    own = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", screen.getvalue())  # rich's cursor movements
    assert_safe(own, "\n")


def test_markup_in_a_name_is_text() -> None:
    screen = io.StringIO()
    reporter = TerminalReporter(Console(file=screen, force_terminal=True, width=200))
    reporter.note("[bold]a[/bold]", "[link=http://x/]here[/link] :smile:")
    with reporter.step("[red]r[/red]", "install") as step:
        step.update("[blink]d[/blink] [/nothing]")
        reporter._live.refresh()  # type: ignore[union-attr]
    for text in (
        "[bold]a[/bold]",
        "[link=http://x/]here[/link] :smile:",
        "[red]r[/red]",
        "[blink]d[/blink] [/nothing]",
    ):
        assert text in screen.getvalue()
    assert "\x1b]8;" not in screen.getvalue()


def test_a_servers_answer_is_printed_safely() -> None:
    with scripted(
        lambda _, line: line.sendall(b"HTTP/1.1 403 \x1b[31m\xc2\x9bNo\x07\r\nContent-Length: 0\r\n\r\n")
    ) as url:

        def look(_: object) -> Iterator[doctor.HostFinding]:
            fetch.text(f"{url}/f", Limits(attempts=1))
            yield from ()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("imagebuild.cli.doctor.examine", look)
            printed = ran("doctor")
    assert printed.code == HostError.exit_code
    assert "the server says 403 \\x1b[31m" in printed.err


def test_a_defect_is_printed_safely_too() -> None:
    printed = Printed()
    with printed.taken():
        error = KeyError(BAD)
        error.__cause__ = ValueError(BAD)
        program._show_defect(type(error), error, None)
    assert_safe(printed.err)
    assert printed.err.startswith("ValueError: n\\x1b]0;t")


def test_the_log_on_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from imagebuild.log import logger

    def fail(*_: object, **__: object) -> None:
        logger.info("the guest says %s", BAD)
        raise ImageBuildError("ended")

    monkeypatch.setattr(engine, "build", fail)
    handlers = list(logger.handlers)
    printed = ran("build", "debian-13", "--verbose")
    logger.handlers = handlers
    assert "the guest says n\\x1b]0;t" in printed.err
    assert len(printed.err.splitlines()) == 2


def test_a_new_project_in_such_a_folder() -> None:
    printed = ran("init", BAD.replace("/", ""), "--name", "web")
    assert printed.code in (0, 2)
