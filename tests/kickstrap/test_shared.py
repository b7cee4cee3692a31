"""Which recipes share an installed disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from imagebuild.build import freshness
from imagebuild.build import plan as plans
from imagebuild.build.engine import look_ahead
from imagebuild.build.freshness import Freshness
from imagebuild.build.plan import Plan
from imagebuild.build.step_cache import Settings
from imagebuild.kickstrap import shared
from imagebuild.kickstrap.installer import KickstrapPreparation
from imagebuild.kickstrap.mirror import Mirror
from imagebuild.recipe.load import load
from imagebuild.step import Tools, World
from imagebuild.store.store import Store

TOOLS = Tools(mmdebstrap="1.3.5", libguestfs="1.48.6", qemu="7.2.22")
MIRROR = Mirror("http://mirror.example/debian")
MORE = "packages: {append: [htop, rsync]}\n"
SHIPPED = Path(__file__).parents[2] / "kickstart"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def planned(tmp_path: Path, text: str = "", *, base: str = "debian-13", world: World | None = None,
            name: str = "web") -> Plan:  # fmt: skip
    path = tmp_path / f"{name}.yaml"
    path.write_text(f"extends: {base}\nname: {name}\n{text}")
    return plans.make(load(path), MIRROR, tools=TOOLS, secret_key=b"k" * 32, world=world)


def steps(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


def test_a_recipe_with_more_packages_shares_the_disk(tmp_path: Path) -> None:
    plain, more = planned(tmp_path), planned(tmp_path, MORE, name="db")
    assert steps(more) == ["runtime", "tree", "payload", "install", "additions", "customise", "convert"]
    assert "additions" not in steps(plain)
    assert more.install.fingerprint == plain.install.fingerprint
    assert more.customise.fingerprint != plain.customise.fingerprint
    assert {layer.fingerprint for layer in more.layers}.isdisjoint(layer.fingerprint for layer in plain.layers)
    assert "htop" in more.kickstart.text
    assert "htop" not in more.installed_kickstart.text


def test_other_packages_are_another_addition_to_the_same_disk(tmp_path: Path) -> None:
    one, other = planned(tmp_path, MORE), planned(tmp_path, MORE.replace("htop", "atop"))
    assert one.install.fingerprint == other.install.fingerprint
    assert one.after[0].fingerprint != other.after[0].fingerprint
    assert one.customise.fingerprint != other.customise.fingerprint


def test_the_order_of_packages_makes_no_difference(tmp_path: Path) -> None:
    one, other = planned(tmp_path, MORE), planned(tmp_path, "packages: {prepend: [rsync, htop]}\n", name="db")
    assert one.customise.fingerprint == other.customise.fingerprint


@pytest.mark.parametrize("firmware", ["uefi", "uefi-secure"])
def test_what_its_firmware_needs_is_installed_first(tmp_path: Path, firmware: str) -> None:
    machine = f"machine: {{firmware: {firmware}}}\n"
    plain, more = planned(tmp_path, machine), planned(tmp_path, machine + MORE, name="db")
    assert more.install.fingerprint == plain.install.fingerprint
    assert "grub-efi-amd64\n" in more.installed_kickstart.text


OWN = {
    "a service": "services: {enabled: [rsync]}\n",
    "a group": "users: [{name: admin, groups: [docker]}]\n",
    "a shell": "users: [{name: admin, shell: /usr/bin/zsh}]\n",
    "tuned": "tuning: {tuned_profile: virtual-guest}\n",
    "in the VM": "installer: {payload: in-vm}\n",
}
TEMPLATES = {
    "a script": ("%packages --nocore", "%post\nrsync --version\n%end\n%packages --nocore"),
    "a script before": ("%packages --nocore", "%pre\ntrue\n%end\n%packages --nocore"),
    "time servers": ("timezone --utc", "timezone --ntpservers=ntp.example.org --utc"),
}


@pytest.mark.parametrize("text", OWN.values(), ids=OWN)
def test_a_disk_of_its_own(tmp_path: Path, text: str) -> None:
    assert "additions" in steps(planned(tmp_path, MORE))
    assert "additions" not in steps(planned(tmp_path, MORE + text))


@pytest.mark.parametrize(("old", "new"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_kickstart_that_needs_a_disk_of_its_own(tmp_path: Path, old: str, new: str) -> None:
    assert "additions" not in steps(with_template(tmp_path, edited(old, new)))


def test_programs_for_its_storage_are_installed_first(tmp_path: Path) -> None:
    disk = "zerombr\nclearpart --all\npart / --fstype=xfs --size=1024 --grow"
    plan = with_template(tmp_path, edited("{{ imagebuild.disk(machine.firmware) }}", disk))
    assert "additions" in steps(plan)
    assert isinstance(plan.preparation, KickstrapPreparation)
    assert plan.preparation.common_spec is not None
    assert "xfsprogs" in plan.preparation.common_spec.packages


def edited(old: str, new: str) -> str:
    text = (SHIPPED / "debian.ks.j2").read_text()
    assert old in text
    return text.replace(old, new)


def with_template(tmp_path: Path, text: str) -> Plan:
    folder = tmp_path / "kickstart"
    folder.mkdir()
    (folder / "mine.ks.j2").write_text(text)
    return planned(tmp_path, MORE + "kickstart: {template: mine.ks.j2}\n")


def test_a_script_that_says_so_is_independent(tmp_path: Path) -> None:
    script = f"%post\n{shared.MARK}\necho hello >/etc/motd\n%end\n%packages --nocore"
    assert "additions" in steps(with_template(tmp_path, edited("%packages --nocore", script)))


def test_what_was_refused_once_is_not_planned_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    world = Freshness(store)
    plan = planned(tmp_path, MORE, world=world)
    freshness.refuse(store, plan.after[0], "its packages have /boot/initrd.img, which the installer looks at")
    again = planned(tmp_path, MORE, world=world)
    assert steps(again) == ["runtime", "tree", "payload", "install", "customise", "convert"]
    assert "htop" in again.installed_kickstart.text
    assert "additions" in steps(planned(tmp_path, MORE.replace("htop", "atop"), world=world))


def test_additions_are_needed_for_a_disk_that_is_there(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    plan = planned(tmp_path, MORE)
    settings = Settings(store, tmp_path / "out")
    assert [*look_ahead(plan, settings).to_run] == steps(plan)
    shutil.rmtree(store.root, ignore_errors=True)
    store = Store(tmp_path / "store")
    (tmp_path / "work").mkdir()
    with store.make(plan.install.kind, plan.install.fingerprint, within=tmp_path / "work", label="web",
                    inputs=plan.install.inputs):  # fmt: skip
        pass
    assert [*look_ahead(plan, settings).to_run] == ["additions", "customise", "convert"]
    with store.make(plan.layers[0].kind, plan.layers[0].fingerprint, within=tmp_path / "work", label="web",
                    inputs=plan.layers[0].inputs):  # fmt: skip
        pass
    assert [*look_ahead(plan, settings).to_run] == ["customise", "convert"]
