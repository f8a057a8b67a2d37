"""Comparison: what is compared with what, and what the numbers are worth."""

import json
import subprocess
import sys

import numpy as np
import pytest
import reference
import xarray as xr

from pncviz import (
    compare,
    concat_patterns,
    extract_patterns,
    label_shuffled_contrasts,
    own_class,
    positive_negative_contrast,
)
from pncviz.exceptions import (
    LabelError,
    ParameterError,
    PatternWarning,
    ResultError,
    UnknownNameError,
)


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


# --------------------------------------------------------- what the numbers are worth


@pytest.fixture(scope="module")
def compared(digits, digits_net):
    """Zero and AAI patterns of digits with blocks, against contrasts with blocks."""
    options = {"image_shape": (8, 8), "max_iter": 60, "random_state": 0}
    found = {
        "zero": extract_patterns(digits_net, **options),
        "aai": extract_patterns(digits_net, strategy="aai", n_blocks=20, **options),
    }
    contrasts = positive_negative_contrast(digits.X, digits.y)
    return found, contrasts, compare(
        concat_patterns(found), contrasts, metrics=["pearson", "angle"], null="phase",
        n_permutations=500, n_resamples=200, random_state=0,
    )  # fmt: skip


def test_each_strategy_gets_what_it_would_alone(compared):
    """Statistics of a strategy do not depend on which others are compared beside it."""
    found, contrasts, both = compared
    for name, patterns in found.items():
        alone = compare(
            patterns, contrasts, metrics=["pearson", "angle"], null="phase",
            n_permutations=500, n_resamples=200, random_state=0,
        )  # fmt: skip
        for variable in alone.data_vars:
            ours, theirs = both[variable].sel(strategy=name), alone[variable]
            if variable == "interval_over":
                assert (ours == theirs).all()
            else:
                np.testing.assert_allclose(ours, theirs, atol=1e-6, err_msg=variable)


def test_an_angle_is_a_cosine_turned_round(compared):
    """Rank, hits and p of a metric where less is more are those of its cosine."""
    found, contrasts, _ = compared
    options = {"null": "phase", "n_permutations": 300, "n_resamples": 0, "random_state": 1}
    both = compare(found["zero"], contrasts, metrics=["angle", "cosine"], **options)
    for variable in ("rank", "hits", "hits_p", "p", "q"):
        angle, cosine = (both[variable].sel(metric=m) for m in ("angle", "cosine"))
        np.testing.assert_array_equal(angle, cosine)
    assert (both["similarity"].sel(metric="angle") > 1).any()


def test_what_is_resampled_is_told(compared):
    """Zero has one example, so only rows vary; an interval holds its similarity."""
    both = compared[2]
    over = both["interval_over"].sel(metric="pearson")
    assert over.values.tolist() == ["rows", "examples, rows"]
    own = own_class(both)
    assert (own["lower"] < own["similarity"]).all()
    assert (own["similarity"] < own["upper"]).all()
    width = (own["upper"] - own["lower"]).sel(metric="pearson").mean("label")
    assert float(width.sel(strategy="aai")) > float(width.sel(strategy="zero"))


def test_ceiling_is_of_what_is_known(compared):
    """Zero's ceiling is that of the data; AAI's also of its examples; an angle has none."""
    own = own_class(compared[2])
    pearson = own.sel(metric="pearson")
    assert np.isnan(pearson["pattern_reliability"].sel(strategy="zero")).all()
    np.testing.assert_allclose(
        pearson["ceiling"].sel(strategy="zero"),
        np.sqrt(pearson["contrast_reliability"])
        .broadcast_like(pearson["ceiling"])
        .sel(strategy="zero"),
    )
    assert (pearson["ceiling"].sel(strategy="aai") < pearson["ceiling"].sel(strategy="zero")).all()
    assert np.isnan(own["ceiling"].sel(metric="angle")).all()
    np.testing.assert_allclose(
        pearson["share_of_ceiling"], pearson["similarity"] / pearson["ceiling"]
    )


def test_numbers_are_told_in_a_table(compared):
    """The summary holds rank, interval, p and q of each pattern."""
    from pncviz import summary

    table = summary(compared[2]).splitlines()
    assert "interval" in table[0]
    assert table[0].split()[-2:] == ["p", "q"]
    assert len(table) == 1 + 2 * 2 * 10


def test_comparison_is_the_same_again_and_after_saving(compared, tmp_path):
    """The seed that was drawn is kept, gives the same again, and survives the file."""
    from pncviz import load, save

    found, contrasts, both = compared
    drawn = compare(found["zero"], contrasts, n_resamples=50)
    again = compare(
        found["zero"], contrasts, n_resamples=50, random_state=drawn.attrs["random_state"]
    )
    assert drawn.drop_attrs().identical(again.drop_attrs())
    save(both, tmp_path / "s.nc")
    assert load(tmp_path / "s.nc").identical(both)


def test_seeds_are_a_dimension(compared):
    """Patterns of several seeds are compared each by itself."""
    found, contrasts, _ = compared
    seeds = concat_patterns({7: found["zero"], 9: found["zero"]}, dim="seed")
    both = compare(seeds, contrasts, n_resamples=0, random_state=0)
    assert both["similarity"].dims[0] == "seed"
    assert both["seed"].values.tolist() == [7, 9]
    assert np.isnan(both["lower"]).all()


def test_failed_patterns_are_carried_along(compared):
    """Which patterns did not reach their class is known beside their similarity."""
    found, contrasts, _ = compared
    failed = found["zero"].copy()
    failed["succeeded"] = failed["succeeded"].copy(data=[False] + [True] * 9)
    kept = own_class(compare(failed, contrasts, n_resamples=0, n_permutations=10))
    assert kept["succeeded"].values.tolist() == [False] + [True] * 9


@pytest.mark.parametrize(
    "change, message",
    [
        ({"null": "phases"}, '`null` must be None, "phase", or a dataset'),
        ({"n_permutations": 0}, "`n_permutations` must be a positive integer, got 0"),
        ({"n_resamples": -1}, "`n_resamples` must be 0 or a positive integer, got -1"),
        ({"confidence_level": 95}, "`confidence_level` must be between 0 and 1, got 95"),
    ],
)
def test_wrong_parameters(compared, change, message):
    """Numbers out of bounds and unknown nulls are named."""
    found, contrasts, _ = compared
    with pytest.raises(ParameterError, match=message):
        compare(found["zero"], contrasts, **change)


def test_nulls_that_do_not_fit(compared):
    """A null without draws, of other labels or of other images is refused."""
    found, contrasts, both = compared
    with pytest.raises(ParameterError, match="with a dimension `draw`, got similarities"):
        compare(found["zero"], contrasts, null=both)
    with pytest.raises(ParameterError, match="with a dimension `draw`, got contrasts"):
        compare(found["zero"], contrasts, null=contrasts)
    draws = contrasts[["contrast", "positive_mean", "negative_mean"]].expand_dims(draw=3)
    draws = draws.assign(contrasts[["n_positive", "n_negative"]]).assign_attrs(contrasts.attrs)
    with pytest.raises(LabelError, match="the null"):
        compare(found["zero"], contrasts, null=draws.isel(label=slice(5)))
    with pytest.raises(ResultError, match=r"the null's draws of \(1, 8, 7\)"):
        compare(found["zero"], contrasts, null=draws.isel(column=slice(7)))
    with pytest.raises(ResultError, match="leading dimension 'draw'"):
        compare(found["zero"], draws)


def test_a_null_made_otherwise_is_refused(compared, digits):
    """Draws of another normalisation, strategy or attack are no null for these."""
    found, contrasts, _ = compared
    raw = label_shuffled_contrasts(digits.X, digits.y, 5, normalize=None, random_state=0)
    with pytest.raises(ParameterError, match="normalize=None, the contrasts with normalize='minm"):
        compare(found["zero"], contrasts, null=raw)
    draws = found["zero"].expand_dims(draw=2).copy()
    for name in ("label", "draw"):
        assert name in draws.dims
    with pytest.raises(ParameterError, match=r"made with strategy \{'class': 'Zero'"):
        compare(found["aai"], contrasts, null=draws)
    with pytest.raises(ParameterError, match="`patterns` are draws themselves"):
        compare(draws, contrasts, null=draws)
    shorter = extract_patterns_like(found["zero"], max_iter=9)
    with pytest.warns(PatternWarning, match="max_iter 60 against 9"):
        compare(shorter, contrasts, null=draws, n_resamples=0, n_permutations=9)


def extract_patterns_like(patterns, **changes):
    """The same patterns, said to be made with other parameters."""
    parameters = json.loads(patterns.attrs["parameters"]) | changes
    return patterns.assign_attrs(parameters=json.dumps(parameters))


def test_a_null_of_several_strategies_is_checked_by_name(compared):
    """Joined draws and joined patterns are held against each other strategy by strategy."""
    found, contrasts, _ = compared
    both = concat_patterns(found).drop_vars(["pattern_block", "n_block"])
    draws = xr.concat([both, both], dim="draw").transpose("strategy", "draw", ...)
    fine = compare(both, contrasts, null=draws, n_resamples=0, n_permutations=9)
    assert fine["p"].shape == (2, 1, 10)
    with pytest.raises(ParameterError, match="the patterns with"):
        compare(both.sel(strategy="zero"), contrasts, null=draws.sel(strategy="aai"))


def test_labels_of_another_kind_are_refused_in_a_subset_too(compared):
    """True is no 1, also where the patterns are of some classes only."""
    found, contrasts, _ = compared
    some = found["zero"].isel(label=[0, 1]).assign_coords(label=[False, True])
    with pytest.raises(LabelError, match="bool"):
        compare(some, contrasts)


@pytest.mark.parametrize("metric", ["pearson", "ssim"])
def test_constant_images_are_told_once(compared, metric):
    """However many draws, a constant pattern is told of once."""
    found, contrasts, _ = compared
    flat = found["zero"].copy(deep=True)
    flat["pattern"][0] = 0
    with pytest.warns(PatternWarning, match="constant") as told:
        compare(flat, contrasts, metrics=metric, null="phase", n_permutations=20, n_resamples=20)
    assert len(told) == 1
