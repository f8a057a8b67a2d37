"""Comparison: what is compared with what, and what the numbers are worth."""

import subprocess
import sys

import numpy as np
import pytest
import reference

from pncviz import compare, concat_patterns, extract_patterns, own_class, positive_negative_contrast
from pncviz.exceptions import LabelError, ParameterError, UnknownNameError


@pytest.fixture(scope="module")
def results(digits, digits_net):
    """Patterns and contrasts of digits."""
    patterns = extract_patterns(digits_net, image_shape=(8, 8), max_iter=60)
    return patterns, positive_negative_contrast(digits.X, digits.y)


def test_compare_labels_then_values(results):
    """Compare gives metric × pattern_label × contrast_label, with the metrics' values."""
    patterns, contrasts = results
    found = compare(patterns, contrasts, metrics=["pearson", "psnr"])
    assert found["similarity"].dims == ("metric", "pattern_label", "contrast_label")
    expected = reference.pearson(
        patterns["pattern"].sel(label=3), contrasts["contrast"].sel(label=8)
    )
    one = found["similarity"].sel(metric="pearson", pattern_label=3, contrast_label=8)
    assert float(one) == pytest.approx(expected)


def test_compare_goes_by_label_not_place(results):
    """Patterns in another order, or of some classes, are compared with the right contrasts."""
    patterns, contrasts = results
    whole = own_class(compare(patterns, contrasts))
    some = own_class(compare(patterns.sel(label=[7, 2]), contrasts))
    np.testing.assert_allclose(some["similarity"], whole["similarity"].sel(label=[7, 2]))


def test_compare_keeps_strategies(results):
    """A strategy dim is carried along."""
    patterns, contrasts = results
    both = concat_patterns({"a": patterns, "b": patterns})
    found = compare(both, contrasts)["similarity"]
    assert found.dims[0] == "strategy"
    np.testing.assert_array_equal(found[0], found[1])


def test_other_labels_are_refused(results):
    """Integer against string labels, or partly overlapping ones, are a LabelError, never empty."""
    patterns, contrasts = results
    texts = contrasts.assign_coords(label=contrasts["label"].values.astype(str))
    with pytest.raises(LabelError, match="str"):
        compare(patterns, texts)
    with pytest.raises(LabelError, match="label"):
        compare(patterns, contrasts.assign_coords(label=np.arange(5, 15)))


def test_unknown_or_no_metric(results):
    """An unknown metric is met with choices; none at all is refused."""
    with pytest.raises(UnknownNameError, match='Did you mean "pearson"'):
        compare(*results, metrics="peerson")
    with pytest.raises(ParameterError, match="`metrics` is empty"):
        compare(*results, metrics=[])


def test_ties_are_no_hit(results):
    """A pattern equally like two contrasts is not nearest to its own."""
    patterns, contrasts = results
    same = contrasts.copy(deep=True)
    same["contrast"][1] = same["contrast"][0]
    near = own_class(compare(patterns, same))["nearest"].sel(metric="pearson", label=[0, 1])
    assert not near.any()

def test_results_need_no_torch(results, tmp_path):
    """With torch and skorch blocked, a saved result loads, compares and draws."""
    from pncviz import save

    save(results[0], tmp_path / "p.nc")
    save(results[1], tmp_path / "c.nc")
    script = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "skorch"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import pncviz
patterns, contrasts = pncviz.load("p.nc"), pncviz.load("c.nc")
similarities = pncviz.compare(patterns, contrasts, metrics=["pearson", "ssim"])
pncviz.save(similarities, "s.nc")
pncviz.PatternDisplay.from_dataset(contrasts, patterns).plot().figure_.savefig("p.png")
pncviz.SimilarityDisplay.from_dataset(similarities).plot()
print(pncviz.summary(similarities).count("pearson"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "10"
