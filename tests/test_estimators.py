"""The two estimators as scikit-learn sees them."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from pncviz import AdversarialPatternExtractor, PNCTransformer, make_classifier


def _extractor():
    net = make_classifier("fc", hidden=[8], max_epochs=2, batch_size=128)
    return AdversarialPatternExtractor(net, max_iter=5, random_state=0)


@pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks([_extractor(), PNCTransformer()])
def test_scikit_learn_checks(estimator, check):
    """scikit-learn's own checks hold, none of them expected to fail."""
    check(estimator)
