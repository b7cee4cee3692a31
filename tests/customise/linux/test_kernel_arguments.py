"""Kernel command lines: as texts, in shell files as parsed by a real shell, and in all kinds of
boot loader files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from imagebuild.customise import registry
from imagebuild.customise.linux import boot_configuration, command_line_variables, shell_variables
from imagebuild.customise.linux.command_line_variables import Variables
from imagebuild.customise.linux.kernel_arguments import Edit
from imagebuild.customise.runner import apply_one
from imagebuild.errors import GuestError
from tests.customise.linux.test_boot_files import pe, section, uimage
from tests.operations.memory import MemoryDisk, Node, with_folders

CONSOLES = ("console=tty0", "console=ttyS0,115200n8")


@pytest.mark.parametrize(
    ("line", "add", "remove", "after"),
    [
        ("ro", CONSOLES, (), "ro console=tty0 console=ttyS0,115200n8"),
        ("ro console=ttyS0,115200n8 console=tty0", CONSOLES, (), "ro console=tty0 console=ttyS0,115200n8"),
        ("console=tty0 ro console=ttyS0,115200n8", CONSOLES, (), "console=tty0 ro console=ttyS0,115200n8"),
        ("console=tty1 console=ttyS0 ro", CONSOLES, (), "console=tty1 ro console=tty0 console=ttyS0,115200n8"),
        ("console=tty1", ("console=tty1",), (), "console=tty1"),
        ("elevator=bfq quiet", ("elevator=none",), (), "quiet elevator=none"),
        ("a=1 x a=2", ("a=2",), (), "x a=2"),
        ("a=1", ("a=2", "a=3"), (), "a=1 a=2 a=3"),
        ("rd.luks.uuid=1 rd.luks.uuid=2", ("rd.luks.uuid=3", "rd.luks.uuid=1"), (),
            "rd.luks.uuid=1 rd.luks.uuid=2 rd.luks.uuid=3"),
        ("hugepages=2", ("hugepagesz=1G", "hugepages=4", "hugepagesz=2M", "hugepages=4"), (),
            "hugepagesz=1G hugepages=4 hugepagesz=2M hugepages=4"),
        ("root=x quiet -- quiet single", ("nosmt",), ("quiet",), "root=x nosmt -- quiet single"),
        ('x.dyndbg="file a.c +p" quiet', (), ("quiet",), 'x.dyndbg="file a.c +p"'),
        ("ro", ('x.dyndbg="file a.c +p"',), (), 'ro x.dyndbg="file a.c +p"'),
        ('"x.dyndbg=file a.c +p" ro', ('x.dyndbg="file a.c +p"',), (), '"x.dyndbg=file a.c +p" ro'),
        ("log-buf-len=1M", ("log_buf_len=4M",), (), "log_buf_len=4M"),
        ("quietly quiet=1 x=quiet quiet", (), ("quiet",), "quietly x=quiet"),
        ("", ("quiet",), (), "quiet"),
        ("quiet", (), ("quiet",), ""),
    ],
)  # fmt: skip
def test_an_edit(line: str, add: tuple[str, ...], remove: tuple[str, ...], after: str) -> None:
    edit = Edit(add, remove)
    assert edit(line) == after
    assert edit(after) == after


WORD = st.from_regex(r"[a-c_-]{1,3}(=[a-c,\"]{0,4})?", fullmatch=True) | st.sampled_from(
    [*CONSOLES, "console=tty1", "ip=x"]
)
LINE = st.lists(WORD | st.just("--"), max_size=8).map(" ".join)
ADD = st.lists(st.from_regex(r"[a-c]{1,2}(=[a-c]{0,2})?", fullmatch=True) | st.sampled_from(CONSOLES), max_size=3)
EDIT = st.builds(Edit, ADD.map(tuple), st.lists(st.sampled_from(["b", "bb", "quiet", "c_c"]), max_size=2).map(tuple))


@pytest.mark.seconds
@settings(max_examples=100)
@given(LINE, EDIT)
@example("aa=aa aa=aa", Edit(("aa", "aa=aa")))
def test_an_edit_is_done_once(line: str, edit: Edit) -> None:
    if {one.partition("=")[0] for one in edit.add} & set(edit.remove):
        return
    try:
        once = edit(line)
    except GuestError:
        assert line.count('"') % 2
        return
    assert edit(once) == once
    for argument in edit.add:
        assert argument in once.split()
        if '"' not in line and "--" not in line:
            assert once.split().count(argument) == 1


SHELL_TEXT = st.text("ab $`\"'\\=;#\n(){}~", max_size=12)
SHELL_WORD = st.one_of(
    st.text("abc=,.", max_size=5),
    SHELL_TEXT.map(lambda text: "'" + text.replace("'", "") + "'"),
    SHELL_TEXT.map(lambda text: shell_variables.quoted((shell_variables.ValuePart(text),))),
    st.sampled_from(['"$A b"', "${B}", '"x \\$y \\z"', "a\\ b", "'a'\"b\"c", '"a\\\nb"', "$A'x'"]),
)
LINE_OF_SHELL = st.tuples(
    st.sampled_from(["A=", "export B=", "  C=", "x=1 A=", "true; B=", "# A=", "A=1 true; C="]), SHELL_WORD
)


@settings(max_examples=60)
@given(st.lists(LINE_OF_SHELL, max_size=5))
def test_values_are_those_that_a_shell_finds(lines: list[tuple[str, str]]) -> None:
    text = "".join(f"{start}{word}\n" for start, word in lines if not (start == "# A=" and "\n" in word))
    said = subprocess.run(
        ["sh", "-c", f'{text}\nprintf \'%s\\0\' "$A" "$B" "$C"'], capture_output=True, env={}, check=False
    )
    if said.returncode != 0:
        return
    known: dict[str, str] = {}
    for one in shell_variables.assignments(text):
        known[one.name] = shell_variables.value(one, known)
    assert [known.get(name, "") for name in "ABC"] == said.stdout.decode().split("\0")[:3]


@given(st.text("A='\"$`(){}\\\n #;&|<>~ifdone", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = shell_variables.assignments(text)
    except GuestError:
        return
    assert all(0 <= one.start <= one.end <= len(text) for one in found)


GRUB = Variables("GRUB_CMDLINE_LINUX", ("GRUB_CMDLINE_LINUX_DEFAULT",))
HOME = "/etc/default/grub"


def in_a_shell(files: dict[str, str], tmp_path: Path) -> list[str]:
    """The words that a normal entry gets when grub-mkconfig reads the files."""
    for number, text in enumerate(files.values()):
        (tmp_path / f"{number}.cfg").write_text(text)
    script = (
        'for one in "$1"/*.cfg; do . "$one"; done; printf "%s " "$GRUB_CMDLINE_LINUX" "$GRUB_CMDLINE_LINUX_DEFAULT"'
    )
    said = subprocess.run(["sh", "-c", script, "sh", tmp_path], capture_output=True, env={}, check=True)
    return said.stdout.decode().split()


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (['GRUB_CMDLINE_LINUX_DEFAULT="quiet splash"\nGRUB_CMDLINE_LINUX=""\n',
          'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=ttyS0 quiet"\n',
          'GRUB_CMDLINE_LINUX="crashkernel=auto"\n'], (
              "crashkernel=auto console=tty1 console=tty0 "
              "console=ttyS0,115200n8"
          )),
        (['GRUB_CMDLINE_LINUX="a"\n', 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX quiet b"\n'],
            "a b console=tty0 console=ttyS0,115200n8"),
        (['GRUB_CMDLINE_LINUX=a\n', "if true; then\n  GRUB_CMDLINE_LINUX='b quiet'\nfi\n"],
            "b console=tty0 console=ttyS0,115200n8"),
        (['E="quiet x"\nGRUB_CMDLINE_LINUX="${E}"\n'], "x console=tty0 console=ttyS0,115200n8"),
        (['# GRUB_CMDLINE_LINUX="x"\n'], "console=tty0 console=ttyS0,115200n8"),
        (["export GRUB_CMDLINE_LINUX=a; GRUB_TIMEOUT=1 # quiet\n"], "a console=tty0 console=ttyS0,115200n8"),
        (['GRUB_CMDLINE_LINUX="x \\\n quiet y"\n'], "x y console=tty0 console=ttyS0,115200n8"),
        (["GRUB_CMDLINE_LINUX='it'\"'\"'s' GRUB_CMDLINE_LINUX_DEFAULT=console=ttyS0,115200n8\n"],
         "it's console=tty0 console=ttyS0,115200n8"),
    ],
)  # fmt: skip
def test_what_grub_mkconfig_would_find(texts: list[str], words: str, tmp_path: Path) -> None:
    files = dict(zip([HOME, "/etc/default/grub.d/50-a.cfg", "/etc/default/grub.d/60-b.cfg"], texts, strict=False))
    edit = Edit(CONSOLES, ("quiet",))
    after = files | command_line_variables.edited(files, GRUB, edit, HOME)
    assert in_a_shell(after, tmp_path) == words.split()
    assert command_line_variables.edited(after, GRUB, edit, HOME) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('x=1\nGRUB_CMDLINE_LINUX="$(cat /etc/kernel/cmdline)"\n',
            "/etc/default/grub:2: GRUB_CMDLINE_LINUX is computed by the shell"),
        ("GRUB_CMDLINE_LINUX=`cat x`\n", ":1: GRUB_CMDLINE_LINUX is computed"),
        ('GRUB_CMDLINE_LINUX="a\n', "an unclosed quote"),
        ("cat <<E\nGRUB_CMDLINE_LINUX=a\nE\n", "here-document"),
        ("\n".join(["A=aaaaaaaaaaaaaaaa", *["A=$A$A"] * 40, 'GRUB_CMDLINE_LINUX="$A"']), "is longer than"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed_is_an_error_with_its_place(text: str, said: str) -> None:
    with pytest.raises(GuestError, match=said):
        command_line_variables.edited({HOME: text}, GRUB, Edit(("a=b",), ("quiet",)), HOME)


def test_something_is_added_to_what_a_shell_computes() -> None:
    text = 'GRUB_CMDLINE_LINUX="$(cat "/etc/x y") a"\n'
    after = command_line_variables.edited({HOME: text}, GRUB, Edit(("b",)), HOME)
    assert after == {HOME: 'GRUB_CMDLINE_LINUX="$(cat "/etc/x y") a b"\n'}


EDIT_ALL = Edit(("nosmt", *CONSOLES), ("quiet",))
ADDED = "nosmt console=tty0 console=ttyS0,115200n8"


@pytest.mark.parametrize(
    ("editor", "before", "after"),
    [
        (boot_configuration.grub_cfg,
         "menuentry 'x' {\n\tlinux\t/boot/vmlinuz root=/dev/vda ro quiet\n\tinitrd /i\n}\nlinux16 /memtest.bin quiet\n",
         (
             f"menuentry 'x' {{\n\tlinux\t/boot/vmlinuz root=/dev/vda ro {ADDED}\n\tinitrd /i\n}}\nlinux16 "
             "/memtest.bin quiet\n"
         )),
        (boot_configuration.grub_cfg, "  linux /vmlinuz a \\\n    quiet b\n",
            f"  linux /vmlinuz a \\\n    b {ADDED}\n"),
        (boot_configuration.grub_cfg, "multiboot2 /xen.gz quiet\nmodule2 /vmlinuz quiet\n",
            f"multiboot2 /xen.gz quiet\nmodule2 /vmlinuz {ADDED}\n"),
        (boot_configuration.grub_cfg, '  set kernelopts="root=x quiet"\n', f'  set kernelopts="root=x {ADDED}"\n'),
        (boot_configuration.grub_cfg, "\tkernel /vmlinuz-2.6.32 ro quiet\n", f"\tkernel /vmlinuz-2.6.32 ro {ADDED}\n"),
        (boot_configuration.grub_cfg, "# kopt=root=/dev/sda1 ro\n", f"# kopt=root=/dev/sda1 ro {ADDED}\n"),
        (boot_configuration.grub_cfg, "linux /vmlinuz\n", f"linux /vmlinuz {ADDED}\n"),
        (boot_configuration.bls_entry, "title x\nlinux /v\noptions\troot=x quiet\n",
            f"title x\nlinux /v\noptions\troot=x {ADDED}\n"),
        (boot_configuration.bls_entry, "linux /v\noptions quiet\noptions b quiet\ninitrd /i\n",
            f"linux /v\noptions \noptions b {ADDED}\ninitrd /i\n"),
        (boot_configuration.bls_entry, "title x\nlinux /v\n", f"title x\nlinux /v\noptions {ADDED}\n"),
        (boot_configuration.bls_entry, "title x\nlinux /v\noptions $kernelopts\n",
            f"title x\nlinux /v\noptions $kernelopts {ADDED}\n"),
        (boot_configuration.bls_entry, "title x\nefi /shellx64.efi\n", "title x\nefi /shellx64.efi\n"),
        (boot_configuration.extlinux,
         (
             "DEFAULT a\nLABEL a\n  LINUX /v\n  APPEND root=x quiet\nlabel b\n  kernel /v\nLABEL c\n  KERNEL "
             "menu.c32\n  APPEND quiet\n"
         ),
         (
             f"DEFAULT a\nLABEL a\n  LINUX /v\n  APPEND root=x {ADDED}\nlabel b\n  kernel /v\n  APPEND {ADDED}\n"
             "LABEL c\n  KERNEL menu.c32\n  APPEND quiet\n"
         )),
        (boot_configuration.extlinux, "APPEND quiet\nLABEL a\n  LINUX /v\n", f"APPEND {ADDED}\nLABEL a\n  LINUX /v\n"),
        (boot_configuration.extlinux, "LABEL a\n  LINUX /v\n  append -\n", f"LABEL a\n  LINUX /v\n  append {ADDED}\n"),
        (boot_configuration.refind_linux, '"Boot it"  "ro quiet"\n# x "a b"\n',
            f'"Boot it"  "ro {ADDED}"\n# x "a b"\n'),
        (boot_configuration.refind, 'menuentry x {\n  options "ro quiet"\n}\n',
            f'menuentry x {{\n  options "ro {ADDED}"\n}}\n'),
        (boot_configuration.limine, "/Linux\n    cmdline: root=x quiet\n", f"/Linux\n    cmdline: root=x {ADDED}\n"),
        (boot_configuration.command_line, "root=x quiet\n", f"root=x {ADDED}\n"),
        (boot_configuration.uki_conf, "[UKI]\nCmdline=root=x quiet\n", f"[UKI]\nCmdline=root=x {ADDED}\n"),
        (boot_configuration.uki_conf, "[UKI]\nCmdline=@/etc/x\n", "[UKI]\nCmdline=@/etc/x\n"),
        (boot_configuration.removing, "quiet a\n# quiet\n", "a\n# quiet\n"),
    ],
)  # fmt: skip
def test_boot_loaders_files(editor: boot_configuration.Editor, before: str, after: str) -> None:
    assert editor(before, EDIT_ALL) == after
    assert editor(after, EDIT_ALL) == after


LINES = st.lists(
    st.sampled_from([
        "linux /v a quiet", "\tlinux16 /v", "linux /v a \\", "options a quiet", "options", "title x", "LABEL a",
        "  KERNEL /v", "APPEND quiet", "append -",
        '"x" "a quiet"', 'options "quiet"', "cmdline: quiet", "quiet", "# quiet", "", "kernelopts=a quiet",
        "Cmdline=quiet a", '  set kernelopts="quiet"',
        "options $kernelopts quiet", "linux /v $kernelopts quiet", "root=x -- quiet", "console=ttyS0 quiet",
    ]),
    max_size=8,
).map("\n".join)  # fmt: skip
EDITORS = [
    boot_configuration.grub_cfg, boot_configuration.bls_entry, boot_configuration.extlinux,
    boot_configuration.refind_linux, boot_configuration.refind,
    boot_configuration.limine, boot_configuration.command_line, boot_configuration.uki_conf,
    boot_configuration.removing,
]  # fmt: skip


@settings(max_examples=40)
@pytest.mark.parametrize("editor", EDITORS, ids=lambda editor: editor.__name__)
@given(text=LINES)
def test_a_file_is_changed_once(editor: boot_configuration.Editor, text: str) -> None:
    once = editor(text, EDIT_ALL)
    assert editor(once, EDIT_ALL) == once


def test_under_xen_another_variable_takes_the_place() -> None:
    disk = disk_of({HOME: b"GRUB_CMDLINE_LINUX=a\nGRUB_CMDLINE_LINUX_XEN_REPLACE='b quiet'\n"})
    apply_one(disk, registry.call("set-kernel-arguments", {"add": ["nosmt"], "remove": ["quiet"]}))
    assert disk.tree[HOME].content == b"GRUB_CMDLINE_LINUX=\"a nosmt\"\nGRUB_CMDLINE_LINUX_XEN_REPLACE='b nosmt'\n"


def test_an_environment_block_keeps_its_size() -> None:
    text = "# GRUB Environment Block\nkernelopts=root=x quiet\n".ljust(1024, "#")
    after = boot_configuration.grubenv(text, EDIT_ALL)
    assert len(after) == 1024
    assert after.rstrip("#").endswith(f"kernelopts=root=x {ADDED}\n")
    with pytest.raises(GuestError, match="no room"):
        boot_configuration.grubenv(text, Edit(("x=" + "y" * 1000,)))


CALL = registry.call("set-kernel-arguments", {"add": list(CONSOLES), "remove": ["quiet"]})


def disk_of(files: dict[str, bytes]) -> MemoryDisk:
    return MemoryDisk(with_folders({path: Node("file", 0o644, content) for path, content in files.items()}))


def test_entries_on_a_partition_that_is_not_mounted() -> None:
    disk = disk_of({"/etc/kernel/cmdline": b"root=x quiet\n"})
    disk.partitions["/dev/sda1"] = disk_of({"/loader/entries/x.conf": b"linux /v\noptions root=x quiet\n"}).tree
    result = apply_one(disk, CALL)
    assert disk.partitions["/dev/sda1"]["/loader/entries/x.conf"].content.endswith(
        b"options root=x console=tty0 console=ttyS0,115200n8\n"
    )
    assert [change.path for change in result.changes] == ["/dev/sda1:/loader/entries/x.conf", "/etc/kernel/cmdline"]
    assert not apply_one(disk, CALL).changes


def test_a_unified_kernel_image() -> None:
    path = "/efi/EFI/Linux/one.efi"
    disk = disk_of({path: pe({".linux": b"k", ".cmdline": b"root=x quiet"})})
    apply_one(disk, CALL)
    assert section(disk.tree[path].content, ".cmdline") == b"root=x console=tty0 console=ttyS0,115200n8"
    assert not apply_one(disk, CALL).changes


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"/efi/EFI/Linux/one.efi": pe({".cmdline": b"quiet"}, signed=True), "/etc/kernel/cmdline": b"quiet\n"},
         "/efi/EFI/Linux/one.efi is a signed unified kernel image"),
        ({"/efi/EFI/Linux/one.efi": pe({".cmdline": b"x" * 510})},
            "/efi/EFI/Linux/one.efi: the section .cmdline of a UEFI program has room for 512"),
        ({"/etc/zipl.conf": b"parameters=quiet\n"}, "boots with zipl"),
        ({"/etc/lilo.conf": b"append=quiet\n"}, "boots with LILO"),
        ({"/boot/boot.scr": uimage(6, b"setenv bootargs quiet\n")}, "boots with the U-Boot script /boot/boot.scr"),
        ({"/etc/fstab": b""}, "no boot loader configuration"),
        ({"/etc/kernelstub/configuration": b"{"}, "is not in kernelstub's format"),
        ({"/boot/grub2/grubenv": b"kernelopts=" + b"x" * 1000 + b"\n"},
            "grubenv has no room for another kernel argument \\(/boot/grub2/grubenv\\)"),
    ],
)  # fmt: skip
def test_what_is_not_done_is_reported_and_nothing_is_changed(files: dict[str, bytes], said: str) -> None:
    disk = disk_of({**files, "/etc/default/keep": b""})
    before = dict(disk.tree)
    with pytest.raises(GuestError, match=said):
        apply_one(disk, CALL)
    assert disk.tree == before


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("/etc/default/u-boot", 'U_BOOT_PARAMETERS="ro quiet"\n', f'U_BOOT_PARAMETERS="ro {" ".join(CONSOLES)}"\n'),
        ("/etc/default/flash-kernel", 'LINUX_KERNEL_CMDLINE="quiet"\n',
            f'LINUX_KERNEL_CMDLINE="{" ".join(CONSOLES)}"\n'),
        ("/etc/update-extlinux.conf", "default_kernel_opts=quiet\n", f'default_kernel_opts="{" ".join(CONSOLES)}"\n'),
        ("/etc/dracut.conf.d/x.conf", 'kernel_cmdline+=" quiet "\n', f'kernel_cmdline+="{" ".join(CONSOLES)}"\n'),
        ("/etc/kernelstub/configuration", '{"user": {"kernel_options": ["quiet"]}}',
         (
             '{\n  "user": {\n    "kernel_options": [\n      "console=tty0",\n      "console=ttyS0,115200n8"\n    '
             ']\n  }\n}\n'
         )),
        ("/boot/firmware/cmdline.txt", "root=x quiet", f"root=x {' '.join(CONSOLES)}\n"),
        ("/boot/grub/menu.lst", "kernel /vmlinuz quiet\n", f"kernel /vmlinuz {' '.join(CONSOLES)}\n"),
    ],
)  # fmt: skip
def test_other_places(path: str, before: str, after: str) -> None:
    disk = disk_of({path: before.encode(), "/boot/firmware/config.txt": b""})
    apply_one(disk, registry.call("set-kernel-arguments", {"add": list(CONSOLES), "remove": ["quiet"]}))
    assert disk.tree[path].content.decode() == after
    assert not apply_one(disk, CALL).changes


def test_a_vendors_command_line_is_overridden() -> None:
    disk = disk_of({"/usr/lib/kernel/cmdline": b"root=x quiet\n"})
    apply_one(disk, CALL)
    assert disk.tree["/etc/kernel/cmdline"].content == b"root=x console=tty0 console=ttyS0,115200n8\n"
    assert disk.tree["/usr/lib/kernel/cmdline"].content == b"root=x quiet\n"
    assert not apply_one(disk, CALL).changes


def test_grub_without_defaults_gets_them() -> None:
    disk = disk_of({"/usr/sbin/grub-mkconfig": b"", "/boot/grub/grub.cfg": b"linux /vmlinuz quiet\n"})
    apply_one(disk, CALL)
    assert disk.tree["/etc/default/grub"].content == b'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200n8"\n'


@pytest.mark.parametrize("argument", ['x="a b', "x=a b", "x='a'", "-x", "x=$HOME", 'x="a$b"', "x=`a`", 'x="a"b'])
def test_invalid_arguments(argument: str) -> None:
    with pytest.raises(ValidationError):
        registry.call("set-kernel-arguments", {"add": [argument]})
