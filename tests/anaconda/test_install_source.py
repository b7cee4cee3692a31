"""Looking up and fetching install sources: a real server, real ISO images, real signatures. No
installer is started.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from faulty_server import FaultyServer
from gpg_key import signer

from imagebuild import fetch
from imagebuild.anaconda import medium, source, treeinfo
from imagebuild.anaconda.medium import Cache
from imagebuild.errors import HostError, ImageBuildError, RecipeError
from imagebuild.image import iso
from imagebuild.install.http_server import HOST_FROM_THE_GUEST, served
from imagebuild.progress import SILENT
from imagebuild.recipe.load import load
from imagebuild.recipe.model.recipe import Recipe
from imagebuild.step import UsedSource
from imagebuild.store.store import Store

FILES = {
    "images/pxeboot/vmlinuz": b"a kernel",
    "images/pxeboot/initrd.img": b"an initial RAM disk",
    "images/install.img": b"a runtime image" * 1000,
}
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "sources.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
QUICK = fetch.Limits(connect=2, read=2, pause=0.01, attempts=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the timeouts for servers that do not exist."""
    monkeypatch.setattr(fetch.text, "__defaults__", (QUICK,))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tree(folder: Path, *, without: str = "") -> Path:
    """An install tree like a distribution's."""
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    digests = "".join(f"{name} = sha256:{sha256(content)}\n" for name, content in FILES.items() if name != without)
    (folder / ".treeinfo").write_text(
        f"[checksums]\n{digests}[general]\nfamily = Example Linux\nversion = 9\narch = x86_64\n"
        "[images-x86_64]\nkernel = images/pxeboot/vmlinuz\ninitrd = images/pxeboot/initrd.img\n"
        "[stage2]\nmainimage = images/install.img\n"
    )
    (folder / "Packages").mkdir(exist_ok=True)
    (folder / "Packages" / "a.rpm").write_bytes(b"a package")
    return folder


def publish(folder: Path, server: FaultyServer) -> str:
    """The tree at an address."""
    for path in folder.rglob("*"):
        if path.is_file():
            server.content[f"/os/{path.relative_to(folder)}"] = path.read_bytes()
    return server.url("/os")


def image(folder: Path, label: str = "EXAMPLE 9") -> Path:
    path = folder.parent / "example.iso"
    iso.make(path, label, folder)
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], Recipe]:
    def write(installer: str) -> Recipe:
        path = tmp_path / "recipes" / "own.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"name: own\nos: {{family: redhat, distribution: rocky, version: 9}}\ninstaller:\n  {installer}\n"
        )
        return load(path)

    return write


def label(image: Path) -> str:
    """The volume identifier, ECMA-119 section 8.4.7."""
    return image.read_bytes()[16 * 2048 + 40 :][:32].decode().rstrip()


def made(found: source.FoundSource, tmp_path: Path) -> medium.Medium:
    """The files of the source, fetched and assembled."""
    folder = tmp_path / "entry"
    folder.mkdir()
    medium.make(found, folder, Cache(Store(tmp_path / "store")), SILENT, "x86_64")
    return medium.read(folder, found)


def message(error: pytest.ExceptionInfo[RecipeError]) -> str:
    return str(error.value.problems[0])


@pytest.mark.seconds
def test_a_tree_by_https(
    recipe: Callable[[str], Recipe], tmp_path: Path, tls_server: FaultyServer, certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{certificate}.crt")
    url = publish(tree(tmp_path / "tree"), tls_server)
    found = source.look_up(recipe(f"source: {{tree: {url}}}"))
    assert found.what == "install tree, Example Linux 9"
    assert found.asked == (f"{url}/.treeinfo",)
    assert [path for path, _ in tls_server.seen] == ["/os/.treeinfo"]  # looking up is cheap
    there = made(found, tmp_path)
    assert (there.tree / treeinfo.KERNEL).read_bytes() == FILES["images/pxeboot/vmlinuz"]
    assert there.image is not None
    assert label(there.image) == "IMAGEBUILD"
    iso.extract(there.image, [("/", tmp_path / "out")])
    assert (tmp_path / "out/images/install.img").read_bytes() == FILES["images/install.img"]
    assert "mainimage = images/install.img" in (tmp_path / "out/.treeinfo").read_text()
    assert there.served is None
    first = UsedSource("images/pxeboot/vmlinuz", sha256(b"a kernel"), f"{url}/images/pxeboot/vmlinuz")
    assert medium.made_from(tmp_path / "entry")[0] == first


def test_files_are_fetched_once_for_all_builds(
    recipe: Callable[[str], Recipe], tmp_path: Path, server: FaultyServer
) -> None:
    found = source.look_up(recipe(f"insecure: true\n  source: {{tree: {publish(tree(tmp_path / 'tree'), server)}}}"))
    cache = Cache(Store(tmp_path / "store"))
    server.seen.clear()
    threads = [threading.Thread(target=lambda: [cache.bring(file, SILENT) for file in found.files]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path for path, _ in server.seen) == sorted(f"/os/{name}" for name in FILES)
    server.faults.statuses = [503] * 100
    assert cache.bring(found.files[0], SILENT).read_bytes() == b"a kernel"  # without the network


def test_a_mirror_that_does_not_match_its_treeinfo(
    recipe: Callable[[str], Recipe], tmp_path: Path, server: FaultyServer
) -> None:
    found = source.look_up(recipe(f"insecure: true\n  source: {{tree: {publish(tree(tmp_path / 'tree'), server)}}}"))
    server.content["/os/images/install.img"] = b"something else"
    with pytest.raises(ImageBuildError, match=r"install\.img does not match: its sha256 is"):
        made(found, tmp_path)


def test_a_tree_out_of_reach_is_message(recipe: Callable[[str], Recipe], server: FaultyServer) -> None:
    asked = recipe(f"insecure: true\n  source: {{tree: {server.url('/os')}}}")
    with pytest.raises(RecipeError) as wrong:
        source.look_up(asked)
    assert message(wrong).endswith(
        ":5: installer.source.tree: " + server.url("/os") + " is not an install tree: it has no .treeinfo"
    )
    server.faults.statuses = [503] * 9
    with pytest.raises(HostError, match=r"cannot fetch .*\.treeinfo: the server says 503"):
        source.look_up(asked)


def test_a_treeinfo_without_its_dot(recipe: Callable[[str], Recipe], tmp_path: Path, server: FaultyServer) -> None:
    url = publish(tree(tmp_path / "tree"), server)
    server.content["/os/treeinfo"] = server.content.pop("/os/.treeinfo")
    assert source.look_up(recipe(f"insecure: true\n  source: {{tree: {url}}}")).asked[-1] == f"{url}/treeinfo"


def test_a_folder_is_served_and_verified(recipe: Callable[[str], Recipe], tmp_path: Path) -> None:
    folder = tree(tmp_path / "tree")
    found = source.look_up(recipe("source: {tree: ../tree}"))
    assert found.asked == ()
    there = made(found, tmp_path)
    assert there.served == folder
    (folder / "images/pxeboot/vmlinuz").write_bytes(b"changed")
    with pytest.raises(ImageBuildError, match="vmlinuz does not match"):
        medium.make(found, tmp_path, Cache(Store(tmp_path / "other")), SILENT, "x86_64")


def test_a_tree_without_digests_is_an_error(recipe: Callable[[str], Recipe], tmp_path: Path) -> None:
    tree(tmp_path / "tree", without="images/install.img")
    with pytest.raises(RecipeError) as wrong:
        source.look_up(recipe("source: {tree: ../tree}"))
    assert message(wrong).endswith("tree has no digest of images/install.img")
    before = source.look_up(recipe("insecure: true\n  source: {tree: ../tree}"))
    assert before.inputs()["images/install.img"].startswith("unproved-")
    (tmp_path / "tree/images/install.img").write_bytes(b"changed")
    assert source.look_up(recipe("insecure: true\n  source: {tree: ../tree}")).inputs() != before.inputs()


def test_an_iso_by_its_digest(recipe: Callable[[str], Recipe], tmp_path: Path, server: FaultyServer) -> None:
    path = image(tree(tmp_path / "tree"))
    server.content["/example.iso"] = path.read_bytes()
    found = source.look_up(
        recipe(f"source: {{iso: '{server.url('/example.iso')}', sha256: {sha256(path.read_bytes())}}}")
    )
    assert found.asked == ()
    assert server.seen == []
    there = made(found, tmp_path)
    assert there.served is None
    assert there.image is not None
    assert there.image.read_bytes() == path.read_bytes()
    assert (there.tree / treeinfo.INITRD).read_bytes() == FILES["images/pxeboot/initrd.img"]
    assert treeinfo.parse((there.tree / ".treeinfo").read_text(), "x86_64").kernel == treeinfo.KERNEL


def test_an_iso_that_is_unpacked(recipe: Callable[[str], Recipe], tmp_path: Path) -> None:
    path = image(tree(tmp_path / "tree"))
    digest = sha256(path.read_bytes())
    there = made(source.look_up(recipe(f"source: {{iso: ../example.iso, sha256: {digest}, attach: false}}")), tmp_path)
    assert there.image is None
    assert there.served is not None
    assert (there.served / "Packages/a.rpm").read_bytes() == b"a package"


def test_an_iso_without_a_treeinfo(recipe: Callable[[str], Recipe], tmp_path: Path) -> None:
    folder = tree(tmp_path / "tree")
    (folder / ".treeinfo").unlink()
    (folder / "images").rename(folder / "other")
    (folder / "other/pxeboot").rename(folder / "isolinux")
    digest = sha256(image(folder).read_bytes())
    text = f"source: {{iso: ../example.iso, sha256: {digest}}}"
    assert (made(source.look_up(recipe(text)), tmp_path).tree / treeinfo.KERNEL).read_bytes() == b"a kernel"


def test_a_file_that_is_not_an_iso(recipe: Callable[[str], Recipe], tmp_path: Path) -> None:
    (tmp_path / "example.iso").write_bytes(bytes(100_000))
    with pytest.raises(ImageBuildError, match="is not an ISO image: it has no volume descriptor"):
        made(source.look_up(recipe(f"source: {{iso: ../example.iso, sha256: {sha256(bytes(100_000))}}}")), tmp_path)


def test_an_iso_without_an_installer(recipe: Callable[[str], Recipe], tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "README").write_text("nothing to boot")
    digest = sha256(image(tmp_path / "tree").read_bytes())
    with pytest.raises(ImageBuildError, match="the ISO image has no installer"):
        made(source.look_up(recipe(f"source: {{iso: ../example.iso, sha256: {digest}}}")), tmp_path)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., bytes]]:
    """gpg with a generated key."""
    with signer(tmp_path_factory.mktemp("gpg") / "home", "distribution@example") as made:
        yield made.gpg


@pytest.mark.parametrize("form", ["inside", "beside", "named"])
def test_an_iso_by_the_distributions_signed_checksums(
    recipe: Callable[[str], Recipe], tmp_path: Path, server: FaultyServer, key: Callable[..., bytes], form: str
) -> None:
    path = image(tree(tmp_path / "tree"))
    listing = f"SHA256 (example.iso) = {sha256(path.read_bytes())}\n".encode()
    (tmp_path / "KEY").write_bytes(key("--export", "--armor"))
    server.content["/isos/example.iso"] = path.read_bytes()
    server.content["/isos/CHECKSUM"] = key("--clear-sign", content=listing) if form == "inside" else listing
    beside = key("--detach-sign", content=listing)
    server.content["/isos/CHECKSUM.sig" if form == "beside" else "/isos/signature"] = beside
    signature = f"signature: '{server.url('/isos/signature')}', " if form == "named" else ""
    text = (
        f"source: {{iso: '{server.url('/isos/example.iso')}', checksums: '{server.url('/isos/CHECKSUM')}', {signature}"
        "keyring: [/nowhere/KEY, ../KEY]}"
    )
    found = source.look_up(recipe(text))
    assert found.asked[0] == server.url("/isos/CHECKSUM")
    assert made(found, tmp_path).image is not None
    server.content["/isos/CHECKSUM"] = server.content["/isos/CHECKSUM"].replace(b"example.iso", b"exampl3.iso")
    with pytest.raises(RecipeError) as wrong:
        source.look_up(recipe(text))
    assert "installer.source.checksums" in message(wrong)
    assert "its signature is invalid: the file was changed after it was signed" in message(wrong)


def test_unsigned_checksums(recipe: Callable[[str], Recipe], tmp_path: Path, key: Callable[..., bytes]) -> None:
    path = image(tree(tmp_path / "tree"))
    (tmp_path / "CHECKSUM").write_text(f"{sha256(path.read_bytes())}  other.iso\n")
    (tmp_path / "KEY").write_bytes(key("--export"))
    with pytest.raises(RecipeError) as wrong:
        source.look_up(recipe("source: {iso: ../example.iso, checksums: ../CHECKSUM, keyring: ../KEY}"))
    assert "CHECKSUM has neither an embedded nor a detached signature" in message(wrong)
    with pytest.raises(RecipeError) as wrong:
        source.look_up(recipe("insecure: true\n  source: {iso: ../example.iso, checksums: ../CHECKSUM}"))
    assert message(wrong).endswith("CHECKSUM: it does not list example.iso")
    with pytest.raises(HostError, match="the keyring for verifying the signature is not on this system"):
        source.look_up(recipe("source: {iso: ../example.iso, checksums: ../CHECKSUM, keyring: ../NOKEY}"))


def test_a_kernel_with_its_initrd(recipe: Callable[[str], Recipe], tmp_path: Path) -> None:
    tree(tmp_path / "tree")
    pair = ", ".join(
        f"{key}: ../tree/{name}, {key}_sha256: {sha256(FILES[name])}"
        for key, name in zip(("kernel", "initrd", "stage2"), FILES, strict=True)
    )
    text = f"source: {{{pair}}}\n  repositories: [{{name: os, url: https://mirror.example/os}}]"
    there = made(source.look_up(recipe(text)), tmp_path)
    assert there.image is not None
    assert (there.tree / treeinfo.KERNEL).read_bytes() == b"a kernel"
    without = text.replace(
        f", stage2: ../tree/images/install.img, stage2_sha256: {sha256(FILES['images/install.img'])}", ""
    )
    assert made(source.look_up(recipe(without)), tmp_path / "tree").image is None


@pytest.mark.seconds
def test_virt_install_accepts_each_of_them(recipe: Callable[[str], Recipe], tmp_path: Path) -> None:
    """virt-install's dry run with libvirt's test driver: it can boot from the folder as a tree."""
    path = image(tree(tmp_path / "tree"))
    there = made(
        source.look_up(recipe(f"source: {{iso: ../example.iso, sha256: {sha256(path.read_bytes())}}}")), tmp_path
    )
    argv = [
        "virt-install", "--connect", "test:///default", "--name", "own", "--memory", "1024", "--osinfo",
        "detect=on,require=off",
        "--location", str(there.tree), "--extra-args", "inst.ks=file:/ks.cfg", "--disk", "none", "--network", "none",
        "--graphics", "none", "--dry-run", "--print-xml", "1",
    ]  # fmt: skip
    printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert "<cmdline>inst.ks=file:/ks.cfg</cmdline>" in printed


def test_what_the_vm_can_reach(tmp_path: Path) -> None:
    folder = tree(tmp_path / "tree")
    (tmp_path / "secret").write_text("not for the guest")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "inner").symlink_to("Packages/a.rpm")
    with served(folder) as address:
        url = address.replace(HOST_FROM_THE_GUEST, "127.0.0.1")
        assert urlopen(f"{url}Packages/a.rpm").read() == b"a package"
        assert urlopen(f"{url}inner").read() == b"a package"
        for path in ("link", "Packages", "Packages/", "", "../secret", "%2e%2e/secret", "nothing", "%00"):
            with pytest.raises(OSError, match="HTTP Error 404"):
                urlopen(f"{url}{path}")
    with pytest.raises(OSError, match="refused"):
        urlopen(f"{url}Packages/a.rpm")


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_of_the_documentation(text: str, tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(text)
    source = load(path).installer.source
    assert source is not None
    assert list(source.unverified()) == []
