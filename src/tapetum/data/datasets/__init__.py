"""One file per on-disk data set format; the file's name is the format's name."""

from tapetum.data.datasets._base import Count, DataSet, DataSpec, Remark, dataset_names, read_dataset

__all__ = ["Count", "DataSet", "DataSpec", "Remark", "dataset_names", "read_dataset"]
