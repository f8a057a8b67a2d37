"""``python -m pncviz``."""

from pncviz.cli import main

main()
