"""``extends``: what is found, what wins, and which problems are reported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from projects import OS, image, problems_in, project

from imagebuild.recipe.compose.extends import MAX_CHAIN, MAX_FILES
from imagebuild.recipe.load import load
from imagebuild.recipe.secrets import RealSecrets
from imagebuild.schema.document import Mark
from imagebuild.schema.section import SecretRef

BASE = f"{OS}packages: [vim, curl]\nnetwork:\n  hostname: base\n  device: eth1\n"


def test_mappings_merge_lists_add_up_and_scalars_replace(tmp_path: Path) -> None:
    made = image(
        tmp_path,
        {"base/b.yaml": BASE, "a.yaml": "extends: base/b.yaml\nname: a\npackages: [tree]\nnetwork: {hostname: own}\n"},
    )
    assert (made.network.hostname, made.network.device, made.packages) == (
        "own",
        "eth1",
        ("vim", "curl", "tree"),
    )
    assert made.os.codename == "trixie"


def test_every_value_knows_where_it_was_written(tmp_path: Path) -> None:
    own = "extends: base/b.yaml\nname: a\npackages: {append: [tree], remove: [curl]}\n"
    made = image(tmp_path, {"base/b.yaml": BASE, "a.yaml": own})
    base = str(tmp_path / "recipes/base/b.yaml")
    assert made.packages == ("vim", "tree")
    assert made.place(("network", "device")) == Mark(base, 5, 5)
    assert made.place(("packages", 0)) == Mark(base, 2, 2)
    assert made.place(("packages", 1)) == Mark(str(tmp_path / "recipes/a.yaml"), 3, 3)


def test_problems_are_reported_in_the_file_that_has_them(tmp_path: Path) -> None:
    files = {"base/b.yaml": f"{OS}packages: [vim, two words]\n", "a.yaml": "extends: base/b.yaml\ndisk: {size: 4}\n"}
    found = [text.split(": ")[0:2] for text in problems_in(tmp_path, files)]
    assert found == [["a.yaml:1", "name"], ["a.yaml:2", "disk.size"], ["base/b.yaml:2", "packages[1]"]]


@pytest.mark.parametrize(
    ("files", "arguments"),
    [
        ({"a.yaml": "extends: [x.yaml, y.yaml]\n", "x.yaml": "kernel_arguments: [x]\n",
            "y.yaml": "kernel_arguments: [y]\n"}, "x y"),
        ({"a.yaml": "extends: [x.yaml, y.yaml]\nkernel_arguments: [a]\n", "x.yaml": "kernel_arguments: [x]\n",
            "y.yaml": "kernel_arguments: [y]\n"}, "x y a"),
        ({"a.yaml": "extends: [x.yaml, y.yaml]\nkernel_arguments: {replace: [a]}\n",
            "x.yaml": "kernel_arguments: [x]\n", "y.yaml": "kernel_arguments: [y]\n"}, "a"),
        ({"a.yaml": "extends: x\nkernel_arguments: {replace: []}\n", "x.yaml": "kernel_arguments: [x]\n"}, ""),
        ({"a.yaml": "extends: x\nkernel_arguments: {replace: }\n", "x.yaml": "kernel_arguments: [x]\n"}, ""),
        ({"a.yaml": "kernel_arguments: {replace: [a]}\n"}, "a"),
        ({"a.yaml": "extends: x\nkernel_arguments: {append: [a], prepend: [b, c], remove: [x]}\n",
            "x.yaml": "kernel_arguments: [x, z]\n"}, "b c z a"),
        ({"a.yaml": "extends: x.yaml\n", "x.yaml": "extends: y.yaml\nkernel_arguments: {append: [x]}\n",
            "y.yaml": "kernel_arguments: [y]\n"}, "y x"),
        # A common base of two files counts once, before both: the changes of one are not undone by the other.
        ({"a.yaml": "extends: [x.yaml, y.yaml]\n", "x.yaml": "extends: z.yaml\nkernel_arguments: {append: [x]}\n",
          "y.yaml": "extends: z.yaml\nkernel_arguments: {append: [y]}\n", "z.yaml": "kernel_arguments: [z]\n"},
          "z x y"),
        ({"a.yaml": "extends: x\n", "x.yaml": "kernel_arguments: [x]\n"}, "x"),
        ({"a.yaml": "extends: sub/x.yaml\n", "sub/x.yaml": "extends: ../y.yaml\n",
            "y.yaml": "kernel_arguments: [y]\n"}, "y"),
        # not next to the file that extends it, but in the folder of recipes
        ({"a.yaml": "extends: sub/x.yaml\n", "sub/x.yaml": "extends: sub/y.yaml\n",
            "sub/y.yaml": "kernel_arguments: [y]\n"}, "y"),
        ({"a.yaml": "kernel_arguments: {append: [a]}\n"}, "a"),
        ({"a.yaml": "extends: x.yaml\nkernel_arguments: {append: [a]}\n", "x.yaml": "kernel_arguments:\n"}, "a"),
        ({"a.yaml": "extends: x.yaml\nkernel_arguments:\n", "x.yaml": "kernel_arguments: [x]\n"}, ""),
        ({"a.yaml": "extends: x.yaml\nkernel_arguments: {append: }\n", "x.yaml": "kernel_arguments: [x]\n"}, "x"),
        ({"a.yaml": "extends: []\nkernel_arguments: [a]\n"}, "a"),
        ({"a.yaml": "extends:\nkernel_arguments: [a]\n"}, "a"),
    ],
)  # fmt: skip
def test_what_wins(tmp_path: Path, files: dict[str, str], arguments: str) -> None:
    files["a.yaml"] += f"name: a\n{OS}"
    assert " ".join(image(tmp_path, files).kernel_arguments) == arguments


def test_what_is_written_replaces_a_default_and_adds_to_what_a_file_says(tmp_path: Path) -> None:
    base = f"{OS}installer: {{components: [main, contrib]}}\n"
    own = "extends: b.yaml\nname: a\ninstaller: {components: [non-free-firmware]}\noutput: {format: [raw]}\n"
    made = image(tmp_path, {"b.yaml": base, "a.yaml": own})
    assert made.installer.components == ("main", "contrib", "non-free-firmware")
    assert made.output.format == ("raw",)


def test_operations_add_up(tmp_path: Path) -> None:
    base = f"{OS}operations: [reset-machine-id, run-command: {{command: sync}}]\n"
    own = "extends: b.yaml\nname: a\noperations: [run-command: {command: sync}, clean-logs]\n"
    made = image(tmp_path, {"b.yaml": base, "a.yaml": own})
    assert [call.name for call in made.operations] == ["reset-machine-id", "run-command", "run-command", "clean-logs"]


@pytest.mark.parametrize("written", ["reset-machine-id", "{reset-machine-id: }"])
def test_a_recipe_that_repeats_the_operations_of_its_base_is_refused(tmp_path: Path, written: str) -> None:
    """It was written when a list replaced the one of the extended file."""
    base = f"{OS}operations: [clean-logs, reset-machine-id]\n"
    own = f"extends: b.yaml\nname: a\noperations:\n- trim-free-space\n- {written}\n"
    (problem,) = problems_in(tmp_path, {"b.yaml": base, "a.yaml": own})
    assert problem == (
        "a.yaml:5: operations: 'reset-machine-id' is listed twice [b.yaml:2 has it already, and a list adds to that "
        "one: remove it here, or write `operations: {replace: […]}`]"
    )


def test_the_axes_of_a_matrix_and_variables_are_set(tmp_path: Path) -> None:
    base = f"{OS}matrix: {{v: [x, y]}}\nvariables: {{w: [q], u: {{default: [o, p], choices: [o, p, r]}}}}\n"
    own = "extends: b.yaml\nname: a\nmatrix: {v: [x]}\nvariables: {w: [z], u: {default: [r], choices: [r]}}\n"
    made = image(tmp_path, {"b.yaml": base, "a.yaml": own})
    assert made.name == "a-x"
    assert (list(made.variables["w"]), list(made.variables["u"])) == (["z"], ["r"])


def test_a_list_with_a_default_is_what_is_changed(tmp_path: Path) -> None:
    made = image(tmp_path, {"a.yaml": f"name: a\n{OS}installer: {{components: {{append: [contrib]}}}}\n"})
    assert made.installer.components == ("main", "contrib")


def test_operations_are_removed_by_name(tmp_path: Path) -> None:
    base = "operations: [reset-machine-id, {install-packages: {packages: [vim]}}, trim-free-space]\n"
    own = f"extends: b.yaml\nname: a\n{OS}operations: {{remove: [install-packages], append: [clean-logs]}}\n"
    made = image(tmp_path, {"b.yaml": base, "a.yaml": own})
    assert [call.name for call in made.operations] == ["reset-machine-id", "trim-free-space", "clean-logs"]


def test_a_recipe_may_extend_the_one_that_it_hides(tmp_path: Path) -> None:
    hidden = project(tmp_path / "shipped", {"web.yaml": f"name: web\n{OS}packages: [vim]\n"})
    own = project(tmp_path / "own", {"web.yaml": "extends: web.yaml\npackages: {append: [tree]}\n"})
    assert load("web", search=[own, hidden]).packages == ("vim", "tree")


def test_shipped_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, {"a.yaml": "extends: debian-13.yaml\nname: mine\n"})
    monkeypatch.chdir(tmp_path)
    assert load("a").os.codename == "trixie"
    monkeypatch.chdir("/")
    assert load(tmp_path / "recipes/a.yaml").os.codename == "trixie"


def test_files_of_secrets_are_relative_to_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes = project(
        tmp_path / "p",
        {
            "base/b.yaml": f"{OS}root: {{password: {{file: ../../keys/password}}}}\n",
            "a.yaml": "extends: ./base/../base/b.yaml\nname: a\n",
        },
    )
    (tmp_path / "p/keys").mkdir()
    (tmp_path / "p/keys/password").write_text("moonlight\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for path in (recipes / "a.yaml", Path("../p/recipes/a.yaml")):
        made = load(path)
        at = made.place(("root", "password"))
        assert made.root.password == SecretRef(file="../../keys/password")
        assert RealSecrets().password_hash(made.root.password, at).startswith("$6$")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"a.yaml": "\nextends: b.yaml\n"}, "a.yaml:2: extends: there is no file 'b.yaml' in recipes"),
        ({"a.yaml": "extends:\n  - bse/b.yaml\n", "base/b.yaml": ""},
            "a.yaml:2: extends[0]: there is no file 'bse/b.yaml' in recipes [did you mean 'base/b.yaml'?]"),
        ({"a.yaml": "extends: a.yaml\n"}, (
            "a.yaml:1: extends: these files extend each other in a cycle: "
            "a.yaml:1 → a.yaml"
        )),
        ({"a.yaml": "extends: b.yaml\n", "b.yaml": "#\nextends: c.yaml\n", "c.yaml": "#\n#\nextends: [a.yaml]\n"},
         "c.yaml:3: extends[0]: these files extend each other in a cycle: a.yaml:1 → b.yaml:2 → c.yaml:3 → a.yaml"),
        ({"a.yaml": "extends: b.yaml\n", "b.yaml": "#\nextends: c.yaml\n", "c.yaml": "#\n#\nextends: b.yaml\n"},
         "c.yaml:3: extends: these files extend each other in a cycle: b.yaml:2 → c.yaml:3 → b.yaml"),
        ({"a.yaml": "extends: ./sub\n", "sub/b.yaml": ""}, (
            "a.yaml:1: extends: sub: this is a folder, not a "
            "file [name a file in it]"
        )),
        ({"a.yaml": "extends: {b: c}\n"}, (
            "a.yaml:1: extends: expected the path of a recipe or a list of "
            "paths, found a mapping"
        )),
        ({"a.yaml": "extends: [[b]]\n"}, "a.yaml:1: extends[0]: expected the path of a recipe, found a list"),
        ({"a.yaml": "extends: true\n"}, (
            "a.yaml:1: extends: expected the path of a recipe or a list of paths, "
            "found the boolean true"
        )),
        ({"a.yaml": "extends: ''\n"}, "a.yaml:1: extends: expected the path of a recipe, found ''"),
        ({"a.yaml": 'extends: "b\\0.yaml"\n'}, (
            "a.yaml:1: extends: expected the path of a recipe or a list of "
            "paths, found 'b\\x00.yaml'"
        )),
        ({"a.yaml": "extends: [b.yaml, b.yaml]\n", "b.yaml": "x: 1"},
            "a.yaml:1: extends[1]: 'b.yaml' is listed twice [remove one of the two]"),
        ({"a.yaml": "#\nextends: b.yaml\n", "b.yaml": "- x\n"},
            "b.yaml:1: expected a mapping of keys: a recipe begins with `name:` [it is extended in a.yaml:2]"),
        ({"a.yaml": "#\nextends: b.yaml\n", "b.yaml": ""}, (
            "b.yaml:1: the file is empty: a recipe begins with "
            "`name:` [it is extended in a.yaml:2]"
        )),
        ({"a.yaml": "extends: b.yaml\n", "b.yaml": "#\na: b: c\n"},
            'b.yaml:2: a colon is not allowed in this value [put it in quotes: a: "b: c"]'),
        ({"a.yaml": f"extends: {'x' * 5000}/b.yaml\n"}, (
            "a.yaml:1: extends: there is no file "
            f"'{'x' * 5000}/b.yaml' in recipes"
        )),
        ({"a.yaml": "extends: ${x}.yaml\n"}, "a.yaml:1: extends: there is no file '${x}.yaml' in recipes"),
    ],
)  # fmt: skip
def test_what_cannot_be_extended(tmp_path: Path, files: dict[str, str], problem: str) -> None:
    assert problems_in(tmp_path, files) == [problem]


def test_all_missing_files_are_reported(tmp_path: Path) -> None:
    files = {"a.yaml": "extends: [x.yaml, b.yaml, y.yaml]\n", "b.yaml": "#\nextends: z.yaml\n"}
    assert [text.split(": ")[0] for text in problems_in(tmp_path, files)] == ["a.yaml:1", "a.yaml:1", "b.yaml:2"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("packages: {remove: [crl]}", "a.yaml:2: packages.remove[0]: 'crl' is not in the list [did you mean 'curl'?]"),
        ("packages: {append: vim}", "a.yaml:2: packages.append: expected a list, found 'vim'"),
        ("packages: {apend: [x]}", (
            "a.yaml:2: packages.apend: use append, prepend, remove and replace to change a list [did you "
            "mean 'append'?]"
        )),
        ("packages: {append: [x], first: [y]}", (
            "a.yaml:2: packages.first: use append, prepend, remove and replace to change a "
            "list [no other key is allowed next to these]"
        )),
        ("network: {append: [x]}", (
            "a.yaml:2: network: append, prepend, remove and replace apply to a list, but this is a "
            "mapping (b.yaml:3)"
        )),
        ("network: {hostname: {append: [x]}}", (
            "a.yaml:2: network.hostname: append, prepend, remove and replace apply to a list, "
            "but this is 'base' (b.yaml:4)"
        )),
        ("disk: {append: [x]}", (
            "a.yaml:2: disk: append, prepend, remove and replace apply to a list, but this is none"
        )),
        ("name: {remove: []}", "a.yaml:2: name: append, prepend, remove and replace apply to a list, but this is none"),
        ("nope: {append: [x]}", "a.yaml:2: nope: unknown key 'nope' [None]"),
        ("packages: {append: [vim]}", (
            "a.yaml:2: packages: 'vim' is listed twice [b.yaml:2 has it already, and a list adds to that one: "
            "remove it here, or write `packages: {replace: […]}`]"
        )),
        ("packages: [tree, tree]", "a.yaml:2: packages: 'tree' is listed twice [remove one of the two]"),
        ("packages: []", (
            "a.yaml:2: packages: an empty list adds nothing to the list of the extended file [leave the key out, or "
            "write {replace: []} for an empty list]"
        )),
        ("packages: {replace: [x], append: [y]}", (
            "a.yaml:2: packages.replace: replace must be the only key [write the whole list there, and remove the "
            "other keys]"
        )),
        ("packages: {replace: x}", "a.yaml:2: packages.replace: expected a list, found 'x'"),
        ("packages: {replce: [x]}", (
            "a.yaml:2: packages.replce: use append, prepend, remove and replace to change a list [did you mean "
            "'replace'?]"
        )),
        ("os: {replace: [x]}", (
            "a.yaml:2: os: append, prepend, remove and replace apply to a list, but this is a mapping (b.yaml:1)"
        )),
        ("packages: {remove: [[vim]]}", "a.yaml:2: packages.remove[0]: 'a list' is not in the list [known: vim, curl]"),
    ],
)  # fmt: skip
def test_lists_that_cannot_be_changed(tmp_path: Path, more: str, problem: str) -> None:
    found = problems_in(
        tmp_path,
        {"b.yaml": BASE, "a.yaml": f"extends: b.yaml\n{more}\n{'' if 'name:' in more.split('{')[0] else 'name: a'}\n"},
    )
    if "[None]" in problem:
        found = [f"{text} [None]" if not text.endswith("]") else text for text in found]
    assert found[0] == problem


def test_long_chains_and_many_files_are_limited(tmp_path: Path) -> None:
    chain = {f"c{n}.yaml": f"extends: c{n + 1}.yaml\n" for n in range(300)}
    (problem,) = problems_in(tmp_path, {"a.yaml": "extends: c0.yaml\n", **chain})
    assert f"more than {MAX_CHAIN} files" in problem
    many = {f"m{n}.yaml": "packages: [x]\n" for n in range(MAX_FILES + 1)}
    (problem,) = problems_in(tmp_path, {"a.yaml": f"extends: [{', '.join(many)}]\n", **many})
    assert f"at most {MAX_FILES} files" in problem


def test_what_grows_too_large_is_refused(tmp_path: Path) -> None:
    files = {f"c{n}.yaml": f"extends: c{n - 1}.yaml\n" for n in range(1, 9)}
    for n in range(9):
        files[f"c{n}.yaml"] = files.get(f"c{n}.yaml", "") + f"packages: {{append: [{', '.join(['vim'] * 4000)}]}}\n"
    (problem,) = problems_in(tmp_path, {**files, "a.yaml": "extends: c8.yaml\n"})
    assert "more than 20000 values" in problem


def test_long_texts_add_up(tmp_path: Path) -> None:
    text = "x" * 600_000
    (problem,) = problems_in(tmp_path, {"b.yaml": f"b: {text}\n", "a.yaml": f"extends: b.yaml\na: {text}\n"})
    assert "together with what it extends, the recipe has more than 1024 KiB of text" in problem


def test_symlink_loops_and_special_files_are_reported(tmp_path: Path) -> None:
    recipes = project(tmp_path, {"a.yaml": "extends: loop.yaml\n"})
    (recipes / "loop.yaml").symlink_to("loop.yaml")
    assert problems_in(tmp_path, {})[0].startswith("a.yaml:1: extends: there is no file 'loop.yaml'")
    os.mkfifo(recipes / "pipe.yaml")
    assert problems_in(tmp_path, {"a.yaml": "extends: pipe.yaml\n"}) == [
        "a.yaml:1: extends: pipe.yaml: this is not a regular file"
    ]
