"""One file per on-disk data set format; the file's name is the format's name."""

from tapetum.data.datasets._base import Count, DataSet, DataSpec, Fault, Remark, dataset_names, read_dataset
from tapetum.data.datasets._bupt_campus_lmdb import pack_dataset as pack_bupt_campus

__all__ = [
    "Count",
    "DataSet",
    "DataSpec",
    "Fault",
    "Remark",
    "dataset_names",
    "pack_bupt_campus",
    "read_dataset",
]
