"""The command line. Heavy imports happen inside commands, so that --help is quick."""

from pncviz.cli.app import main

__all__ = ["main"]
