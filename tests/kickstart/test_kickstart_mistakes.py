"""One mistake is one error, at its line in the file, in plain words."""

from __future__ import annotations

import io
import re

import pytest
from corpus import VERSIONS

from imagebuild.errors import UsageError
from imagebuild.kickstart import external, syntax_version
from imagebuild.kickstart.handler import handler_class
from imagebuild.kickstart.parse import parse

WHOLE = "lang C\nkeyboard us\ntimezone UTC\nrootpw --lock\nzerombr\nclearpart --all\npart / --size=1\npoweroff\n"
PYTHON = re.compile(
    r"argument -|arguments are required|expected (one|at least)|explicit|unpack|NoneType|invalid \w+ value|literal"
    r"|tuple|list index|Traceback|\['|commaSplit|unrecognized|choose from|---|<[a-z]+>"
)
"""Words of Python and of its argparse."""


def linted(text: str, syntax: str | None = None) -> list[tuple[str | None, int | None, str]]:
    report = external.read(io.BytesIO(text.encode()), "x.ks", syntax)
    found = [(one.rule, one.line, one.message) for one in report.findings]
    return sorted(found, key=lambda one: one[1] or 0)


def wrong(text: str, version: str = "RHEL9") -> list[tuple[int | None, str]]:
    return [(said.line, said.message) for said in parse(text, version).wrong]


TEMPLATE = "this is a template ({}), not a kickstart: its markup is not kickstart syntax"
STRAY = "%end without a section"
EARLY = "this %end ends the section too early: the lines after it, up to the next %end, are no kickstart commands"
IN_HERE = "this %end ends the section, although it is in a here-document"
CONTINUED = "part ends with a backslash, but a line of a kickstart cannot be continued"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (WHOLE.replace("poweroff", "%end\npoweroff"), 8, STRAY),
        ("%post\na\n%end\n%end\n", 4, STRAY),
        ("%post\na\n%end\npoweroff\n%end\nhalt\n", 5, STRAY),
        ("%post\ncat <<EOF\n%end\nEOF\nsed x\n%end\n", 3, IN_HERE),
        ("%post\nset -e\n%end\nsed x\n# c\n%end\nlang C\n", 3, EARLY),
        ("part / \\\n --size=1 \\\n --grow\nlang C\n", 1, CONTINUED),
        ("lang C\n{% if x %}\npart / --size={{ size }}\n{% endif %}\n", 2, TEMPLATE.format("Jinja2")),
        ("<% if x %>\nlang C\n<%= @x %>\n<% end %>\n", 1, TEMPLATE.format("ERB")),
        ("$SNIPPET('a')\nlang C\n$b\n", 1, TEMPLATE.format("Cheetah")),
    ],
)
def test_one_mistake_is_one_error(text: str, line: int, message: str) -> None:
    assert wrong(text) == [(line, message)]


def test_what_follows_a_mistake_is_still_checked() -> None:
    text = WHOLE.replace("part / --size=1", "part / \\\n--size=1\npart swap --size=1\n%end")
    assert [(rule, line) for rule, line, _ in linted(text)] == [("syntax", 7), ("swap", 9), ("syntax", 10)]
    script = "%post --erroronfail\ncat <<EOF\n%end\nEOF\necho root:sesame | chpasswd\n%end\n"
    assert [(rule, line) for rule, line, _ in linted(WHOLE + script)] == [("syntax", 11), ("plaintext-password", 13)]


def test_a_backslash_that_pykickstart_accepts_is_no_error() -> None:
    assert wrong("%post\necho a \\\n  b\n%end\n# c \\\nlang C\n") == []


@pytest.mark.parametrize("separator", ["\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_lines_are_split_as_pykickstart_splits_them(separator: str) -> None:
    text = WHOLE.replace("poweroff", f"# page{separator}reboot\n# last\nswapp")
    assert [(rule, line) for rule, line, _ in linted(text)] == [
        ("unusual-line-separator", 8),
        ("reboot", 8),
        ("syntax", 10),
    ]


def test_warnings_of_sections_have_their_own_line() -> None:
    text = "lang C\n\n\n%packages --instLangs=en\na\n%end\n"
    (said,) = parse(text, "RHEL9").deprecated
    assert said == (4, "--instLangs will be deprecated: write --inst-langs", None)


@pytest.mark.parametrize("version", ["RHEL6", "RHEL7", "RHEL8", "RHEL9", "RHEL10", "DEVEL"])
def test_messages_name_no_rendered_line(version: str) -> None:
    lines = [f"{name} --x" for name in handler_class(version).commandMap] + ["%packages --x", "%end", "zerombr yes"]
    kickstart = parse("\n".join(["", *lines]), version)
    said = [*kickstart.wrong, *kickstart.deprecated, *kickstart.repeated]
    assert said
    assert not [one for one in said if re.search(r"\bline \d", one.message)]


def _mistakes(version: str) -> list[str]:
    """Every command alone, and every option of it without a value and with unsuitable ones."""
    made = []
    for name, command in sorted(handler_class(version).commandMap.items()):
        actions = getattr(getattr(command(), "op", None), "_actions", [])
        options = [option for action in actions for option in action.option_strings[:1]]
        made += [name, f"{name} --bogus", f"{name} a b c d"]
        made += [f"{name} {option}{value}" for option in options for value in ("", "=", "=a,b", "=-5")]
    return made


@pytest.mark.seconds
@pytest.mark.parametrize("version", ["RHEL7", "RHEL9", "DEVEL"])
def test_messages_are_in_plain_words(version: str) -> None:
    said = {one.message for line in _mistakes(version) for one in parse(line, version).wrong}
    assert len(said) > 200
    assert [one for one in sorted(said) if PYTHON.search(one)] == []


def test_words_after_a_password_are_not_repeated() -> None:
    for line in ("rootpw --iscrypted $6$x sesame", "user --name=a --pasword=sesame", "sshpw --username=a --b sesame x"):
        assert wrong(line)
        assert "sesame" not in str(wrong(line))


def test_further_syntax_errors_are_announced() -> None:
    *_, last = wrong("lnag\n" * 60)
    assert last == (21, "40 or more further syntax errors from here on are not shown")


@pytest.mark.parametrize(
    ("line", "version"),
    [
        ("#version=RHEL7", "RHEL7"),
        ("#version=rhel7", "RHEL7"),
        ("# Version = RHEL7 ", "RHEL7"),
        ("#version=Red Hat Enterprise Linux 7.2", "RHEL7"),
        ("#version=DEVEL", "DEVEL"),
        ("# this version is for RHEL7", "DEVEL"),
        ("%packages\n%end\n#version=RHEL7", "DEVEL"),
        ("#version=RHEL6\n#version=RHEL7", "RHEL6"),
    ],
)
def test_the_syntax_that_a_file_names(line: str, version: str) -> None:
    assert syntax_version.own(f"\n{line}\nlang C\n") == (version, None)


def test_an_unknown_syntax_is_a_warning() -> None:
    found = linted("#version=RHEL99\n" + WHOLE)
    newest = syntax_version.described("DEVEL")
    assert found == [("syntax", 1, f"unknown kickstart syntax 'RHEL99': the newest, {newest}, is used")]
    with pytest.raises(UsageError, match="unknown kickstart syntax: 'RHEL99'"):
        syntax_version.chosen("RHEL99")


def test_a_removed_command_names_the_syntax() -> None:
    assert wrong("install\n", "RHEL9") == [
        (1, "install has been removed; the kickstart was read with the syntax RHEL9")
    ]


def test_every_version_is_listed_once() -> None:
    assert sorted(syntax_version.every()) == list(VERSIONS)
    assert syntax_version.every()[-1] == "DEVEL"
