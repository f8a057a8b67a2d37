"""What patterns give away: class means of the training set, put together again from patterns.

An adversarial pattern estimates a class's contrast up to a scale, and class means follow from
contrasts and the mean of all. So who may ask a model may learn what its classes look like on the
average.
"""

from pncviz.leakage.display import ClassMeanDisplay
from pncviz.leakage.measure import class_mean_leakage
from pncviz.leakage.reconstruction import reconstruct_class_means

__all__ = ["ClassMeanDisplay", "class_mean_leakage", "reconstruct_class_means"]
