"""Lets the tests import what lies beside them, and find the plugin where it is not installed."""

import sys
from pathlib import Path

import pncviz
import pncviz_substitute
from pncviz.exceptions import UnknownNameError

sys.path.insert(0, str(Path(__file__).parent))

try:
    pncviz.make_attack("svm_normal")
except UnknownNameError:
    pncviz.register(pncviz_substitute)
