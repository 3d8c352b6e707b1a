import sys
from pathlib import Path

import numpy as np
import pytest

from tapetum.errors import MissingExtraError
from tapetum.search import Gallery
from tapetum.search.folder_gallery import FolderGallery
from tapetum.search.lance_gallery import LanceGallery
from tapetum.search.memory_gallery import MemoryGallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def one_row() -> Embeddings:
    row = Tracklet("a", (), Modality.VISIBLE)
    return Embeddings(np.ones((1, 1), np.float32), TrackletSet("one", (row,)), "m")


def test_address_says_the_kind(tmp_path):
    assert isinstance(Gallery.open("memory:"), MemoryGallery)
    assert isinstance(Gallery.open(f"numpy:{tmp_path / 'n'}"), FolderGallery)
    assert isinstance(Gallery.open(tmp_path / "a"), LanceGallery)
    assert isinstance(Gallery.open(str(tmp_path / "b")), LanceGallery)


@pytest.mark.parametrize(
    ("address", "scheme"),
    [
        ("memory:people", "memory"),
        ("s3://bucket/x", "s3"),
        ("lance:x", "lance"),
    ],
)
def test_other_stores_are_refused_by_name(address, scheme):
    with pytest.raises(ValueError, match=f"no store '{scheme}' in this version; give a folder, 'memory:'"):
        Gallery.open(address)


@pytest.mark.parametrize("address", ["", " ", "numpy:"])
def test_an_empty_address_is_refused(address):
    with pytest.raises(ValueError, match="address is empty"):
        Gallery.open(address)


def test_a_store_whose_package_is_missing_names_the_extra(monkeypatch):
    for name in ("tapetum.search._qdrant_store", "tapetum.search.qdrant_gallery"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(MissingExtraError, match=r"tapetum\[qdrant\]"):
        Gallery.open("qdrant::memory:")


def test_two_galleries_in_memory_are_two():
    first, second = Gallery.open("memory:"), Gallery.open("memory:")
    first.upsert(one_row())
    assert (first.count(), second.count()) == (1, 0)


def test_create_refuses_what_is_there(tmp_path):
    Gallery.create(tmp_path / "g").upsert(one_row())
    with pytest.raises(FileExistsError, match="there is a gallery already"):
        Gallery.create(tmp_path / "g")


def test_a_missing_folder_is_an_error_where_none_may_be_created(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no gallery"):
        Gallery.open(tmp_path / "typo", create=False)
    assert not Path(tmp_path / "typo").exists()
