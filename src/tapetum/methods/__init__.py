"""One file per published method or baseline; the file's name is the method's name."""

from tapetum.methods._base import Method, Stage, create_method, method_names

__all__ = ["Method", "Stage", "create_method", "method_names"]
