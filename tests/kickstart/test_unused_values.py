"""A template that leaves out values of the recipe is reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from kickstarts import recipe, rendered

from imagebuild.kickstart import unused_values

ALL = """\
packages: [vim, g++]
kernel_arguments: [quiet, 'console=ttyS0,115200n8']
users: [{name: ops}]
services: {enabled: [ssh], disabled: [logrotate.timer]}
tuning: {interface_names: classic, io_scheduler: none, tuned_profile: virtual-guest}
"""
TEMPLATE = """\
{% import "guest.ks.j2" as guest %}
{{ guest.accounts(users, os) }}
{{ guest.services(services) }}
bootloader --append={{ kernel_arguments | join(" ") }}
%packages
{% for package in packages %}
{{ package }}
{% endfor %}
%end
{{ guest.settings(users, tuning) }}
"""


def found_in(folder: Path, template: str) -> list[str]:
    return [str(problem) for problem in unused_values.problems(recipe(ALL), rendered(folder, template, ALL))]


def test_a_template_that_uses_everything(tmp_path: Path) -> None:
    assert found_in(tmp_path, TEMPLATE) == []


@pytest.mark.parametrize(
    ("without", "expected"),
    [
        ("{{ guest.accounts(users, os) }}\n", "6: users[0].name: {}ops"),
        ("{{ guest.services(services) }}\n", "7: services.enabled[0]: {}ssh and 1 more"),
        ("{{ package }}\n", "4: packages[0]: {}vim and 1 more"),
        ("{{ guest.settings(users, tuning) }}\n", "8: tuning.tuned_profile: {}virtual-guest and 1 more"),
        ('bootloader --append={{ kernel_arguments | join(" ") }}\n', "5: kernel_arguments[0]: {}quiet and 3 more"),
    ],
)  # fmt: skip
def test_what_it_leaves_out_is_reported_at_the_recipes_line(tmp_path: Path, without: str, expected: str) -> None:
    assert without in TEMPLATE
    unused = "the template t.ks.j2 does not use "
    assert found_in(tmp_path, TEMPLATE.replace(without, "")) == [f"small.yaml:{expected.format(unused)}"]


NAMED = TEMPLATE + "network --device=eth0 --bootproto=dhcp --hostname={{ network.hostname }}\n"


@pytest.mark.parametrize(
    "operations", ["[reset-machine-id]", "[{reset-hostname: {hostname: web1.example.org}}]"], ids=["none", "the same"]
)
def test_a_hostname_that_stays(tmp_path: Path, operations: str) -> None:
    said = f"{ALL}network: {{hostname: web1.example.org}}\noperations: {operations}\n"
    assert list(unused_values.problems(recipe(said), rendered(tmp_path, NAMED, said))) == []


def test_a_hostname_that_an_operation_replaces_is_reported(tmp_path: Path) -> None:
    said = f"{ALL}network: {{hostname: web1}}\noperations:\n  - reset-machine-id\n  - reset-hostname\n"
    (problem,) = unused_values.problems(recipe(said), rendered(tmp_path, NAMED, said))
    assert str(problem).startswith(
        "small.yaml:12: operations[1]: the kickstart names the guest web1, but reset-hostname renames it to localhost"
    )
    assert problem.hint is not None
    assert "reset-hostname: {hostname: web1}" in problem.hint
