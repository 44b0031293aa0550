from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luml_app.packaging.archive import Archive, ArchiveWriter
from luml_app.packaging.errors import ArchiveError

SEGMENT = st.text(
    st.characters(blacklist_categories=("C", "Z"), blacklist_characters="/\\:"), min_size=1, max_size=70
).filter(lambda text: text not in (".", "..") and text.isprintable())
NAMES = st.lists(SEGMENT, min_size=1, max_size=5).map("/".join)


def is_consistent(names: list[str]) -> bool:
    return not any(other != name and other.startswith(f"{name}/") for name in names for other in names)


def write(path: Path, members: dict[str, bytes]) -> ArchiveWriter:
    with path.open("wb") as stream, ArchiveWriter(stream) as writer:
        for name, content in members.items():
            writer.add(name, content)
    return writer


def tar_of(path: Path, *members: tuple[tarfile.TarInfo, bytes], **options: int) -> Path:
    with tarfile.open(path, "w", **options) as archive:
        for info, content in members:
            info.size = len(content) if info.isreg() else info.size
            archive.addfile(info, io.BytesIO(content))
    return path


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(members=st.dictionaries(NAMES, st.binary(max_size=1200), max_size=6))
def test_the_index_is_where_tarfile_finds_the_data(tmp_path: Path, members: dict[str, bytes]) -> None:
    if not is_consistent(list(members)):
        return
    path = tmp_path / "a.tar"
    writer = write(path, members)
    raw = path.read_bytes()
    with tarfile.open(path) as archive:
        expected = {member.name: [member.offset_data, member.size] for member in archive.getmembers()}
    assert writer.index == expected == Archive(path).index
    assert {name: raw[offset : offset + size] for name, (offset, size) in writer.index.items()} == members
    assert (writer.digest, writer.size) == (hashlib.sha256(raw).hexdigest(), len(raw))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.dictionaries(NAMES, st.binary(max_size=600), max_size=5),
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_archives_of_other_writers_are_indexed_alike(tmp_path: Path, members: dict[str, bytes], form: int) -> None:
    path = tmp_path / "a.tar"
    try:
        tar_of(path, *[(tarfile.TarInfo(name), content) for name, content in members.items()], format=form)
    except ValueError:  # a name too long for ustar
        return
    if not is_consistent(list(members)):
        return
    with tarfile.open(path) as archive:
        expected = {member.name: [member.offset_data, member.size] for member in archive.getmembers()}
    assert Archive(path).index == expected


def test_the_same_members_give_the_same_bytes(tmp_path: Path) -> None:
    members = {"manifest.json": b"{}", "x" * 200: b"data"}
    assert write(tmp_path / "a", members).digest == write(tmp_path / "b", members).digest


def test_a_file_is_copied_and_read_back(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)
    with (tmp_path / "a").open("wb") as stream, ArchiveWriter(stream) as writer:
        writer.add("big", source)
    assert Archive(tmp_path / "a").read("big") == source.read_bytes()
    with pytest.raises(ArchiveError, match="'big' has 3000000 bytes"):
        Archive(tmp_path / "a").read("big", limit=100)


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../b", "a//b", "C:/x", "a\\..\\b", "a\nb", "", "d/."])
def test_a_name_that_leaves_the_folder_is_refused_by_both_sides(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError):
        write(tmp_path / "w.tar", {name: b""})
    if name:
        tar_of(tmp_path / "r.tar", (tarfile.TarInfo(name), b"x"))
        with pytest.raises(ArchiveError, match="Member"):
            Archive(tmp_path / "r.tar")


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    link, hard, device = tarfile.TarInfo("link"), tarfile.TarInfo("hard"), tarfile.TarInfo("device")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hard.type, hard.linkname = tarfile.LNKTYPE, "manifest.json"
    device.type = tarfile.CHRTYPE
    long_link = tarfile.TarInfo("long")
    long_link.type, long_link.linkname = tarfile.SYMTYPE, "x/" * 200
    ordinary = (tarfile.TarInfo("manifest.json"), b"{}")
    others = [(info, b"") for info in (link, hard, device, long_link)]
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        path = tar_of(tmp_path / "a.tar", *others, ordinary, format=form)
        assert list(Archive(path).index) == ["manifest.json"]


def test_repeated_names_are_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", (tarfile.TarInfo("a"), b"1"), (tarfile.TarInfo("./a"), b"2"))
    with pytest.raises(ArchiveError, match="'a' occurs twice"):
        Archive(path)


def test_a_file_used_as_a_folder_is_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", (tarfile.TarInfo("a"), b"1"), (tarfile.TarInfo("a/b"), b"2"))
    with pytest.raises(ArchiveError, match="below 'a'"):
        Archive(path)


def test_too_many_and_too_large_members_are_refused(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", *[(tarfile.TarInfo(f"m{n}"), b"x" * 10) for n in range(5)])
    with pytest.raises(ArchiveError, match="more than 3 members, from 'm3' on"):
        Archive(path, max_members=3)
    with pytest.raises(ArchiveError, match="'m0' has 10 bytes"):
        Archive(path, max_member_size=5)


def test_a_cut_off_archive_names_the_member(tmp_path: Path) -> None:
    path = tar_of(tmp_path / "a.tar", (tarfile.TarInfo("weights"), b"x" * 5000))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ArchiveError, match="cut off inside member 'weights'"):
        Archive(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04" * 400, b"\x1f\x8b" + b"z" * 600, b"short", b"x" * 512])
def test_what_is_no_tar_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ArchiveError, match="Not an uncompressed tar archive"):
        Archive(tmp_path / "a")


def test_an_absurd_extended_header_is_not_read_into_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 8 * 1024**3
    (tmp_path / "a").write_bytes(header.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(ArchiveError, match="extended header 'pax'"):
        Archive(tmp_path / "a")


@pytest.mark.parametrize("records", [b"x path=a\n", b"99 path=a\n", b"0 a=b\n", b"9 size=-1\n"])
def test_a_broken_pax_header_is_refused(tmp_path: Path, records: bytes) -> None:
    pax = tarfile.TarInfo("pax")
    pax.type, pax.size = tarfile.XHDTYPE, len(records)
    member = tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT)
    (tmp_path / "a").write_bytes(pax.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + member)
    with pytest.raises(ArchiveError):
        Archive(tmp_path / "a")


def test_an_empty_archive_has_an_empty_index(tmp_path: Path) -> None:
    write(tmp_path / "a", {})
    assert Archive(tmp_path / "a").index == {}
    with pytest.raises(ArchiveError, match=r"no member 'manifest.json'"):
        _ = Archive(tmp_path / "a").manifest


def test_manifest_patches_apply_in_byte_order(tmp_path: Path) -> None:
    members = {
        "manifest.json": b'{"name": "a", "tags": ["x"]}',
        "manifest-2.patch.json": b'[{"op": "replace", "path": "/name", "value": "c"}]',
        "manifest-10.patch.json": b'[{"op": "add", "path": "/tags/-", "value": "y"},'
        b' {"op": "replace", "path": "/name", "value": "b"}]',
    }
    write(tmp_path / "a", members)
    assert Archive(tmp_path / "a").manifest == {"name": "c", "tags": ["x", "y"]}


def test_a_patch_that_does_not_fit_is_named(tmp_path: Path) -> None:
    patch = b'[{"op": "remove", "path": "/name", "value": 1}]'
    write(tmp_path / "a", {"manifest.json": b"{}", "manifest-1.patch.json": patch})
    with pytest.raises(ArchiveError, match=r"manifest-1\.patch\.json"):
        _ = Archive(tmp_path / "a").manifest
