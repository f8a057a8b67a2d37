"""Adversarial examples of data: what it takes to make a model see something else."""

from pncviz.examples.generator import AdversarialExampleGenerator

__all__ = ["AdversarialExampleGenerator"]
