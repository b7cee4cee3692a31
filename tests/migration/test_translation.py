"""Command lines of virt-customize and virt-sysprep as operations: short ones, as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from imagebuild.customise import registry
from imagebuild.errors import UsageError
from imagebuild.migration import command_lines, recipe_text, shell_commands, translation
from imagebuild.migration.translated import Call, Part, Remark
from imagebuild.recipe.load import validate
from imagebuild.recipe.yaml.reader import parse

RECIPE = "name: small\nos: {family: debian, version: 13, codename: trixie}\n"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f x"
SECRET = "geheim"


def parts(text: str) -> list[Part]:
    return [part for command in command_lines.of_text(text, "f") for part in translation.parts(command)]


def items(made: list[Part]) -> list[str]:
    """The items of the recipe, in which the parts are parsed again."""
    lines = "\n".join(recipe_text.written(made))
    recipe = validate(parse(f"{RECIPE}operations:\n{lines}\n", "r.yaml"), Path("r.yaml"))
    calls = [part for part in made if isinstance(part, Call)]
    assert [one.name for one in recipe.operations] == [one.name for one in calls]
    for one, call in zip(recipe.operations, calls, strict=True):
        assert one.params == registry.call(call.name, call.params).params
    assert SECRET not in lines
    return [line.removeprefix("  - ") for line in lines.splitlines() if not line.startswith("  #")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--append-line '/etc/hosts:192.0.2.1 mirror'", "append-to-file: {path: /etc/hosts, text: 192.0.2.1 mirror}"),
        ("--chmod 0600:/etc/key", "set-permissions: {path: /etc/key, mode: '0600'}"),
        ("--chmod 640:/etc/key", "set-permissions: {path: /etc/key, mode: '0640'}"),
        ("--chown 0:0:/etc/key", "set-permissions: {path: /etc/key, owner: '0:0'}"),
        ("--copy /etc/a:/etc/b", "copy-file: {path: /etc/a, to: /etc/b}"),
        ("--copy /etc/a:/srv/", "copy-file: {path: /etc/a, to: /srv/a}"),
        ("--copy-in files/hosts:/etc", "copy-in: {source: files/hosts, path: /etc/hosts}"),
        ("--delete '/var/log/*.log'", "remove-files: {paths: [/var/log/*.log]}"),
        ("--firstboot setup.sh", "run-at-first-boot: {file: setup.sh}"),
        ("--firstboot-install a,b", "install-packages-at-first-boot: {packages: [a, b]}"),
        ("--hostname web.example.org", "reset-hostname: {hostname: web.example.org}"),
        ("--hostname=web", "reset-hostname: {hostname: web}"),
        ("--install nginx,curl -q", "install-packages: {packages: [nginx, curl]}"),
        ("--link /run/a:/etc/b", "create-link: {path: /etc/b, target: /run/a}"),
        ("--mkdir /srv/www", "create-folder: {path: /srv/www}"),
        ("--move /etc/a:/etc/b", "move-file: {path: /etc/a, to: /etc/b}"),
        (f"--password web:password:{SECRET}", "set-password: {user: web, password: {env: WEB_PASSWORD}}"),
        ('--root-password "password:$ROOT_PW"', "set-password: {user: root, password: {env: ROOT_PASSWORD}}"),
        ("--root-password file:/root/pw", "set-password: {user: root, password: {file: /root/pw}}"),
        ("--root-password disabled", "lock-password: {user: root}"),
        ("--root-password locked", "lock-password: {user: root}"),
        ("--run a.sh", "run-script: {file: a.sh, network: true}"),
        ("--run a.sh --no-network", "run-script: {file: a.sh}"),
        ("--run-command 'systemctl enable nginx'", "run-command: {command: systemctl enable nginx, network: true}"),
        ("--run-command 'echo $HOME ${X}'", "run-command: {command: 'echo $HOME $${X}', network: true}"),
        (f"--run-command \"echo 'web:{SECRET}' | chpasswd\"",
         "set-password: {user: web, password: {env: WEB_PASSWORD}}"),
        ("--scrub /etc/key", "remove-files: {paths: [/etc/key], must_exist: true}"),
        ("--sm-unregister", "remove-subscriptions"),
        ("--ssh-inject root:file:$HOME/.ssh/k.pub", "add-ssh-keys: {user: root, keys: [{file: ~/.ssh/k.pub}]}"),
        ('--ssh-inject "root:string:$(cat files/k.pub)"', "add-ssh-keys: {user: root, keys: [{file: files/k.pub}]}"),
        ("--ssh-inject web", "add-ssh-keys: {user: web, keys: [{file: ~/.ssh/id_ed25519.pub}]}"),
        ("--timezone Europe/Paris", "set-timezone: {timezone: Europe/Paris}"),
        ("--touch /etc/cloud/cloud-init.disabled", "write-file: {path: /etc/cloud/cloud-init.disabled, text: ''}"),
        ("--truncate /etc/machine-id", "empty-files: {paths: [/etc/machine-id]}"),
        ("--truncate-recursive /var/log", "empty-files: {paths: [/var/log]}"),
        ("--uninstall cloud-init", "remove-packages: {packages: [cloud-init]}"),
        ("--update", "update-packages"),
        ("--upload 'a b.conf:/etc/a.conf'", "copy-in: {source: a b.conf, path: /etc/a.conf}"),
        ("--upload a.conf:/etc/", "copy-in: {source: a.conf, path: /etc/a.conf}"),
        ("--write '/etc/motd:0o17'", 'write-file: {path: /etc/motd, text: "0o17"}'),
        ("--write '/etc/motd:a: b'", "write-file: {path: /etc/motd, text: 'a: b'}"),
    ],
)  # fmt: skip
def test_one_option(line: str, expected: str) -> None:
    made = parts(f"virt-customize -a x.qcow2 {line}")
    assert items(made) == [expected]
    assert not any(isinstance(part, Remark) and part.missing for part in made)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("--edit '/etc/a:s/b/c/'", "--edit /etc/a: a Perl expression has no equivalent: edit-line and set-key"),
        ("--root-password random", "--root-password: a random password would be the same in every clone"),
        (f"--sm-credentials me:password:{SECRET}", "--sm-credentials: no equivalent; see `run-at-first-boot`: a"),
        (f"--write '/etc/a:PASSWORD={SECRET}'", "--write: its value seems to contain a secret and was not copied"),
        ("--hostname \"$NAME\"", "--hostname: the shell replaces $NAME, whose value is not known here:"),
        ("--install 'a b'", "install-packages does not accept this: packages.0: string should match pattern"),
        (f"--bogus={SECRET}", "--bogus: this is not an option of virt-customize"),
        (SECRET, "a word without an option: this is not an option of virt-customize"),
        ("--commands-from-file more.txt", "--commands-from-file: no equivalent; see a recipe's `operations:`"),
    ],
)  # fmt: skip
def test_what_has_no_equivalent_says_why_and_shows_no_secret(line: str, text: str) -> None:
    made = parts(f"virt-customize {line}")
    assert items(made) == []
    (remark,) = made
    assert isinstance(remark, Remark)
    assert remark.missing
    assert remark.text.startswith(text)


def test_what_needs_nothing_is_not_missing() -> None:
    made = parts("virt-customize -a x -m 1024 --smp 2 -q --no-logfile --selinux-relabel --password-crypto sha512")
    assert items(made) == []
    assert [part.text.partition(":")[0] for part in made if isinstance(part, Remark) and not part.missing] == [
        "--no-logfile", "--selinux-relabel", "--password-crypto",
    ]  # fmt: skip


def test_a_script() -> None:
    made = parts(
        "#!/bin/bash\nPKGS=nginx,curl\nN=a\nN=b\n# virt-customize -a x --install no\n"
        'if sudo -E virt-customize -a "$1" \\\n  --install $PKGS \\\n  --mkdir /srv >/dev/null 2>&1; then :; fi\n'
        "virt-customize -a x --mkdir /opt # the rest\nLIBGUESTFS_BACKEND=direct virt-customize --hostname $N\n"
    )
    assert items(made) == ["install-packages: {packages: [nginx, curl]}", "create-folder: {path: /srv}",
                           "create-folder: {path: /opt}"]  # fmt: skip
    assert isinstance(made[-1], Remark)


def test_a_quote_without_an_end() -> None:
    with pytest.raises(UsageError, match=r"^f:2: a quote of this command has no end$"):
        list(shell_commands.commands("true\nvirt-customize --mkdir '/srv\n", "f"))


def test_a_list_of_commands() -> None:
    text = (
        f"# comment\ndelete /some/file\n\npassword some-user:password:{SECRET}\nwrite /etc/a:b c\nlink /a:/b:/c\n"
        "append-line /etc/hosts:\\\n  192.0.2.1 a\nselinux-relabel\nupdate\n"
    )
    assert items(parts(text)) == [
        "remove-files: {paths: [/some/file]}",
        "set-password: {user: some-user, password: {env: SOME_USER_PASSWORD}}",
        "write-file: {path: /etc/a, text: b c}",
        "create-link: {path: /b, target: /a}",
        "create-link: {path: /c, target: /a}",
        "append-to-file: {path: /etc/hosts, text: 192.0.2.1 a}",
        "update-packages",
    ]


def test_commands_for_the_first_boot_keep_their_order_in_one_script() -> None:
    made = parts("virt-customize --firstboot-command 'a b' --firstboot-command 'c' --firstboot d.sh --firstboot e.sh")
    assert [part.params for part in made if isinstance(part, Call)] == [
        {"text": "#!/bin/sh\na b\nc\n"}, {"file": "d.sh"}, {"name": "setup-2", "file": "e.sh"},
    ]  # fmt: skip
    assert items(made)[:3] == ["run-at-first-boot:", "      text: |", "        #!/bin/sh"]


def test_virt_sysprep_with_chosen_operations() -> None:
    made = parts("virt-sysprep -d x --operations ssh-hostkeys,machine-id,net-hostname --hostname web")
    assert items(made) == ["reset-hostname: {hostname: web}", "remove-ssh-host-keys", "reset-machine-id"]


def test_virt_sysprep_with_its_default_operations() -> None:
    every = items(parts("virt-sysprep -a x"))
    assert set(registry.TEMPLATE) <= set(every)
    less = items(parts("virt-sysprep -a x --operations defaults,-ssh-userdir,-lvm-uuids"))
    assert set(every) - set(less) == {"remove-user-ssh", "renew-disk-identifiers"}


def test_the_accounts_that_virt_sysprep_keeps() -> None:
    made = parts("virt-sysprep -a x --enable user-account --keep-user-accounts a,b")
    assert items(made) == ["remove-accounts: {keep: [a, b]}"]
    assert isinstance(parts("virt-sysprep -a x --enable machine-id,bogus")[0], Remark)


def test_a_long_value_is_not_on_one_line() -> None:
    assert items(parts(f"virt-customize --ssh-inject 'root:string:{KEY}'")) == [
        "add-ssh-keys:", "      user: root", "      keys:", f"        - {KEY}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"X={'a' * 100_000}\nvirt-customize --mkdir /{'$X' * 90}\n", "f:2: a word of this command is longer than"),
        (f"virt-customize --mkdir /{'a' * 200_000}\n", "f:1: a word of this command is longer than 128 KiB"),
    ],
)
def test_words_that_are_too_long(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        parts(text)


def test_a_line_of_many_assignments_is_read_in_no_time() -> None:
    assert command_lines.of_text(f"{'A=1 ' * 10_000}virt-customiz\nvirt-sysprep -a x\n", "f")[0].tool == "virt-sysprep"
