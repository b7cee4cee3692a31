"""What of a kickstart the installer's machine gets."""

from __future__ import annotations

from pathlib import Path

from imagebuild.kickstart.plain import plain
from imagebuild.kickstart.rendered import Origin, Rendered

KICKSTART = """\
# web: Debian 13
#version=RHEL9

lang C.UTF-8   # a language
%include /tmp/disks.ks
  # indented
part / --size=1024
%packages --nocore
# to boot
vim
htop  # wanted
@standard
-nano
vim

%end
%post --erroronfail
# a comment of a script

echo "# not a comment"
%end
poweroff
"""
SCRIPT = '%post --erroronfail\n# a comment of a script\n\necho "# not a comment"\n%end\npoweroff\n'


def rendered(text: str = KICKSTART) -> Rendered:
    origins = tuple(Origin("web.ks.j2", number) for number in range(1, 1 + len(text.splitlines())))
    return Rendered(text, Path("web.ks.j2"), lambda: origins)


def test_without_comments_outside_scripts() -> None:
    assert plain(rendered()).text == (
        "#version=RHEL9\nlang C.UTF-8   # a language\n%include /tmp/disks.ks\npart / --size=1024\n"
        "%packages --nocore\nvim\nhtop  # wanted\n@standard\n-nano\nvim\n%end\n" + SCRIPT
    )


def test_settled_packages_are_sorted_and_chosen() -> None:
    made = plain(rendered(), lambda line: line != "htop")
    assert "%packages --nocore\n-nano\n@standard\nvim\n%end\n" + SCRIPT in made.text
    assert "htop" not in made.text


def test_lines_keep_their_origins() -> None:
    made = plain(rendered(), lambda line: True)
    lines = KICKSTART.splitlines()
    pairs = zip(made.text.splitlines(), made.line_origins, strict=True)
    for line, origin in pairs:
        assert origin is not None
        assert lines[origin.line - 1].partition("#")[0].strip() == line.partition("#")[0].strip()


def test_recipes_that_differ_in_comments_are_equal() -> None:
    other = KICKSTART.replace("# web: Debian 13", "# db: another")
    assert plain(rendered()).text == plain(rendered(other)).text
    assert plain(rendered()).text != plain(rendered(KICKSTART.replace("# a comment of a script", "# another"))).text


def test_a_section_without_an_end() -> None:
    assert plain(rendered("%packages\nvim\nhtop\n"), lambda line: True).text == "%packages\nvim\nhtop\n"
