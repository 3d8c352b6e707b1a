import io
import pickle
import shutil
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image

from tapetum.data.lmdb_container import LmdbContainer, PackedTracklet
from tapetum.errors import DataError, MissingExtraError


def picture(seed):
    """The bytes of a small picture without loss."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 3, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, format="PNG")
    return buffer.getvalue()


def write(path, values, *, keys=None, length=None, protocol=4, subdir=True):
    """A database of pickled values as the format has it, unless told otherwise."""
    keys = [str(i).encode() for i in range(len(values))] if keys is None else keys
    items = {key: pickle.dumps(value, protocol) for key, value in zip(keys, values, strict=False)}
    items[b"__keys__"] = pickle.dumps(keys, protocol)
    items[b"__len__"] = pickle.dumps(len(keys) if length is None else length, protocol)
    options = {"subdir": subdir, "lock": False, "map_size": 2**22}
    with lmdb.open(str(path), **options) as database, database.begin(write=True) as transaction:
        for key, value in items.items():
            transaction.put(key, value)
    return path


TRACKLETS = [[[picture(0), picture(1)], 12, 3], ([picture(2)], 7, 0)]


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("subdir", [True, False])
def test_a_database_holds_tracklets_in_the_order_of_its_keys(tmp_path, subdir, protocol):
    path = write(tmp_path / "a.lmdb", TRACKLETS, keys=[b"1", b"0"], subdir=subdir, protocol=protocol)
    database = LmdbContainer(path)
    assert list(database.tracklets()) == [PackedTracklet("1", 2, 12, 3), PackedTracklet("0", 1, 7, 0)]
    expected = {"1/0": 0, "1/1": 1, "0/0": 2}
    for entry, seed in expected.items():
        assert np.array_equal(database.picture(entry), Image.open(io.BytesIO(picture(seed))))
    assert [p.name for p in tmp_path.rglob("*") if "lock" in p.name] == []


def test_keys_of_any_bytes_are_named_by_texts(tmp_path):
    keys = [b"a/b::c", b"\xff 100%"]
    database = LmdbContainer(write(tmp_path / "a.lmdb", TRACKLETS, keys=keys))
    names = [packed.entry for packed in database.tracklets()]
    assert names == ["a%2Fb%3A%3Ac", "%FF%20100%25"]
    assert all(f"{name}/0" in database for name in names)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("0/2", "no such frame: the tracklet has 2"),
        ("2/0", "no key b'2' in the database"),
        ("0", "expected the form KEY/NUMBER"),
        ("0/-1", "expected the form KEY/NUMBER"),
        ("0/one", "expected the form KEY/NUMBER"),
        ("0/99999999999", "expected the form KEY/NUMBER"),
        ("0/²", "expected the form KEY/NUMBER"),
        ("a" * 600 + "/0", "the database is damaged|no key"),
        ("__len__/0", "expected a list"),
    ],
)
def test_an_entry_that_is_not_there_is_named(tmp_path, entry, message):
    database = LmdbContainer(write(tmp_path / "a.lmdb", TRACKLETS))
    assert entry not in database
    with pytest.raises(DataError, match=message):
        database.picture(entry)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (12, "a tracklet: 12; expected a list"),
        ([[b"a"], 12], "a tracklet of 2 parts; expected frames, identity and camera"),
        ([[b"a"], 12, 3, 4], "a tracklet of 4 parts"),
        ([b"a", 12, 3], "the frames: of type slice; expected a list"),
        ([[], 12, 3], "a tracklet without frames"),
        ([[b"a", "b"], 12, 3], "a frame is of type str; expected the bytes"),
        ([[b"a", [b"b"]], 12, 3], "a frame is of type list"),
        ([[b"a"], "12", 3], "the identity is of type str; expected an integer from 0"),
        ([[b"a"], -1, 3], "the identity is -1; expected an integer"),
        ([[b"a"], 12, None], "instruction NONE"),
        ([[b"a"], np.int64(12), 3], r"an import of numpy\."),
        ([[b"a"], 12, -3], "the camera is -3"),
        ([[b"a"], 12, True], "instruction NEWTRUE"),
    ],
)
def test_a_value_of_another_form_is_named(tmp_path, value, message):
    path = write(tmp_path / "a.lmdb", [TRACKLETS[0], value])
    with pytest.raises(DataError, match=rf"a\.lmdb: tracklet 1: .*{message}"):
        list(LmdbContainer(path).tracklets())
    with pytest.raises(DataError, match=message):
        LmdbContainer(path).picture("1/0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"length": 3}, "2 keys, but the number of them is stored as 3"),
        ({"length": [[2]]}, "2 keys, but the number of them is stored as of type list"),
        ({"keys": [b"0", b"0"]}, "holds what is no key, or a key twice"),
        ({"keys": [b"0", 1]}, "holds what is no key"),
        ({"keys": [b"0", b"1", b"2"]}, "tracklet 2: no key b'2' in the database"),
    ],
)
def test_a_list_of_keys_that_does_not_fit_is_named(tmp_path, options, message):
    values = TRACKLETS[:1] * 2 if options.get("keys") == [b"0", 1] else TRACKLETS
    keys = options.pop("keys", None)
    if keys == [b"0", 1]:
        path = write(tmp_path / "a.lmdb", values)
        with lmdb.open(str(path), lock=False) as database, database.begin(write=True) as transaction:
            transaction.put(b"__keys__", pickle.dumps(keys))
    else:
        path = write(tmp_path / "a.lmdb", values, keys=keys, **options)
    with pytest.raises(DataError, match=rf"a\.lmdb: .*{message}"):
        list(LmdbContainer(path).tracklets())


def test_a_database_of_something_else_is_named(tmp_path):
    with lmdb.open(str(tmp_path / "a.lmdb"), lock=False) as database, database.begin(write=True) as writing:
        writing.put(b"0", b"something else")
    with pytest.raises(DataError, match=r"a\.lmdb: no key b'__len__' .*expected a database of tracklets"):
        list(LmdbContainer(tmp_path / "a.lmdb").tracklets())


def test_files_that_are_no_database_are_named(tmp_path):
    (tmp_path / "text.lmdb").write_bytes(b"no database" * 1_000)
    (tmp_path / "empty.lmdb").touch()
    for name in ("text", "empty"):
        with pytest.raises(DataError, match=rf"{name}\.lmdb: no LMDB database"):
            LmdbContainer(tmp_path / f"{name}.lmdb")
    (tmp_path / "folder.lmdb").mkdir()
    for name in ("folder", "nothing"):
        with pytest.raises(FileNotFoundError, match=rf"{name}\.lmdb.*: no such file; expected an LMDB"):
            LmdbContainer(tmp_path / f"{name}.lmdb")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_database_that_was_cut_short_is_an_error_and_no_crash(tmp_path, share):
    path = write(tmp_path / "a.lmdb", [[[bytes(50_000)], 1, 1]] * 8, subdir=False)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"a\.lmdb: .*cut short"):
        LmdbContainer(path)


def test_only_the_frame_that_is_asked_for_is_copied(tmp_path, monkeypatch):
    frames = [bytes([number]) * 100_000 for number in range(20)]
    database = LmdbContainer(write(tmp_path / "a.lmdb", [[frames, 1, 1]]))
    seen = []
    monkeypatch.setattr(Image, "open", lambda file: seen.append(file.getvalue()))
    database.picture("0/7")
    assert seen == [frames[7]]
    assert sum(sys.getsizeof(place) for place in database._value(b"0").pictures) < 5_000


def test_where_pictures_lie_is_looked_up_once_for_the_frames_of_a_tracklet(tmp_path):
    database = LmdbContainer(write(tmp_path / "a.lmdb", TRACKLETS * 50))
    for entry in ("0/0", "0/1", "0/0", "1/0", "0/1"):
        database.picture(entry)
    assert database._value.cache_info().misses == 2
    for number in range(100):
        assert f"{number}/0" in database
    assert database._value.cache_info().currsize == 64


def test_a_command_in_a_database_is_not_run(tmp_path):
    proof = tmp_path / "proof"
    attack = f"(lp0\n(lp1\ncos\nsystem\n(S'touch {proof}'\ntRaI1\naI2\na.".encode()
    path = write(tmp_path / "a.lmdb", TRACKLETS)
    for key in (b"0", b"__keys__", b"__len__"):
        with lmdb.open(str(path), lock=False) as database, database.begin(write=True) as transaction:
            transaction.put(key, attack)
        with pytest.raises(DataError, match=r"an import of os\.system"):
            list(LmdbContainer(path).tracklets())
    assert not proof.exists()


def test_a_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    path = write(tmp_path / "a.lmdb", TRACKLETS)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'tapetum\[lmdb\]'"):
        LmdbContainer(path)


def test_a_read_only_folder_is_enough(tmp_path):
    path = write(tmp_path / "a.lmdb", TRACKLETS)
    copy = Path(shutil.copytree(path, tmp_path / "b.lmdb"))
    (copy / "data.mdb").chmod(0o444)
    copy.chmod(0o555)
    assert len(list(LmdbContainer(copy).tracklets())) == 2
    assert [file.name for file in copy.iterdir()] == ["data.mdb"]
    copy.chmod(0o755)
