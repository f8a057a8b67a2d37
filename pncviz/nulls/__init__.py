"""Where draws under a null come from: shuffled labels, untrained and randomised models."""

from pncviz.nulls.calibration import calibrate_null
from pncviz.nulls.labels import label_shuffled_contrasts
from pncviz.nulls.models import model_null

__all__ = ["calibrate_null", "label_shuffled_contrasts", "model_null"]
