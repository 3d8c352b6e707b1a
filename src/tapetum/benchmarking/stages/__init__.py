"""The stages of the benchmark, each a file; a stage gives its parts by name, and a part gives rows."""

from tapetum.benchmarking.stages._registry import STAGES, Part, parts_of

__all__ = ["STAGES", "Part", "parts_of"]
