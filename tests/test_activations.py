"""Layers of a model as data: activations of samples, and patterns taken to a layer."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from reference import layer_output
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch import nn

from pncviz import (
    LayerActivations,
    PNCTransformer,
    at_layer,
    compare,
    concat_patterns,
    extract_patterns,
    load,
    make_classifier,
    positive_negative_contrast,
    save,
)
from pncviz.exceptions import (
    AdapterError,
    DataError,
    LabelError,
    ModelError,
    ParameterError,
    ResultError,
)
from pncviz.training import Classifier

QUIET = pytest.mark.filterwarnings("ignore::pncviz.exceptions.PatternWarning")


class Net(Classifier):
    """skorch's repr holds places in memory, and test workers must agree on the tests' names."""

    def __repr__(self):
        return "net"


def _layer():
    net = make_classifier("fc", hidden=[8], max_epochs=2, batch_size=128)
    net.__class__ = Net
    return LayerActivations(net, layer="layers.0", random_state=0)


@parametrize_with_checks([_layer()])
def test_scikit_learn_checks(estimator, check):
    """scikit-learn's own checks hold, none of them expected to fail."""
    check(estimator)


@pytest.fixture
def convolutions():
    """A seeded net with a convolution, batch norm, pooling in place, and a named table layer."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        layers = OrderedDict(
            conv=nn.Conv2d(1, 6, 3),
            norm=nn.BatchNorm2d(6),
            relu=nn.ReLU(inplace=True),
            flat=nn.Flatten(),
            hidden=nn.Linear(216, 7),
            act=nn.Tanh(),
            output=nn.Linear(7, 10),
        )
        return nn.Sequential(layers)


@pytest.fixture
def images(digits):
    """A few digits of every class."""
    return digits.X[:60], digits.y[:60]


# ------------------------------------------------------------------- activations


@pytest.mark.parametrize("layer, shape", [("conv", (6, 6, 6)), ("hidden", (7,)), ("flat", (216,))])
def test_activations_are_those_of_a_hook(convolutions, images, layer, shape):
    """Activations are what a forward hook sees of each sample alone, before the next layer."""
    X, _ = images
    taken = LayerActivations(convolutions, layer=layer).fit(X)
    found = taken.transform(X)
    assert found.dtype == np.float32
    assert found.shape == (60, *shape) == (60, *taken.layer_shape_)
    np.testing.assert_allclose(found, layer_output(convolutions, layer, X), atol=1e-6)


def test_activations_of_a_linear_layer_are_a_product(images):
    """Analytic: of a linear layer, X @ W.T + b."""
    X = images[0].reshape(60, -1)
    net = nn.Sequential(nn.Linear(64, 5), nn.Linear(5, 3))
    found = LayerActivations(net, layer="0").fit_transform(X)
    weight, bias = net[0].weight.detach().numpy(), net[0].bias.detach().numpy()
    np.testing.assert_allclose(found, X @ weight.T + bias, rtol=1e-4, atol=1e-5)


def test_batches_do_not_matter_and_are_bounded(convolutions, images):
    """Any batch size gives the same, and no more inputs than it reach the model at once."""
    X, _ = images
    whole = LayerActivations(convolutions, layer="conv").fit_transform(X)
    seen = []
    hook = convolutions.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    parts = LayerActivations(convolutions, layer="conv", batch_size=7).fit_transform(X)
    hook.remove()
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    assert max(seen) == 7
    assert seen.count(7) == 8


def test_memory_mapped_samples(convolutions, images, tmp_path):
    """A file of uint8 gives what the array in memory gives."""
    X = (images[0] * 255).astype(np.uint8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    taken = LayerActivations(convolutions, layer="hidden", batch_size=16)
    np.testing.assert_array_equal(taken.fit_transform(mapped), taken.fit_transform(X))


def test_the_module_is_put_back(convolutions, images):
    """Training mode, running statistics and hooks are as they were."""
    convolutions.train()
    before = {name: value.clone() for name, value in convolutions.state_dict().items()}
    LayerActivations(convolutions, layer="conv").fit_transform(images[0])
    assert convolutions.training
    assert not convolutions.conv._forward_hooks
    for name, value in convolutions.state_dict().items():
        assert torch.equal(value, before[name])


def test_double_precision_comes_back_as_float32(convolutions, images):
    """A float64 module's activations are cast, from float64 arithmetic."""
    found = LayerActivations(convolutions.double(), layer="hidden").fit_transform(images[0])
    assert found.dtype == np.float32


def test_contrast_at_a_layer_is_the_difference_of_means(convolutions, images):
    """Raw contrasts of activations are class mean minus mean of the rest, at that layer."""
    X, y = images
    found = LayerActivations(convolutions, layer="conv").fit_transform(X)
    contrasts = positive_negative_contrast(found, y, normalize=None)
    expected = layer_output(convolutions, "conv", X)
    wanted = expected[y == 3].mean(axis=0) - expected[y != 3].mean(axis=0)
    np.testing.assert_allclose(contrasts["contrast"].sel(label=3), wanted, atol=1e-5)


def test_a_fitted_net_is_used_as_it_is_without_labels(digits_net, digits):
    """fit(X) keeps the weights of a fitted net; FrozenEstimator keeps them with labels too."""
    X, y = digits.X[:50], digits.y[:50]
    wanted = layer_output(digits_net.module_, "layers.0", X)
    for estimator, labels in ((digits_net, None), (FrozenEstimator(digits_net), y)):
        found = LayerActivations(estimator, layer="layers.0").fit_transform(X, labels)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_with_labels_a_net_is_cloned_and_fitted(digits):
    """fit(X, y) fits a clone from the seed, and leaves the net that was given unfitted."""
    X, y = digits.X[:50].reshape(50, -1), digits.y[:50]
    net = make_classifier("fc", hidden=[8], max_epochs=2)
    first = LayerActivations(net, layer="layers.0", random_state=3).fit(X, y)
    again = LayerActivations(net, layer="layers.0", random_state=3).fit(X, y)
    np.testing.assert_array_equal(first.transform(X), again.transform(X))
    assert not hasattr(net, "module_")
    other = LayerActivations(net, layer="layers.0", random_state=4).fit(X, y)
    assert np.abs(other.transform(X) - first.transform(X)).max() > 0.01


def test_in_a_pipeline(digits, digits_net):
    """Contrasts at a layer are features that classify: activations, PNCTransformer, classifier."""
    model = make_pipeline(
        LayerActivations(FrozenEstimator(digits_net), layer="layers.0"),
        PNCTransformer(),
        LogisticRegression(max_iter=500),
    )
    assert clone(model).fit(digits.X, digits.y).score(digits.X_test, digits.y_test) > 0.8


def test_names_of_activations(convolutions, images):
    """Names count the places of a flattened sample."""
    taken = LayerActivations(convolutions, layer="conv").fit(images[0])
    names = taken.get_feature_names_out()
    assert len(names) == 216
    assert names[0] == "conv_0_0_0"
    assert names[-1] == "conv_5_5_5"
    assert list(LayerActivations(convolutions, layer="hidden").fit(images[0])
                .get_feature_names_out())[:2] == ["hidden_0", "hidden_1"]  # fmt: skip


def test_what_cannot_be_read(convolutions, images):
    """An unknown layer, a model without layers, an unfitted net and bad parameters are refused."""
    X, y = images
    with pytest.raises(ModelError, match='No layer "conv9" in the module; layers: conv, norm'):
        LayerActivations(convolutions, layer="conv9").fit(X)
    with pytest.raises(ParameterError, match="`layer` must be the name of a layer, got 3"):
        LayerActivations(convolutions, layer=3).fit(X)
    with pytest.raises(ParameterError, match="`batch_size` must be None or a positive integer"):
        LayerActivations(convolutions, layer="conv", batch_size=0).fit(X)
    forest = RandomForestClassifier(n_estimators=2, random_state=0).fit(X.reshape(60, -1), y)
    with pytest.raises(AdapterError, match='Layer "0" cannot be read: RandomForest'):
        LayerActivations(forest, layer="0").fit(X.reshape(60, -1))
    net = make_classifier("fc")
    with pytest.raises(NotFittedError, match="is not fitted, and to fit it LayerActivations"):
        LayerActivations(net, layer="layers.0").fit(X)
    with pytest.raises(LabelError, match="y has only one class"):
        LayerActivations(net, layer="layers.0").fit(X, np.zeros(60, int))
    with pytest.raises(DataError, match="but in fit they had shape"):
        LayerActivations(convolutions, layer="conv").fit(X).transform(X[:, :, :, :7])


class Odd(nn.Module):
    """Layers that give what is no activation of each input."""

    def __init__(self):
        super().__init__()
        self.turned = nn.Identity()
        self.logarithm = nn.Identity()
        self.unused = nn.Identity()
        self.deep = nn.Identity()
        self.output = nn.Linear(4, 3)

    def forward(self, x):
        """Give logits."""
        self.turned(x.T)
        self.logarithm(torch.log(x.clamp_min(0)))
        self.deep(x[:, None, None, None])
        return self.output(x)


def test_layers_that_are_no_data():
    """Activations that are not a row each, not finite, or never made are refused by name."""
    X = np.array([[1.0, 2.0, 3.0, 0.0]])
    with pytest.raises(ModelError, match=r'Layer "turned" gives \(4, 2\) for 2 inputs'):
        LayerActivations(Odd(), layer="turned").fit(X)
    with pytest.raises(ModelError, match='Layer "logarithm" gives NaN or infinity'):
        LayerActivations(Odd(), layer="logarithm").fit(X).transform(X)
    with pytest.raises(ModelError, match='Layer "unused" does not run'):
        LayerActivations(Odd(), layer="unused").fit(X)


# ---------------------------------------------------------------------- patterns


def _patterns(net, **options):
    return extract_patterns(net, input_shape=(1, 8, 8), max_iter=5, random_state=0, **options)


@QUIET
def test_patterns_at_a_layer_are_differences_from_zero(convolutions):
    """R(pattern) - R(0) by a hook, for an image layer and a table layer; the rest is kept."""
    patterns = _patterns(convolutions)
    zero = np.zeros((1, 1, 8, 8), np.float32)
    for layer, dims in (("conv", ("channel", "row", "column")), ("hidden", ("feature",))):
        found = at_layer(convolutions, patterns, layer)
        both = [layer_output(convolutions, layer, X) for X in (patterns["pattern"].values, zero)]
        assert found["pattern"].dims == ("label", *dims)
        assert found.attrs["layer"] == layer
        np.testing.assert_allclose(found["pattern"], both[0] - both[1], atol=1e-5)
        assert set(found.data_vars) == set(patterns.data_vars)
        assert found.drop_vars("pattern").equals(patterns.drop_vars("pattern"))


@QUIET
def test_a_linear_layer_multiplies_the_pattern(digits):
    """Analytic: a linear layer takes the pattern to W times the pattern, whatever its bias."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.Linear(5, 10))
    patterns = _patterns(net)
    wanted = patterns["pattern"].values.reshape(10, -1) @ net[1].weight.detach().numpy().T
    np.testing.assert_allclose(at_layer(net, patterns, "1")["pattern"], wanted, atol=1e-5)


@QUIET
def test_sums_are_divided_by_their_number(convolutions):
    """AAI of 4 examples with blocks: R(pattern / 4) - R(0), without the blocks."""
    from pncviz import make_strategy

    summed = _patterns(convolutions, strategy=make_strategy("aai", n_examples=4), n_blocks=2)
    found = at_layer(convolutions, summed, "conv")
    rows = np.concatenate([summed["pattern"].values / 4, np.zeros((1, 1, 8, 8), np.float32)])
    outputs = layer_output(convolutions, "conv", rows)
    np.testing.assert_allclose(found["pattern"], outputs[:-1] - outputs[-1], atol=1e-5)
    assert "pattern_block" in summed
    assert "n_block" in summed
    assert "pattern_block" not in found
    assert "n_block" not in found
    assert "block" not in found.dims


@QUIET
def test_strategies_keep_their_place(convolutions):
    """A leading dimension is kept, and each strategy has its own number of examples."""
    parts = [_patterns(convolutions, strategy=name) for name in ("zero", "aai")]
    joined = at_layer(convolutions, concat_patterns({"zero": parts[0], "aai": parts[1]}), "conv")
    assert joined["pattern"].dims == ("strategy", "label", "channel", "row", "column")
    for name, part in zip(("zero", "aai"), parts, strict=True):
        alone = at_layer(convolutions, part, "conv")["pattern"]
        np.testing.assert_allclose(joined["pattern"].sel(strategy=name), alone, atol=1e-5)


@QUIET
def test_compare_save_and_load(convolutions, images, tmp_path):
    """Patterns and contrasts of one layer are compared, and the file gives them back."""
    X, y = images
    found = at_layer(convolutions, _patterns(convolutions), "conv")
    activations = LayerActivations(convolutions, layer="conv").fit_transform(X)
    contrasts = positive_negative_contrast(activations, y)
    similarity = compare(found, contrasts, metrics=["pearson", "ssim"])
    assert similarity["similarity"].shape == (2, 10, 10)
    save(found, tmp_path / "layer.nc")
    assert load(tmp_path / "layer.nc").identical(found)


@QUIET
def test_names_of_features_stay_in_the_input():
    """Names of the input's features are not those of the layer's units."""
    net = nn.Sequential(nn.Linear(64, 5), nn.Tanh(), nn.Linear(5, 10))
    patterns = extract_patterns(net, input_shape=(64,), max_iter=3, random_state=0)
    named = patterns.assign_coords(feature=[f"pixel {i}" for i in range(64)])
    found = at_layer(net, named, "1")
    assert found["pattern"].shape == (10, 5)
    assert "feature" not in found.coords


@QUIET
def test_patterns_that_cannot_be_lifted(convolutions):
    """What is no patterns dataset, at a layer already, or of another shape is refused."""
    patterns = _patterns(convolutions)
    found = at_layer(convolutions, patterns, "conv")
    with pytest.raises(ResultError, match='at the layer "conv" already'):
        at_layer(convolutions, found, "conv")
    with pytest.raises(ResultError, match=r"`ds` must be an xarray\.Dataset"):
        at_layer(convolutions, np.zeros(3), "conv")
    with pytest.raises(ParameterError, match=r"`input_shape` must hold patterns of \(1, 8, 8\)"):
        at_layer(convolutions, patterns, "conv", input_shape=(63,))
    with pytest.raises(ModelError, match='No layer "x" in the module'):
        at_layer(convolutions, patterns, "x")
    strange = patterns.assign_attrs(parameters='{"strategy": {"n_examples": -1}}')
    with pytest.raises(ResultError, match="does not say of how many examples"):
        at_layer(convolutions, strange, "conv")


@QUIET
def test_a_layer_of_four_sides_is_no_image():
    """Activations that are neither image nor table are refused with their shape."""
    patterns = extract_patterns(Odd(), input_shape=(4,), max_iter=3, random_state=0)
    with pytest.raises(ModelError, match=r"activations of shape \(1, 1, 1, 4\), which are neither"):
        at_layer(Odd(), patterns, "deep")


@QUIET
def test_flat_patterns_of_a_net_for_images(convolutions):
    """``input_shape`` gives a net for images what was extracted and labelled flat."""
    patterns = _patterns(convolutions)
    flat = patterns.drop_vars("pattern").assign(
        pattern=(("label", "feature"), patterns["pattern"].values.reshape(10, -1),
                 patterns["pattern"].attrs)
    )  # fmt: skip
    found = at_layer(convolutions, flat, "conv", input_shape=(1, 8, 8))["pattern"]
    wanted = at_layer(convolutions, patterns, "conv")["pattern"]
    np.testing.assert_array_equal(found.values, wanted.values)
