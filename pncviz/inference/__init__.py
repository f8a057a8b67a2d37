"""Whether patterns and contrasts are alike beyond chance, how surely, and how nearly they could be.

Plain numpy and scipy on labelled datasets and arrays: a saved result needs no torch.
"""

from pncviz.inference.convergence import example_convergence
from pncviz.inference.draws import draw_p_values, null_similarity, q_values
from pncviz.inference.identification import identification_test, own_ranks
from pncviz.inference.linear import haufe_transform
from pncviz.inference.proportions import proportion_interval
from pncviz.inference.reliability import noise_ceiling, split_half_reliability
from pncviz.inference.resampling import centred_interval, mean_interval, resampled_similarity
from pncviz.inference.spectrum import band_similarity
from pncviz.inference.surrogates import phase_null, phase_randomized
from pncviz.inference.templates import template_accuracy

__all__ = [
    "band_similarity",
    "centred_interval",
    "draw_p_values",
    "example_convergence",
    "haufe_transform",
    "identification_test",
    "mean_interval",
    "noise_ceiling",
    "null_similarity",
    "own_ranks",
    "phase_null",
    "phase_randomized",
    "proportion_interval",
    "q_values",
    "resampled_similarity",
    "split_half_reliability",
    "template_accuracy",
]
