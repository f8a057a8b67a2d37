"""The labelled results: one schema to build, check, join, save and load them.

Patterns, contrasts, similarities, adversarial examples and what transfers between models are
``xarray.Dataset`` objects. Dimensions of images are always
``…, label, channel, row, column`` for images and ``…, label, feature`` for tables. Nothing here
needs torch: a saved result loads wherever numpy, xarray, netCDF4 and h5py are.
"""

from __future__ import annotations

from pncviz.dataset.attributes import common_attrs
from pncviz.dataset.build import build_contrasts, build_patterns
from pncviz.dataset.combine import check_labels_match, concat_patterns
from pncviz.dataset.schema import KINDS, SCHEMA_VERSION, image_dims, validate
from pncviz.dataset.similarities import build_similarities
from pncviz.dataset.storage import check_writable, load, save
from pncviz.dataset.summaries import printable, summary
from pncviz.dataset.tables import build_table

__all__ = [
    "KINDS",
    "SCHEMA_VERSION",
    "build_contrasts",
    "build_patterns",
    "build_similarities",
    "build_table",
    "check_labels_match",
    "check_writable",
    "common_attrs",
    "concat_patterns",
    "image_dims",
    "load",
    "printable",
    "save",
    "summary",
    "validate",
]
