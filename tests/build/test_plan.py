"""Plans: which change affects which step, and what a plan finds in the store."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from imagebuild.anaconda.source import File, FoundSource
from imagebuild.build import installers
from imagebuild.build import plan as plans
from imagebuild.build.engine import Outlook, look_ahead
from imagebuild.build.plan import Plan
from imagebuild.build.step_cache import Settings
from imagebuild.contents import inventory
from imagebuild.errors import HostError, RecipeError
from imagebuild.fetch import Digest
from imagebuild.kickstrap.installer import KickstrapPreparation
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.recipe.load import load
from imagebuild.step import Tools
from imagebuild.store.artifact import ArtifactFolder
from imagebuild.store.store import Store

TOOLS = Tools(mmdebstrap="1.3.5", libguestfs="1.48.6", qemu="7.2.22")
MIRROR = Mirror("http://mirror.example/debian", "http://mirror.example/security", updates=True)
BASE = """\
name: web
os: {family: debian, version: 13, codename: trixie}
disk: {size: 4GiB}
vm: {memory: 1GiB, vcpus: 2}
locale: {timezone: UTC}
kernel_arguments: [net.ifnames=0]
packages: [vim]
operations: [reset-machine-id, clean-logs]
"""


def planned(tmp_path: Path, text: str = BASE, *, mirror: Mirror = MIRROR, tools: Tools = TOOLS) -> Plan:
    path = tmp_path / "web.yaml"
    path.write_text(text)
    return plans.make(load(path), mirror, tools=tools, secret_key=b"k" * 32)


def changed(before: Plan, after: Plan) -> set[str]:
    pairs = zip(before.steps, after.steps, strict=True)
    return {one.name for one, other in pairs if one.fingerprint != other.fingerprint}


@pytest.mark.parametrize(
    ("old", "new", "steps"),
    [
        ("memory: 1GiB, vcpus: 2", "memory: 2GiB, vcpus: 4", set()),
        ("name: web\n", "name: web\ndescription: only words\n", set()),
        ("packages: [vim]", "packages: [vim, tree]", {"payload", "install", "customise", "convert"}),
        ("timezone: UTC", "timezone: Europe/Berlin", {"install", "customise", "convert"}),
        ("size: 4GiB", "size: 5GiB", {"install", "customise", "convert"}),
        ("[net.ifnames=0]", "[net.ifnames=0, quiet]", {"install", "customise", "convert"}),
        ("[reset-machine-id, clean-logs]", "[reset-machine-id]", {"customise", "convert"}),
        ("operations:", "output: {compression: zlib}\noperations:", {"convert"}),
        ("operations:", "output: {format: [qcow2, vmdk]}\noperations:", {"convert"}),
        ("operations:", "output: {format: qcow2}\noperations:", set()),
        ("operations:", "machine: {vcpus: 4}\noperations:", {"convert"}),
        ("operations:", "machine: {firmware: uefi}\noperations:", {"payload", "install", "customise", "convert"}),
        ("operations:", "extra_disks: [{size: 1GiB}]\noperations:", {"install", "customise", "convert"}),
    ],
)
def test_an_edit_changes_only_the_steps_that_it_affects(tmp_path: Path, old: str, new: str, steps: set[str]) -> None:
    assert old in BASE
    assert changed(planned(tmp_path), planned(tmp_path, BASE.replace(old, new))) == steps


def test_host_keys_are_made_unless_they_are_removed(tmp_path: Path) -> None:
    made = planned(tmp_path)
    removed = planned(tmp_path, BASE.replace("[reset-machine-id, ", "[reset-machine-id, remove-ssh-host-keys, "))
    assert made.install.inputs["SSH host keys"] == "made by the installer"
    assert "SSH host keys" not in removed.install.inputs
    arguments = [installers.of(plan.recipe).boot(plan.recipe).kernel_arguments for plan in (made, removed)]
    assert ["kickstrap.ssh_host_keys=no" in one for one in arguments] == [False, True]


def test_the_mirror_and_the_tools_are_inputs(tmp_path: Path) -> None:
    before = planned(tmp_path)
    elsewhere = planned(tmp_path, mirror=Mirror("http://other.example/debian"))
    assert "payload" in changed(before, elsewhere)
    assert changed(before, planned(tmp_path, tools=replace(TOOLS, qemu="9.2"))) == {"convert"}
    assert changed(before, planned(tmp_path, tools=replace(TOOLS, libguestfs="1.54"))) == {"customise", "convert"}


def test_another_format_of_the_inventory_is_another_result_but_no_other_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = planned(tmp_path)
    monkeypatch.setattr(inventory, "SCHEMA", inventory.SCHEMA + 1)
    after = planned(tmp_path)
    assert changed(before, after) == {"customise", "convert"}
    assert [one.fingerprint for one in before.layers] == [one.fingerprint for one in after.layers]


COPYING = f"{BASE.rstrip()}\n".replace(
    "[reset-machine-id, clean-logs]",
    """
  - copy-in: {source: site, path: /srv/site}
  - set-password: {password: {env: WEB_PASSWORD}}""",
)


def test_files_and_secrets_of_operations_are_inputs_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(name: str, *, content: str = "a", password: str = "first secret", mode: int = 0o644) -> Plan:
        folder = tmp_path / name
        (folder / "site").mkdir(parents=True)
        (folder / "site/index").write_text(content)
        (folder / "site/index").chmod(mode)
        monkeypatch.setenv("WEB_PASSWORD", password)
        return planned(folder, COPYING)

    before = made("one")
    assert "first secret" not in repr(before)
    assert changed(before, made("elsewhere")) == set()
    assert changed(before, made("group-writable", mode=0o664)) == set()
    assert changed(before, made("content", content="b")) == {"customise", "convert"}
    assert changed(before, made("executable", mode=0o755)) == {"customise", "convert"}
    assert changed(before, made("password", password="second secret")) == {"customise", "convert"}


def test_missing_files_of_operations_are_reported_at_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = BASE.replace(
        "[reset-machine-id, clean-logs]",
        """
  - copy-in: {source: site, path: /srv/site}
  - run-script: {file: setup.sh}""",
    )
    path = tmp_path / "web.yaml"
    with pytest.raises(RecipeError) as caught:
        planned(tmp_path, text)
    assert [(one.line, one.where) for one in caught.value.problems] == [
        (9, "copy-in.source"),
        (10, "run-script.file"),
    ]
    assert f"{tmp_path / 'setup.sh'} cannot be read: No such file or directory" in str(caught.value)
    assert [one.line for one in plans.survey(load(path), MIRROR)[1].errors] == [9, 10]


def test_a_secret_is_an_input_but_not_in_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{BASE}root: {{password: {{env: WEB_PASSWORD}}}}\n"
    monkeypatch.setenv("WEB_PASSWORD", "first secret")
    before = planned(tmp_path, text)
    assert "first secret" not in before.kickstart.text
    assert "$6$" not in before.kickstart.text
    assert changed(before, planned(tmp_path, text)) == set()
    monkeypatch.setenv("WEB_PASSWORD", "second secret")
    assert changed(before, planned(tmp_path, text)) == {"install", "customise", "convert"}


def test_a_payload_in_the_vm_needs_a_mirror(tmp_path: Path) -> None:
    text = f"{BASE}installer: {{payload: in-vm}}\n"
    plan = planned(tmp_path, text)
    assert isinstance(plan.preparation, KickstrapPreparation)
    assert plan.preparation.payload is None
    assert "%packages" in plan.kickstart.text
    assert "http://mirror.example/debian" in plan.kickstart.text
    with pytest.raises(HostError, match="no Debian mirror is known"):
        planned(tmp_path, text, mirror=Mirror())


def test_an_unsupported_command_is_reported_before_anything_boots(tmp_path: Path) -> None:
    (tmp_path / "kickstart").mkdir()
    (tmp_path / "recipes").mkdir()
    template = tmp_path / "kickstart" / "own.ks.j2"
    template.write_text(
        "text\nrootpw --lock\nvolgroup vg0 pv.01\nliveimg --url=file:///x\nclearpart --all\npart / --size=1 --grow\n"
    )
    path = tmp_path / "recipes" / "web.yaml"
    path.write_text(f"{BASE}kickstart: {{template: own.ks.j2}}\n")
    with pytest.raises(RecipeError) as wrong:
        plans.make(load(path), MIRROR, tools=TOOLS, secret_key=b"k")
    found = [problem for problem in wrong.value.problems if "volgroup" in problem.message]
    assert found
    assert (Path(found[0].file).name, found[0].line) == ("own.ks.j2", 3)


def outlook(tmp_path: Path, plan: Plan, *, refresh: bool = False) -> Outlook:
    return look_ahead(plan, Settings(Store(tmp_path / "store"), tmp_path / "artifacts", refresh))


def keep(tmp_path: Path, plan: Plan, *names: str) -> None:
    store = Store(tmp_path / "store")
    for step in plan.steps:
        if step.name in names:
            with store.make(step.kind, step.fingerprint, within=tmp_path, label="web", inputs=step.inputs):
                pass


def test_a_build_continues_after_the_stored_steps(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    assert list(outlook(tmp_path, plan).to_run) == ["runtime", "tree", "payload", "install", "customise", "convert"]
    keep(tmp_path, plan, "runtime", "tree")
    assert list(outlook(tmp_path, plan).to_run) == ["payload", "install", "customise", "convert"]
    keep(tmp_path, plan, "install")
    assert list(outlook(tmp_path, plan).to_run) == ["customise", "convert"]
    assert len(outlook(tmp_path, plan, refresh=True).to_run) == 6


def test_a_customised_disk_needs_no_installed_one(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    keep(tmp_path, plan, "customise")
    assert list(outlook(tmp_path, plan).to_run) == ["convert"]


def test_a_checkpoint_depends_on_the_operations_before_it(tmp_path: Path) -> None:
    """In the order of application: operations that seal the guest come last, and are in no
    checkpoint.
    """
    operations = "operations: [trim-free-space, disable-firewall, reset-machine-id, clean-logs]"
    before = planned(tmp_path, BASE.replace("operations: [reset-machine-id, clean-logs]", operations))
    after = planned(
        tmp_path,
        BASE.replace("operations: [reset-machine-id, clean-logs]", operations.replace("clean-logs", "remove-spools")),
    )
    assert [one.what for one in before.layers] == [
        "after disable-firewall",
        "after reset-machine-id",
        "after clean-logs",
    ]
    same = [one.fingerprint == other.fingerprint for one, other in zip(before.layers, after.layers, strict=True)]
    assert same == [True, True, False]
    store = Store(tmp_path / "store")
    for one in before.layers[:2]:
        with store.make(one.kind, one.fingerprint, within=tmp_path, label="web", inputs=one.inputs):
            pass
    assert (
        outlook(tmp_path, after).to_run["customise"]
        == "not built yet; continues from the checkpoint after reset-machine-id"
    )


def test_it_explains_why_a_step_runs(tmp_path: Path) -> None:
    keep(tmp_path, planned(tmp_path), "runtime", "tree", "payload", "install")
    after = planned(tmp_path, BASE.replace("size: 4GiB", "size: 5GiB"))
    why = outlook(tmp_path, after).to_run
    assert why["install"] == "changed: disk size"
    assert why["customise"] == "not built yet"
    assert "payload" not in why


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("timezone: UTC", "timezone: Europe/Berlin", r"kickstart/debian\.ks\.j2:\d+ changed"),
        ("packages: [vim]", "packages: [vim, tree]", r"kickstart/debian\.ks\.j2:\d+ changed, changed: payload"),
        ("[net.ifnames=0]", "[net.ifnames=0, quiet]", r"kickstart/debian\.ks\.j2:\d+ changed( and .*)?"),
        (
            "locale: {timezone: UTC}",
            "locale: {timezone: Europe/Berlin}\nextra_disks: [{size: 1GiB}]",
            r"kickstart/debian\.ks\.j2:\d+ changed.*, changed: disk 2",
        ),
    ],
)
def test_a_changed_kickstart_is_reported_at_its_line(tmp_path: Path, old: str, new: str, expected: str) -> None:
    before = planned(tmp_path)
    store = Store(tmp_path / "store")
    with store.make(
        "installed", before.install.fingerprint, within=tmp_path, label="web", inputs=before.install.inputs
    ) as folder:
        (folder / "kickstart.cfg").write_text(before.installed_kickstart.text)
    after = planned(tmp_path, BASE.replace(old, new))
    assert re.fullmatch(expected, outlook(tmp_path, after).to_run["install"])
    elsewhere = planned(tmp_path, mirror=Mirror("http://other.example/debian"))
    assert outlook(tmp_path, elsewhere).to_run["install"] == "changed: installer, payload"


def test_a_finished_artifact_is_found(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    with ArtifactFolder(tmp_path / "artifacts", "web").new(date(2026, 1, 31)) as artifact:
        (artifact.folder / "web.qcow2").write_bytes(b"image")
        (artifact.folder / "manifest.json").write_text(
            f'{{"fingerprint": "{plan.convert.fingerprint}", "image": {{"file": "web.qcow2", "size": 5, '
            '"sha256": "0"}}'
        )
    found = outlook(tmp_path, plan)
    assert found.artifact is not None
    assert found.to_run == {}
    assert found.cached == 6
    other = planned(tmp_path, BASE.replace("[vim]", "[tree]"))
    assert outlook(tmp_path, other).artifact is None


ANACONDA = """\
name: web
os: {family: redhat, distribution: rocky, version: 9}
installer: {source: {iso: a.iso, sha256: "%s"}}
kickstart: {template: redhat.ks.j2}
locale: {language: en_US.UTF-8}
operations: [reset-machine-id]
"""


def anaconda_plan(tmp_path: Path, found: FoundSource) -> Plan:
    path = tmp_path / "web.yaml"
    path.write_text(ANACONDA % ("0" * 64))
    return plans.make(load(path), found, tools=TOOLS, secret_key=b"k")


def test_anaconda_has_a_source_instead_of_kickstraps_steps(tmp_path: Path) -> None:
    one = FoundSource("iso", "ISO image a.iso", (File("image.iso", "/a.iso", Digest("sha256", "0" * 64)),))
    before = anaconda_plan(tmp_path, one)
    assert [step.name for step in before.steps] == ["source", "install", "customise", "convert"]
    assert before.steps[0].what == "ISO image a.iso"
    elsewhere = replace(one, files=(replace(one.files[0], place="https://mirror.example/a.iso"),), asked=("https://x",))
    assert changed(before, anaconda_plan(tmp_path, elsewhere)) == set()
    other = replace(one, files=(replace(one.files[0], digest=Digest("sha256", "1" * 64)),))
    assert changed(before, anaconda_plan(tmp_path, other)) == {"source", "install", "customise", "convert"}
    assert list(outlook(tmp_path, before).to_run) == ["source", "install", "customise", "convert"]
    keep(tmp_path, before, "source")
    assert list(outlook(tmp_path, before).to_run) == ["install", "customise", "convert"]
