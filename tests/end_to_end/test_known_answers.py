"""As a user: pictures and a video with tracks are indexed, served, and asked by a client of the description.

Every tracklet is seen twice with the same pixels: in a folder of crops by camera 1, and by camera 9 in a
video that is rendered without loss. So each has exactly one other that is like it, and every answer is known.
"""

import io
import subprocess
import sys
import threading
from dataclasses import dataclass
from queue import Queue
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image

from tapetum.cli import main
from tapetum.data import read_dataset
from tapetum.data.frames import read_picture
from tapetum.data.synthetic import WalkerOptions, write_hitsz_vcm
from tapetum.methods import create_method
from tapetum.methods._checkpoint import save_method

HEIGHT, WIDTH, GAP = 48, 24, 4
START = 1_777_852_800
"""Of the video: 2026-05-04, midnight, UTC."""

RATE = 10
PROGRAM = "import sys; from tapetum.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Walker:
    """A tracklet as it was drawn.

    Attributes:
        name: Of its folder of crops.
        person: Who it is.
        modality: How it was seen.
        frames: uint8 `[T, H, W, 3]`.
        begins: Frame of the video, from 1, in which it is seen first.
        track: Its number in the video.
    """

    name: str
    person: int
    modality: str
    frames: np.ndarray
    begins: int
    track: int

    @property
    def time(self):
        return START + (self.begins - 1) / RATE


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("known")


@pytest.fixture(scope="module")
def walkers(place):
    """Twelve frames of each tracklet of the test part."""
    options = WalkerOptions(
        frame_size=(HEIGHT, WIDTH),
        tracklet_length=(12, 12),
        tracklets_per_modality=(1, 1),
        short_tracklet_share=0,
        difficulty="easy",
    )
    write_hitsz_vcm(place / "vcm", identities=8, test_identities=5, seed=3, options=options, workers=1)
    tracklets = read_dataset(f"hitsz-vcm:{place / 'vcm'}").test.tracklets
    return [
        Walker(
            f"walk-{number:02}",
            int(tracklet.person_id),
            tracklet.modality.value,
            np.stack([np.asarray(read_picture(frame)) for frame in tracklet.frames]),
            begins=1 + 3 * number,
            track=100 + number,
        )
        for number, tracklet in enumerate(tracklets)
    ]


@pytest.fixture(scope="module")
def crops(place, walkers):
    for walker in walkers:
        folder = place / "crops" / str(walker.person) / walker.name
        folder.mkdir(parents=True)
        for number, pixels in enumerate(walker.frames):
            Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return place / "crops"


@pytest.fixture(scope="module")
def film(place, walkers):
    """A video in which each walker has a column of its own, and its tracks."""
    av = pytest.importorskip("av")
    lasts = [walker.begins + len(walker.frames) - 1 for walker in walkers]
    lines = []
    with av.open(str(place / "gate.mkv"), "w") as container:
        stream = container.add_stream("libx264rgb", rate=RATE)
        stream.width, stream.height = len(walkers) * (WIDTH + GAP), HEIGHT + 16
        stream.pix_fmt, stream.options = "rgb24", {"qp": "0"}
        for number in range(1, max(lasts) + 1):
            picture = np.full((stream.height, stream.width, 3), 90, np.uint8)
            for column, walker in enumerate(walkers):
                at = number - walker.begins
                if 0 <= at < len(walker.frames):
                    left, top = column * (WIDTH + GAP), at % 8
                    picture[top : top + HEIGHT, left : left + WIDTH] = walker.frames[at]
                    lines.append(f"{number},{walker.track},{left},{top},{WIDTH},{HEIGHT},1,-1,-1,-1")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    (place / "gate.txt").write_text("\n".join(lines) + "\n")
    return f"video:{place / 'gate.mkv'}?tracks={place / 'gate.txt'}&camera=9&start={START}&name=gate"


@pytest.fixture(scope="module")
def service(place, crops, film):
    """Address of a service of the gallery, in a process of its own."""
    model, gallery = place / "model.safetensors", str(place / "gallery")
    save_method(create_method("raw-pixels", num_identities=1, num_cameras=1, preset="tiny"), model)
    folders = f"crops:{crops}?pattern={{person_id}}/{{tracklet_id}}/*.png&camera=1&name=crops"
    for source in (folders, film):
        assert main(["index", str(model), "--data", source, "--gallery", gallery, "--strict"]) == 0
    words = [sys.executable, "-c", PROGRAM, "serve", "--gallery", gallery, "--model", str(model)]
    process = subprocess.Popen([*words, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        lines = Queue()
        threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
        yield lines.get(timeout=55).split()[0]
    finally:
        process.kill()
        process.communicate(timeout=20)


class Client:
    """Calls operations by name, as the service's description says that they are called."""

    def __init__(self, http):
        self._http = http
        self._operations = {
            what["operationId"]: (method, path, what)
            for path, methods in self._http.get("/api/v1/openapi.json").json()["paths"].items()
            for method, what in methods.items()
        }

    def __call__(self, name, files=None, **values):
        method, path, what = self._operations[name]
        for parameter in what.get("parameters", ()):
            if parameter["in"] == "path":
                path = path.replace(
                    f"{{{parameter['name']}}}", quote(str(values.pop(parameter["name"])), safe="")
                )
        if "requestBody" not in what:
            answer = self._http.request(method, path, params=values)
        elif files is None:
            answer = self._http.request(method, path, json=values)
        else:
            answer = self._http.request(method, path, files=[("files", file) for file in files], data=values)
        assert str(answer.status_code) in what["responses"], answer.text
        answer.raise_for_status()
        is_json = answer.headers.get("content-type") == "application/json"
        return answer.json() if is_json else answer.content


@pytest.fixture(scope="module")
def client(service):
    with httpx.Client(base_url=service, timeout=30) as http:
        yield Client(http)


def hits(answer):
    return [hit["item"]["item_id"] for hit in answer["hits"]]


def as_files(walker):
    for pixels in walker.frames:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        yield ("frame", buffer.getvalue(), "image/png")


def names(walker):
    return {f"crops/{walker.person}/{walker.name}", f"gate#{walker.track}"}


def test_everything_is_there_as_it_was_drawn(client, walkers):
    page = client("list_items", limit=200)
    found = {item["item_id"]: item for item in page["items"]}
    assert set(found) == set().union(*map(names, walkers))
    for walker in walkers:
        crop, video = found[f"crops/{walker.person}/{walker.name}"], found[f"gate#{walker.track}"]
        assert (crop["camera_id"], crop["person_id"], crop["time"]) == (1, walker.person, None)
        assert (video["camera_id"], video["person_id"]) == (9, None)
        assert video["time"] == pytest.approx(walker.time)
        assert crop["frames"] == len(walker.frames)
        assert 1 < video["frames"] <= crop["frames"]  # of a video, those that were looked at
        assert crop["modality"] == video["modality"] == walker.modality  # nobody told it
    assert {camera["camera_id"]: camera["tracklets"] for camera in client("get_cameras")["cameras"]} == {
        1: len(walkers),
        9: len(walkers),
    }


def test_each_item_finds_its_twin_first(client, walkers):
    for walker in walkers:
        for name in names(walker):
            answer = client("search", item_id=name, top=3)
            (twin,) = names(walker) - {name}
            assert hits(answer)[0] == twin
            similarity = [hit["similarity"] for hit in answer["hits"]]
            assert similarity[0] == pytest.approx(1, abs=2e-3)
            assert similarity[1] < similarity[0]
            assert (answer["searched"], answer["exact"]) == (2 * len(walkers) - 1, True)


def test_each_upload_finds_both_copies_first_and_filters_leave_the_right_one(client, walkers):
    for walker in walkers:
        query = client("create_query", files=list(as_files(walker)), kind="tracklet")
        assert (query["modalities"], query["pictures"]) == ([walker.modality], len(walker.frames))
        wish = {"query_ids": [query["query_id"]], "top": 2}
        assert set(hits(client("search", **wish))) == names(walker)
        crop, video = sorted(names(walker))
        for filters, expected in (
            ({"cameras": [9]}, video),
            ({"exclude_cameras": [9]}, crop),
            ({"persons": [walker.person], "modality": walker.modality}, crop),
            ({"after": walker.time - 0.01, "before": walker.time + 0.01}, video),
        ):
            assert hits(client("search", **wish, filters=filters))[0] == expected
        other = "infrared" if walker.modality == "visible" else "visible"
        assert not names(walker) & set(hits(client("search", **wish, filters={"modality": other})))
        marked = client("search_with_feedback", **wish, right=[video], wrong=[crop])
        assert hits(marked)[0] == video
        assert marked["hits"][0]["marked"] == "right"
        assert crop not in hits(marked)


def test_thumbnails_are_the_pictures_that_were_drawn(client, walkers):
    for walker in walkers[:3]:
        for name in names(walker):
            assert client("get_item", item_id=name)["thumbnails"] == 4
            with Image.open(io.BytesIO(client("get_thumbnail", item_id=name, number=0))) as picture:
                shown = np.asarray(picture.convert("RGB"), np.int16)
            assert shown.shape == walker.frames[0].shape
            differences = np.abs(walker.frames.astype(np.int16) - shown).mean(axis=(1, 2, 3))
            assert differences.min() < 6  # JPEG


def test_an_erased_person_is_gone_and_the_twin_in_the_video_stays(client, walkers):
    last = walkers[-1]
    own = [walker for walker in walkers if walker.person == last.person]
    assert client("erase", person_ids=[last.person]) == {"count": len(own), "done": True}
    assert (
        client("search", item_id=f"gate#{last.track}", top=20)["searched"] == 2 * len(walkers) - len(own) - 1
    )
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        client("get_item", item_id=f"crops/{last.person}/{last.name}")
