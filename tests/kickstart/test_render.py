"""Templates: what is rendered, and the problems that are reported."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from kickstarts import LIVEIMG, NONCE, PACKAGES, RECIPE, problems, recipe, render_shipped, rendered

from imagebuild.errors import RecipeError
from imagebuild.kickstart.render import Payload, render
from imagebuild.recipe.load import load
from imagebuild.recipe.secrets import RealSecrets, SampleSecrets

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f admin@example"
GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(("name", "payload"), [("packages", PACKAGES), ("liveimg", LIVEIMG)])
def test_the_shipped_recipe(name: str, payload: Payload, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"debian-13.{name}.ks", render_shipped(load("debian-13"), payload).text)


def test_every_value_of_a_recipe(golden: Callable[[Path, str], None]) -> None:
    more = f"""\
description: it's "all" in & <one>
locale: {{language: de_DE.UTF-8, keyboard: de, timezone: Europe/Berlin}}
network:
  {{hostname: web1.example.org, device: eth1, bootproto: static, address: 192.0.2.10, netmask: 255.255.255.0,
    gateway: 192.0.2.1, nameservers: [192.0.2.53, '2001:db8::53']}}
root: {{password: {{env: PW}}, ssh_keys: ['{KEY}', {{env: KEY}}]}}
users:
  - {{name: ops, password: {{env: PW}}, sudo: true, groups: [adm], uid: 2001, gid: 2002, gecos: "Ops, it's 100%"}}
  - {{name: eve, sudo: true, ssh_keys: ['{KEY}'], shell: /bin/sh}}
services: {{enabled: [ssh], disabled: [logrotate.timer]}}
tuning: {{io_scheduler: bfq, transparent_huge_pages: never, tuned_profile: virtual-guest}}
kernel_arguments: [net.ifnames=0, 'console=ttyS0,115200n8']
packages: [g++]
"""
    secrets = RealSecrets({"PW": "$6$saltsalt$" + "x" * 86, "KEY": KEY.replace("admin", "other")})
    kickstart = render_shipped(recipe(more, RECIPE.replace("t.ks.j2", "debian.ks.j2")), LIVEIMG, secrets)
    golden(GOLDEN / "everything.ks", kickstart.text)


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("lang {{ variables.text }}", "lang 'a & b <c>'"),
        ("lang {{ variables.text ~ '!' }}", "lang 'a & b <c>!'"),
        ("lang {{ variables.text + '!' }}", "lang 'a & b <c>!'"),
        ("lang {{ '%s!' % variables.text }}", "lang 'a & b <c>!'"),
        ("lang {{ '<b>' }}", "lang '<b>'"),
        ("lang {{ variables.several | join(' & ') }}", "lang 'x & y z'"),
        ("lang {% for v in variables.several %}{{ v }} {% endfor %}", "lang x 'y z' "),
        ("lang {{ variables.number }}{% if variables.yes %} on{% endif %}", "lang 7 on"),
        ("lang {{ variables.items }}", "lang things"),
        ("lang {{ variables.absent | default('C') }}", "lang C"),
        ("{% macro m(v) %}--x={{ v }}{% endmacro %}lang {{ m(variables.text) }}", "lang --x='a & b <c>'"),
        ("{% macro m() %}--x={% endmacro %}lang {{ m() ~ variables.text }}", "lang '--x=a & b <c>'"),
        ("{% macro m() %}--x={% endmacro %}lang {{ m() + variables.text }}", "lang '--x=a & b <c>'"),
        ("{% set s %}lang {{ variables.text }}{% endset %}{{ s }}", "lang 'a & b <c>'"),
        ("{% macro m() %}lang {{ caller() }}{% endmacro %}{% call m() %}{{ variables.text }}{% endcall %}",
            "lang 'a & b <c>'"),
        ("{% autoescape false %}lang {{ variables.text }}{% endautoescape %}", "lang 'a & b <c>'"),
        ("# it's a comment, {{ name }}", "# it's a comment, small"),
        ("# it's one\n# <<EOF\nlang {{ name }}", "# it's one\n# <<EOF\nlang small"),
        ("%post\ncat <<EOF\nit's\nEOF\necho {{ name }}", "%post\ncat <<EOF\nit's\nEOF\necho small"),
        ("%post\ncat <<<x\necho $((1 << 2)) {{ name }}\necho {{ name }}",
            "%post\ncat <<<x\necho $((1 << 2)) small\necho small"),
        ("%post\nawk '\n{print}'\necho {{ name }}", "%post\nawk '\n{print}'\necho small"),
        ("%post\necho 'x\n%end\nlang {{ name }}", "%post\necho 'x\n%end\nlang small"),
        ("printf '%s\\n' {{ 'key=' ~ (variables.text | ini) }} >f", "printf '%s\\n' 'key=a & b <c>' >f"),
        ("bootloader --append=\"a b\" --timeout={{ variables.number }}", "bootloader --append=\"a b\" --timeout=7"),
    ],
)  # fmt: skip
def test_values_are_encoded_once_and_as_a_whole(tmp_path: Path, template: str, line: str) -> None:
    more = (
        'kickstart: {template: t.ks.j2}\nvariables: {text: "a & b <c>", several: [x, y z], number: 7, yes: '
        "true, items: things}"
    )
    assert rendered_with(tmp_path, template, more) == line


def rendered_with(folder: Path, template: str, kickstart: str) -> str:
    (folder / "t.ks.j2").write_text(template)
    made = recipe(kickstart, base=RECIPE.replace("kickstart: {template: t.ks.j2}\n", ""))
    return render(made, payload=PACKAGES, nonce=NONCE, secrets=SampleSecrets(), folders=[folder]).text


@pytest.mark.parametrize(
    ("template", "start"),
    [
        ("\nlang {{ langauge }}\n", "t.ks.j2:2: 'langauge' is undefined"),
        ("\n\nlang {{ locale.lang }}\n", "t.ks.j2:3: locale.lang is not defined; did you mean 'language'?"),
        ("\n\nlang {{ payload.nothing }}\n", "t.ks.j2:3: "),
        ("lang {{ variables.absent }}\n", "t.ks.j2:1: variables.absent is not defined; nothing is defined there"),
        ("\n{% if %}\n", "t.ks.j2:2: Expected an expression, got 'end of statement block'"),
        ("{% for x in packages %}\n", "t.ks.j2:1: Unexpected end of template"),
        ("lang {{ packages }}\n", (
            "t.ks.j2:1: a list cannot be written into a kickstart; test it with 'if', or "
            "write its parts one by one"
        )),
        ("\nlang {{ true }}\n", "t.ks.j2:2: a boolean cannot be written into a kickstart"),
        ("\nlang {{ root.password_hash }}\n", "t.ks.j2:2: nothing cannot be written into a kickstart"),
        ("\nlang {{ 1 // 0 }}\n", "t.ks.j2:2: "),
        ("\nlang {{ name | safe }}\n", "t.ks.j2:2: No filter named 'safe'."),
        ("\nlang {{ name | tojson }}\n", "t.ks.j2:2: No filter named 'tojson'."),
        ("\nlang {{ ''.__class__ }}\n", "t.ks.j2:2: "),
        ("\n{% include 'absent.ks.j2' %}\n", "t.ks.j2:2: no such template: 'absent.ks.j2'"),
        ("\n{% include '../../../etc/hostname' %}\n", "t.ks.j2:2: no such template: '../../../etc/hostname'"),
        ("\nlang {{ range(10000000) | join }}\n", "t.ks.j2:2: Range too big"),
        ('\nbootloader --append="{{ name }}"\n', (
            "t.ks.j2:2: a value is inside quotes (\"): values are quoted "
            "automatically, so remove the quotes"
        )),
        ("%post\necho 'x' \"it's {{ name }}\"\n%end\n", "t.ks.j2:2: a value is inside quotes (\"): values are quoted"),
        ("%post\ncat >/x <<EOF\nname={{ name }}\nEOF\n%end\n", "t.ks.j2:3: a value is inside a here-document (EOF)"),
        ("%post\ncat <<-'E F' >/x\n\tname={{ name }}\n\tE F\n%end\n",
            "t.ks.j2:3: a value is inside a here-document (E F)"),
        ("%post\ncat <<A; cat <<B\nit's\nA\n{{ name }}\nB\n%end\n", "t.ks.j2:5: a value is inside a here-document (B)"),
        ("%post\necho \"first\n{{ name }}\"\n%end\n", "t.ks.j2:3: a value is inside quotes (\"): values are quoted"),
        ("lang {{ 'a;b' | ini }}\n", "t.ks.j2:1: a value in an INI file must not start or end with a space"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}\n", "t.ks.j2:1: "),
        ('lang {{ "a\\nb" }}\n', (
            "t.ks.j2:1: a value with the character U+000A cannot be written into a "
            "kickstart: it could end the line"
        )),
    ],
)  # fmt: skip
def test_an_error_in_a_template_is_reported_at_its_line(tmp_path: Path, template: str, start: str) -> None:
    (problem,) = problems(tmp_path, template)
    assert problem.startswith(start)


def test_an_error_in_an_included_template_is_reported_there(tmp_path: Path) -> None:
    assert problems(tmp_path, "\n{% include 'b.ks.j2' %}\n", b="\n\n{% if %}\n")[0].startswith("b.ks.j2:3: Expected")
    assert problems(tmp_path, "{% import 'c.ks.j2' as c %}\n{{ c.m() }}\n",
        c="{% macro m() %}\n{{ nonc }}\n{% endmacro %}\n") == [
        "c.ks.j2:2: 'nonc' is undefined [did you mean 'nonce'?]"
    ]  # fmt: skip


def test_a_missing_template_is_reported_at_the_recipes_line(tmp_path: Path) -> None:
    (tmp_path / "u.ks.j2").write_text("")
    assert problems(tmp_path, None) == [
        "small.yaml:3: kickstart.template: no such kickstart template: 't.ks.j2' [did you mean 'u.ks.j2'?]"
    ]


def test_a_template_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "t.ks.j2").write_bytes(b"lang \xff\n")
    assert problems(tmp_path, None) == ["t.ks.j2: the template is not UTF-8 text"]


def test_a_projects_template_comes_before_the_shipped_one(tmp_path: Path) -> None:
    assert (
        rendered(
            tmp_path, "{% import 'macros.ks.j2' as m %}{{ m.disk() }}", macros="{% macro disk() %}mine{% endmacro %}"
        ).text
        == "mine"
    )


def test_the_templates_next_to_the_recipe_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("project/recipes", "project/kickstart", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "project/recipes/small.yaml").write_text(RECIPE)
    (tmp_path / "project/kickstart/t.ks.j2").write_text("lang C\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    made = load("../project/recipes/small.yaml")
    assert render(made, payload=PACKAGES, nonce=NONCE, secrets=SampleSecrets()).text == "lang C\n"


def test_a_missing_secret_is_reported_at_the_recipes_line() -> None:
    made = recipe("root:\n  password: {env: PW}\n", RECIPE.replace("t.ks.j2", "debian.ks.j2"))
    with pytest.raises(RecipeError) as caught:
        render_shipped(made, secrets=RealSecrets({}))
    assert str(caught.value) == "small.yaml:5: the environment variable PW is not set"


def test_the_marker_of_success_is_printed_but_never_written(tmp_path: Path) -> None:
    text = rendered(tmp_path, "{% import 'macros.ks.j2' as m %}{{ m.success(nonce) }}").text
    assert f"imagebuild-success:{NONCE}" not in text
    assert "imagebuild-success" not in text
    assert NONCE not in text
    script = text.partition("\n")[2].rpartition("%end")[0]
    console = tmp_path / "console"
    ran = script.replace("/dev/ttyS0", "/nowhere/console").replace("/dev/console", str(console))
    traced = subprocess.run(["/bin/sh", "-x", "-c", ran], capture_output=True, text=True, check=True)
    assert console.read_text() == f"\nimagebuild-success:{NONCE}\n"
    assert f"imagebuild-success:{NONCE}" not in traced.stdout + traced.stderr
    failed = subprocess.run(["/bin/sh", "-c", script.replace("/dev/", "/nowhere/")], check=False)
    assert failed.returncode == 1


@pytest.mark.parametrize("nonce", ["", "short", "has space 12", "x" * 65, "%end-12345"])
def test_an_invalid_nonce(nonce: str) -> None:
    with pytest.raises(ValueError, match="a nonce must be"):
        render(recipe(), payload=PACKAGES, nonce=nonce, secrets=SampleSecrets())
