"""The command line: parse, call one or two public functions, print. Nobody imports this package."""

from tapetum.cli._app import main

__all__ = ["main"]
