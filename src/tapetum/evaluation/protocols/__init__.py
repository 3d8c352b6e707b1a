"""One file per protocol, from tracklets to trials; the file's name is the protocol's name."""

from tapetum.evaluation.protocols._base import Protocol, Trial, create_protocol, protocol_names

__all__ = ["Protocol", "Trial", "create_protocol", "protocol_names"]
