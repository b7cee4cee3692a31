"""A file rebuilt from older versions has exactly the bytes of the one that was built."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagebuild.image.formats import CLUSTER, Compression
from imagebuild.image.qcow2 import ZLIB_LEVEL, ZSTD_LEVEL
from imagebuild.publish.agent.clusters import UnusableImage
from imagebuild.publish.agent.codec import DamagedCluster, Zlib, zstd
from imagebuild.publish.agent.oldimages import OldImage, OldImages, codec_of, reproduces
from imagebuild.publish.agent.rebuild import BadPlan, Blocks, rebuild, unpacked
from imagebuild.publish.delta import DeltaPlan, OldBlocks, planned
from imagebuild.publish.delta_transfer import read_exactly
from imagebuild.publish.disk_map import DiskMap, StoredCluster, mapped
from tests.publish.disks import BLOCK, block, disk_of, image, noise

MOST = 1 << 10
Right = Callable[[int, int], bool]


def nothing(_offset: int, _length: int) -> bool:
    return False


def opened(*paths: Path, most: int = MOST) -> OldImages:
    return OldImages([OldImage(os.open(path, os.O_RDONLY), path.stat().st_size, most) for path in paths])


def the_map(path: Path, sha256: str) -> DiskMap:
    found = mapped(path, path.stat().st_size, sha256)
    assert found is not None
    return found


def sent(plan: DeltaPlan, new: Path, compression: str) -> bytes:
    codec = codec_of(compression)
    assert codec is not None
    with new.open("rb") as file:

        def content(cluster: StoredCluster) -> bytes:
            data = read_exactly(file, cluster.offset, cluster.length)
            return data if cluster.length == CLUSTER else bytes(codec.decompress(data))

        return b"".join(plan.literals(content, lambda at, length: read_exactly(file, at, length)))


def rebuilt(
    new: Path, sha256: str, olds: OldImages, part: Path, right: Right = nothing, level: int = ZSTD_LEVEL
) -> tuple[list[int], DeltaPlan]:
    """Rebuild ``new`` as ``part``, as the two programs do it together; the segments that failed, and the plan."""
    disk = the_map(new, sha256)
    plan = planned(disk, OldBlocks.decoded(olds.described(lambda _done: None), 2 * MOST), right)
    literals, at = sent(plan, new, disk.compression), 0
    assert len(literals) == plan.sent

    def take(length: int) -> bytes:
        nonlocal at
        at += length
        return literals[at - length : at]

    codec = codec_of(disk.compression)
    assert codec is not None
    level = ZLIB_LEVEL if disk.compression == "zlib" else level
    unpacked_plan = unpacked(plan.packed(), new.stat().st_size)
    with part.open("r+b" if part.exists() else "w+b") as file:
        wrong = rebuild(
            file.fileno(),
            unpacked_plan,
            Blocks(unpacked_plan.runs, olds, take),
            take,
            lambda data: bytes(codec.compress(data, level)),
            lambda _offset: None,
            lambda _offset: None,
        )
    assert at == len(literals)
    return wrong, plan


seeds = st.lists(st.integers(0, 12), min_size=1, max_size=70)


@pytest.mark.seconds
@given(old=seeds, new=seeds, moved=st.integers(0, 20), compression=st.sampled_from(["zstd", "zlib"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_disk_is_rebuilt_from_any_older_one(
    old: list[int], new: list[int], moved: int, compression: Compression
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        image(folder / "old", disk_of(old), compression)
        image(folder / "other", disk_of(new[::-1]), compression)
        digest = image(folder / "new", disk_of([*new[:moved], *old[5:], *new]), compression)
        olds = opened(folder / "old", folder / "other")
        wrong, plan = rebuilt(folder / "new", digest, olds, folder / "part")
        assert wrong == []
        assert (folder / "part").read_bytes() == (folder / "new").read_bytes()
        known = {block(seed) for seed in (*old, *new)}
        assert not any(data in known for data in blocks_sent(plan, folder / "new", compression))


def blocks_sent(plan: DeltaPlan, new: Path, compression: str) -> list[bytes]:
    without = DeltaPlan(tuple(one for one in plan.segments if one.cluster is not None), plan.runs)
    data = sent(without, new, compression)
    return [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]


def test_data_that_moved_by_one_block_is_not_sent(tmp_path: Path) -> None:
    seeds = list(range(1, 400))
    image(tmp_path / "old", disk_of(seeds))
    digest = image(tmp_path / "new", disk_of([500, *seeds]))
    wrong, plan = rebuilt(tmp_path / "new", digest, opened(tmp_path / "old"), tmp_path / "part")
    assert not wrong
    assert len(blocks_sent(plan, tmp_path / "new", "zstd")) == 1
    assert len(plan.packed()) < 400
    assert (tmp_path / "part").read_bytes() == (tmp_path / "new").read_bytes()


def test_what_is_right_already_is_left_alone(tmp_path: Path) -> None:
    image(tmp_path / "old", disk_of([1, 2, 3]))
    digest = image(tmp_path / "new", disk_of([*range(30, 200, 3)]))
    content = (tmp_path / "new").read_bytes()
    middle = len(content) // 2
    part = tmp_path / "part"
    part.write_bytes(content[:middle])
    wrong, plan = rebuilt(
        tmp_path / "new", digest, opened(tmp_path / "old"), part, lambda at, length: at + length <= middle
    )
    assert not wrong
    assert part.read_bytes() == content
    assert plan.sent < len(content) - middle + 3 * CLUSTER


def test_a_damaged_old_cluster_is_reported_and_the_others_are_made(tmp_path: Path) -> None:
    old = tmp_path / "old"
    image(old, disk_of(list(range(1, 65))))
    digest = image(tmp_path / "new", disk_of(list(range(1, 65))))
    olds = opened(old)
    described = olds.described(lambda _done: None)
    offset = the_map(tmp_path / "new", digest).clusters[1].offset
    with old.open("r+b") as file:  # after it was described, and before it is used
        file.seek(offset)
        file.write(bytes(64))
    olds.described = lambda _progress: described  # type: ignore[method-assign]
    wrong, plan = rebuilt(tmp_path / "new", digest, olds, tmp_path / "part")
    assert [plan.segments[number].offset for number in wrong] == [offset]
    length = plan.segments[wrong[0]].length
    made, new = (tmp_path / "part").read_bytes(), (tmp_path / "new").read_bytes()
    assert made[:offset] + made[offset + length :] == new[:offset] + new[offset + length :]


def test_a_cluster_that_comes_out_in_another_way_is_reported(tmp_path: Path) -> None:
    image(tmp_path / "old", disk_of(list(range(1, 33))))
    digest = image(tmp_path / "new", disk_of(list(range(1, 33))))
    wrong, plan = rebuilt(tmp_path / "new", digest, opened(tmp_path / "old"), tmp_path / "part", level=19)
    assert [plan.segments[number].cluster is not None for number in wrong] == [True, True]


def test_the_library_of_this_host_makes_the_same_clusters(tmp_path: Path) -> None:
    """With any zstd from 1.5.1 to 1.5.7; if a newer one fails here, look for another level."""
    library = zstd()
    assert library is not None
    digest = image(tmp_path / "new", disk_of([*range(1, 200)]) + noise(1 << 20) + Path(os.__file__).read_bytes())
    new = (tmp_path / "new").read_bytes()
    stored = [new[one.offset : one.offset + one.length] for one in the_map(tmp_path / "new", digest).clusters]
    samples = [one for one in stored if len(one) < CLUSTER]
    assert len(samples) > 10
    assert reproduces(library, samples, [1, ZSTD_LEVEL]) == ZSTD_LEVEL
    assert reproduces(library, samples, [1]) is None
    assert reproduces(library, [b"no frame"], [ZSTD_LEVEL]) is None


def test_codecs_refuse_what_has_another_length() -> None:
    library = zstd()
    assert library is not None
    for codec, level in ((Zlib(), 6), (library, 2)):
        squeezed = codec.compress(bytes(CLUSTER), level)
        assert codec.decompress(squeezed + b"more") == bytes(CLUSTER)
        for data, length in (
            (squeezed, CLUSTER - 1),
            (squeezed[:-1], CLUSTER),
            (b"", CLUSTER),
            (squeezed, CLUSTER + 1),
        ):
            if codec.__class__ is Zlib and length < CLUSTER:
                continue  # stops there, and does not look further
            with pytest.raises(DamagedCluster):
                codec.decompress(data, length)


@pytest.mark.parametrize(
    "text",
    [b"", b"x", struct.pack(">I", 7)],
    ids=["empty", "not deflated", "neither"],
)
def test_a_plan_that_is_damaged_is_refused(text: bytes) -> None:
    with pytest.raises(BadPlan):
        unpacked(text, 100)


def test_a_plan_for_another_size_is_refused(tmp_path: Path) -> None:
    digest = image(tmp_path / "new", disk_of([1, 2]))
    plan = planned(the_map(tmp_path / "new", digest), OldBlocks((), b""), nothing)
    size = (tmp_path / "new").stat().st_size
    assert unpacked(plan.packed(), size)
    with pytest.raises(BadPlan):
        unpacked(plan.packed(), size + 1)


def test_a_file_that_is_no_image_has_no_map(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(noise(1 << 20))
    assert mapped(tmp_path / "raw", 1 << 20, "no image") is None


@pytest.mark.seconds
@given(
    changes=st.lists(st.tuples(st.integers(0, 5 * CLUSTER), st.binary(min_size=1, max_size=9)), max_size=6),
    cut=st.one_of(st.none(), st.integers(0, 5 * CLUSTER)),
    header=st.lists(st.tuples(st.integers(0, 112), st.integers(0, 255)), max_size=4),
)
@settings(max_examples=150, deadline=None)
def test_a_hostile_old_file_does_no_harm(
    changes: list[tuple[int, bytes]], cut: int | None, header: list[tuple[int, int]]
) -> None:
    with TemporaryDirectory() as name:
        old = Path(name) / "old"
        image(old, disk_of([*range(40)]))
        data = bytearray(old.read_bytes())
        for at, what in changes:
            data[at : at + len(what)] = what
        for at, byte in header:
            data[at] = byte
        old.write_bytes(data[:cut])
        try:
            olds = opened(old)
        except UnusableImage:
            return
        OldBlocks.decoded(olds.described(lambda _done: None), 2 * MOST)
        for number in range(4):
            try:
                assert len(olds.cluster(number)) == CLUSTER
            except (DamagedCluster, KeyError):
                continue


def test_an_old_file_whose_tables_point_to_one_cluster_a_million_times_is_not_read(tmp_path: Path) -> None:
    old = tmp_path / "old"
    image(old, disk_of([1]) + bytes((1 << 30) - CLUSTER))
    data = bytearray(old.read_bytes())
    l1_at = struct.unpack_from(">Q", data, 40)[0]
    table_at = struct.unpack_from(">Q", data, l1_at)[0] & ((1 << 56) - 512)
    data[table_at : table_at + CLUSTER] = data[table_at : table_at + 8] * (CLUSTER // 8)
    old.write_bytes(data)
    with pytest.raises(UnusableImage, match="too much"):
        opened(old)
