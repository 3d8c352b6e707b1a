"""Synthetic walkers: people drawn from a seed, seen by visible and near-infrared cameras.

No data to download. Shape, pattern, accessories and gait of a person are the same in both modalities; colours
and infrared reflectances are independent. `write_walkers` writes a data set in one of the `FORMATS`,
`Population` plans and renders tracklets in memory, `caption` describes a person.
"""

from tapetum.data.synthetic._writing import WALKERS_VERSION, WrittenSet
from tapetum.data.synthetic.cameras import Camera, Shot, camera_modality, create_camera, sample_shot
from tapetum.data.synthetic.captions import VOCABULARY, caption, split_words
from tapetum.data.synthetic.formats import FORMATS, write_walkers
from tapetum.data.synthetic.hitsz_vcm import write_hitsz_vcm
from tapetum.data.synthetic.options import DIFFICULTY_LEVELS, Cues, WalkerOptions
from tapetum.data.synthetic.people import Person, redress, sample_person
from tapetum.data.synthetic.population import Population, TrackletPlan
from tapetum.data.synthetic.render import render_tracklet

__all__ = [
    "DIFFICULTY_LEVELS",
    "FORMATS",
    "VOCABULARY",
    "WALKERS_VERSION",
    "Camera",
    "Cues",
    "Person",
    "Population",
    "Shot",
    "TrackletPlan",
    "WalkerOptions",
    "WrittenSet",
    "camera_modality",
    "caption",
    "create_camera",
    "redress",
    "render_tracklet",
    "sample_person",
    "sample_shot",
    "split_words",
    "write_hitsz_vcm",
    "write_walkers",
]
