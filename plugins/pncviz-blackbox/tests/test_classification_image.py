"""Classification images: against plain loops, the theory of linear observers, and random ones."""

import tracemalloc
import warnings

import numpy as np
import pytest
import reverse_reference as slow
import torch
from scipy.stats import norm
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.svm import LinearSVC

from pncviz import (
    compare,
    extract_patterns,
    load_dataset,
    positive_negative_contrast,
)
from pncviz.exceptions import (
    AdapterError,
    DataError,
    ModelError,
    ParameterError,
    PatternWarning,
    ResultError,
)
from pncviz.models import TorchModel
from pncviz.specs import Stop
from pncviz.testing import check_strategy
from pncviz_blackbox.classification_image import ClassificationImage
from pncviz_blackbox.images import variances_left, whitened
from pncviz_blackbox.info_value import info_value, information_value, reference_norms
from pncviz_blackbox.noise import (
    BinaryNoise,
    LinearNoise,
    Noise,
    WhiteNoise,
    unit_rms,
)
from pncviz_blackbox.spectra import ClassMeanSpectrum, GaborPCA, gabor_bank, noise_named
from pncviz_blackbox.sums import tallied

SHAPE = (1, 6, 6)
KINDS = ("labels", "probabilities", "log_probabilities")


def stream(seed):
    """Give generators of blocks."""
    return lambda block: np.random.default_rng([seed, block])


def samples(n=300, shape=SHAPE):
    """Draw smooth images of three classes."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 3
    spread = np.exp(-((np.indices(shape[-2:]).T - [1, 3]) ** 2).sum(-1).T / 6)
    means = np.stack([np.roll(spread, 2 * c, axis=1) for c in range(3)])[:, None]
    return (means[y] + 0.1 * rng.random((n, *shape))).astype(np.float32), y


def fitted_noises(shape=SHAPE):
    """Give one of every kind, fitted."""
    X, y = samples(shape=shape)
    noises = [
        WhiteNoise(),
        BinaryNoise(),
        GaborPCA(12),
        GaborPCA(10, from_data=True),
        ClassMeanSpectrum(),
    ]
    for noise in noises:
        noise.prepare(X, y, shape)
    return noises


def three_class_net(seed=0, bias=(0.1, -0.1, 0.0), d=36):
    """Give a linear net of three classes with flattened images."""
    weight = np.random.default_rng(seed).normal(size=(3, d)).astype(np.float32)
    return torch.nn.Sequential(torch.nn.Flatten(), slow.linear(weight, bias)), weight


def extracted(net, strategy, **given):
    """Extract without the warnings of patterns that are not called their class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)
        return extract_patterns(
            net, **{"input_shape": SHAPE, "random_state": 0, "strategy": strategy, **given}
        )


# --------------------------------------------------------------------------- contract


@pytest.mark.parametrize(
    "strategy",
    [
        ClassificationImage(150),
        ClassificationImage(150, weights="probabilities", noise="gabor_pca"),
        ClassificationImage(150, weights="log_probabilities", noise="class_mean_spectrum"),
        ClassificationImage(150, antithetic=True, noise="binary", whiten=True, offset="mean"),
    ],
    ids=str,
)
def test_contract(strategy):
    """Everything that pncviz asks of a strategy holds."""
    check_strategy(strategy)


# --------------------------------------------------------------------------- plain loops


@pytest.mark.parametrize("antithetic", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_against_plain_loops(kind, antithetic):
    """Patterns are what a loop over single fields gives, for every kind of weights."""
    net, _ = three_class_net()
    model, rms, offset = TorchModel(net, input_shape=SHAPE), 0.7, 0.2
    strategy = ClassificationImage(400, weights=kind, rms=rms, offset=offset, antithetic=antithetic)
    strategy.prepare(None, None)

    class Streams:
        shared = staticmethod(stream(3))

    found = strategy.extract(model, None, np.array([2, 0]), Stop(), Streams())
    fields = WhiteNoise().draw(stream(3)(0), 200 if antithetic else 400, SHAPE)
    blocks = [rms * fields, -rms * fields] if antithetic else [rms * fields]

    def answer(field):
        x = torch.tensor(field + offset, dtype=torch.float32).reshape(1, *SHAPE)
        return net(x).double().softmax(dim=1).detach().numpy()[0]

    plain = slow.classification_images(answer, blocks, [2, 0], kind)
    np.testing.assert_allclose(found.pattern.reshape(2, -1), plain, atol=2e-6)
    np.testing.assert_array_equal(found.n_queries, 401)


def test_blocks_add_up_and_are_interleaved():
    """Block sums add up to the pattern, and field i lies in block i modulo their number."""
    net, _ = three_class_net()
    whole = extracted(net, ClassificationImage(703), n_blocks=7)
    total = whole["pattern_block"].sum("block") / whole["n_block"].sum()
    np.testing.assert_allclose(total, whole["pattern"], atol=1e-12)
    np.testing.assert_array_equal(whole["n_block"], [101] * 3 + [100] * 4)
    model = TorchModel(net, input_shape=SHAPE)
    (sums,) = tallied(
        model, WhiteNoise(), np.arange(3), 703, shape=SHAPE, stream=stream(0), n_blocks=7
    )
    fields = WhiteNoise().draw(stream(0)(0), 703, SHAPE).astype(np.float64)
    np.testing.assert_allclose(sums.field[4], fields[4::7].sum(axis=0), atol=1e-4)
    hit = net(torch.tensor(fields[4::7], dtype=torch.float32)).argmax(dim=1).numpy() == 1
    np.testing.assert_allclose(sums.weighted[4, 1], fields[4::7][hit].sum(axis=0), atol=1e-4)


def test_no_block_is_empty():
    """More blocks than fields, or than pairs of a field and its negative, are as many as those."""
    net, _ = three_class_net()
    for antithetic, n_blocks in ((False, 20), (True, 10)):
        strategy = ClassificationImage(20, antithetic=antithetic, weights="probabilities")
        patterns = extracted(net, strategy, n_blocks=30)
        per_block = 20 // n_blocks
        np.testing.assert_array_equal(patterns["n_block"], [per_block] * n_blocks)
        total = patterns["pattern_block"].sum("block") / patterns["n_block"].sum()
        np.testing.assert_allclose(total, patterns["pattern"], atol=1e-12)


def test_blocks_over_several_pieces_of_noise(monkeypatch):
    """Where fields are drawn in several pieces, blocks are interleaved over all of them."""
    monkeypatch.setattr("pncviz_blackbox.sums._MOST_FIELDS", 50)
    net, _ = three_class_net()
    model = TorchModel(net, input_shape=SHAPE)
    (sums,) = tallied(
        model, WhiteNoise(), np.arange(3), 120, shape=SHAPE, stream=stream(0), n_blocks=7
    )
    pieces = [WhiteNoise().draw(stream(0)(i), n, SHAPE) for i, n in enumerate((50, 50, 20))]
    fields = np.concatenate(pieces).astype(np.float64)
    for b in range(7):
        np.testing.assert_allclose(sums.field[b], fields[b::7].sum(axis=0), atol=1e-4)
    assert sums.n == 120


def test_memory_does_not_grow_with_fields(monkeypatch):
    """Sixteen times as many fields take no more memory: nothing but sums is kept."""
    monkeypatch.setattr("pncviz_blackbox.sums._MOST_FIELDS", 256)
    net, _ = three_class_net()
    model, peaks = TorchModel(net, input_shape=SHAPE), []
    for n in (1000, 16_000):
        tracemalloc.start()
        tallied(model, WhiteNoise(), np.arange(3), n, shape=SHAPE, stream=stream(0), n_blocks=5)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 2**20


def test_several_weights_of_one_set_of_answers():
    """Asked for labels and probabilities at once, the sums are those of each by itself."""
    net, _ = three_class_net()
    model = TorchModel(net, input_shape=SHAPE)
    given = {"shape": SHAPE, "stream": stream(1), "n_blocks": 2, "rms": 0.5}
    both = tallied(model, WhiteNoise(), np.arange(3), 300, weights=KINDS, **given)
    for kind, sums in zip(KINDS, both, strict=True):
        (alone,) = tallied(model, WhiteNoise(), np.arange(3), 300, weights=(kind,), **given)
        np.testing.assert_allclose(sums.weighted, alone.weighted, atol=1e-6)
        np.testing.assert_allclose(sums.variance, alone.variance, atol=1e-9)
        np.testing.assert_array_equal(sums.called, alone.called)


# --------------------------------------------------------------------------- theory


@pytest.mark.parametrize("n", [100, 1000, 10_000])
@pytest.mark.parametrize(("antithetic", "c"), [(False, 2 / np.pi), (True, 1 / np.pi)])
def test_two_class_linear_observer(n, antithetic, c):
    """The cosine with the weights is 1 / sqrt(1 + (d - 1) / (c n)), c = 2/π, half for pairs."""
    rng, d, cosines = np.random.default_rng(0), 60, []
    weight = rng.normal(size=d).astype(np.float32)
    net = slow.linear(np.stack([weight, -weight]))
    model = TorchModel(net, input_shape=(d,))
    for seed in range(30):
        (sums,) = tallied(
            model,
            WhiteNoise(),
            np.array([0]),
            n,
            shape=(d,),
            stream=stream(seed),
            antithetic=antithetic,
        )
        cosines.append(slow.cosine(sums.covariances()[0], weight))
    # The mean of 30; the spread of one is about (1 - r²) / sqrt(2 d).
    theory = 1 / np.sqrt(1 + (d - 1) / (c * n))
    assert np.mean(cosines) == pytest.approx(theory, abs=4 * (1 - theory**2) / np.sqrt(d * 30))


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_two_class_amplitude(share):
    """The difference of means is rms · φ(t) / (p (1 - p)) along the weights, whatever the bias."""
    d = 50
    weight = np.zeros((2, d), dtype=np.float32)
    weight[0, 3] = 1.0
    t = float(norm.ppf(share))
    net = slow.linear(weight, [0.3 * t, 0.0])
    patterns = extracted(net, ClassificationImage(60_000, rms=0.3), input_shape=(d,), labels=[0])
    image = patterns["pattern"].values[0]
    theory = 0.3 * norm.pdf(t) / (share * (1 - share))
    assert image[3] == pytest.approx(theory, rel=0.02)
    # The others are noise of the standard error.
    error = 0.3 * np.sqrt(1 / (60_000 * share * (1 - share)))
    assert np.delete(image, 3).std() == pytest.approx(error, rel=0.35)
    assert int(patterns["n_iter"][0]) / 60_000 == pytest.approx(share, abs=0.01)


def test_answers_that_are_the_sum_itself_are_worth_more():
    """With log probabilities of a nearly linear answer, c is 1: fewer fields for the same r."""
    rng, d, n, cosines = np.random.default_rng(1), 60, 100, []
    weight = 0.05 * rng.normal(size=d).astype(np.float32)
    model = TorchModel(slow.linear(np.stack([weight, -weight])), input_shape=(d,))
    for seed in range(30):
        (sums,) = tallied(
            model,
            WhiteNoise(),
            np.array([0]),
            n,
            shape=(d,),
            stream=stream(seed),
            weights=("log_probabilities",),
            rms=0.3,
        )
        cosines.append(slow.cosine(sums.covariances()[0], weight))
    assert np.mean(cosines) == pytest.approx(1 / np.sqrt(1 + (d - 1) / n), abs=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_softmax_model(kind):
    """Of a linear softmax model without bias, patterns tend to differences of its weights."""
    rng = np.random.default_rng(2)
    weight = rng.normal(size=(3, 16)).astype(np.float32)
    weight = np.linalg.qr(weight.T)[0].T[:3]  # orthonormal, so that all pairs differ alike
    net = slow.linear(weight)
    patterns = extracted(net, ClassificationImage(40_000, weights=kind, rms=1.0), input_shape=(16,))
    contrast = weight - weight.mean(axis=0)
    for image, difference in zip(patterns["pattern"].values, contrast, strict=True):
        assert slow.cosine(image, difference) > 0.99


def test_whitening_finds_the_weights_under_coloured_noise():
    """Under coloured noise the pattern is the blurred weights; divided by the covariance, they."""
    net, weight = three_class_net(bias=(0, 0, 0))
    contrast = weight - weight.mean(axis=0)
    X, y = samples()
    strategy = ClassificationImage(60_000, noise="class_mean_spectrum", weights="labels")
    plain = extracted(net, strategy, X=X, y=y)["pattern"].values.reshape(3, -1)
    found = extracted(net, clone(strategy).set_params(whiten=True), X=X, y=y)
    noise = ClassMeanSpectrum()
    noise.prepare(X, y, SHAPE)
    variances, axes = noise.axes(SHAPE)
    for k in range(3):
        blurred = (contrast[k] @ axes.T * variances) @ axes
        assert slow.cosine(plain[k], blurred) > 0.98
        # Waves without power hold nothing; the others are the weights', strong ones first.
        strong = variances > 0.3
        ours = axes[strong] @ found["pattern"].values[k].ravel()
        assert slow.cosine(ours, axes[strong] @ contrast[k]) > 0.9


# --------------------------------------------------------------------------- outcomes


def test_never_and_always_called():
    """A class that is never called has a zero pattern, and is marked and warned of; never NaN."""
    net, _ = three_class_net(bias=(50.0, 0.0, 0.0))
    with pytest.warns(PatternWarning, match=r"3 of 3 .*0 \(always_called\), 1 \(never_called\)"):
        patterns = extract_patterns(
            net, input_shape=SHAPE, strategy=ClassificationImage(500, rms=0.1), random_state=0
        )
    assert patterns["stop_reason"].values.tolist() == [
        "always_called",
        "never_called",
        "never_called",
    ]
    np.testing.assert_array_equal(patterns["pattern"], 0)
    np.testing.assert_array_equal(patterns["n_iter"], [500, 0, 0])
    assert not patterns["succeeded"].any()
    assert np.isfinite(patterns["loss"]).all()
    assert np.isnan(information_value(patterns)).all()


def test_rare_classes_have_patterns_by_probability():
    """Weighted by log probabilities, a class that is never called has a pattern all the same."""
    net, weight = three_class_net(bias=(8.0, 0.0, 0.0))
    strategy = ClassificationImage(4000, rms=0.1, weights="log_probabilities")
    patterns = extracted(net, strategy)
    assert patterns["n_iter"].values.tolist() == [4000, 0, 0]
    image = patterns["pattern"].values[1]
    assert slow.cosine(image, weight[1] - weight[0]) > 0.95
    assert float(information_value(patterns)[1]) > 20


def test_what_is_recorded():
    """Outcome fields are the model's answer to the pattern at the size of the noise."""
    net, _ = three_class_net()
    strategy = ClassificationImage(3000, rms=0.4, offset=0.1, weights="probabilities")
    patterns = extracted(net, strategy, max_queries=2003)
    images = patterns["pattern"].values.reshape(3, -1)
    x = 0.1 + 0.4 * images / np.sqrt((images**2).mean(axis=1, keepdims=True))
    share = net(torch.tensor(x, dtype=torch.float32)).softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(patterns["confidence"], share.diagonal(), rtol=1e-4)
    np.testing.assert_allclose(patterns["loss"], -np.log(share.diagonal()), rtol=1e-4)
    np.testing.assert_array_equal(patterns["prediction"], share.argmax(axis=1))
    assert set(patterns["stop_reason"].values) == {"max_queries"}
    np.testing.assert_array_equal(patterns["n_queries"], 2001)
    assert int(patterns["n_iter"].sum()) == 2000


def test_query_budget_is_kept():
    """Never more inputs than `max_queries` are shown, whatever the labels; pairs stay whole."""
    net, _ = three_class_net()
    for antithetic, n in ((False, 98), (True, 98), (True, 97)):
        seen = []
        hook = net.register_forward_hook(lambda _m, x, _o, seen=seen: seen.append(len(x[0])))
        model = TorchModel(net, input_shape=SHAPE)
        strategy = ClassificationImage(1000, antithetic=antithetic)
        strategy.prepare(None, None)

        class Streams:
            shared = staticmethod(stream(0))

            seen.clear()

        found = strategy.extract(model, None, np.arange(3), Stop(max_queries=n + 3), Streams())
        hook.remove()
        assert sum(seen) == (n - n % 2 if antithetic else n) + 3
        assert int(found.n_queries[0]) == sum(seen) - 2
    one = extracted(net, ClassificationImage(500), labels=[1], max_queries=100)
    every = extracted(net, ClassificationImage(500), max_queries=100)
    np.testing.assert_array_equal(one["pattern"].values[0], every["pattern"].values[1])


def test_labels_alone_will_do():
    """A classifier with nothing but `predict` has patterns; by probability it is refused."""
    data = load_dataset("digits")
    X = data.X.reshape(len(data.X), -1)
    model = FrozenEstimator(LinearSVC(random_state=0, max_iter=5000).fit(X, data.y))
    # By name: another plugin may know more of the classifier than what it predicts.
    given = {"input_shape": (64,), "image_shape": (1, 8, 8), "adapter": "probabilities"}
    patterns = extracted(model, ClassificationImage(4000, rms=0.5), **given)
    assert set(np.unique(patterns["confidence"])) <= {0.0, 1.0}
    contrasts = positive_negative_contrast(data.X, data.y)
    similar = compare(patterns, contrasts)["similarity"].sel(metric="pearson").values
    assert similar.diagonal().mean() > 0.5
    with pytest.raises(AdapterError, match="needs probabilities"):
        extracted(model, ClassificationImage(100, weights="probabilities"), **given)


def test_subset_order_and_batches_do_not_matter():
    """A class's pattern is the same alone, among others, and for every batch size."""
    net, _ = three_class_net()
    strategy = ClassificationImage(2500, noise="gabor_pca")
    every = extracted(net, strategy, deterministic=False)
    some = extracted(net, strategy, labels=[2, 0], batch_size=17)
    np.testing.assert_array_equal(every["pattern"].sel(label=[2, 0]), some["pattern"])
    more = extracted(net, strategy, random_state=1)
    assert slow.pearson(every["pattern"], more["pattern"]) < 0.99


def test_fields_are_the_first_of_more():
    """Of every noise the first fields drawn do not depend on how many are drawn."""
    for noise in fitted_noises():
        few = noise.draw(np.random.default_rng(5), 3, SHAPE)
        many = noise.draw(np.random.default_rng(5), 40, SHAPE)
        np.testing.assert_allclose(few, many[:3], rtol=1e-5, atol=1e-6)


def test_flat_rows_with_an_image_shape():
    """Rows laid flat get noise of images once their shape is said, and the same patterns."""
    net, _ = three_class_net()
    flat = extracted(
        net, ClassificationImage(600, noise="gabor_pca", image_shape=SHAPE), input_shape=(36,)
    )
    image = extracted(net, ClassificationImage(600, noise="gabor_pca"))
    np.testing.assert_allclose(flat["pattern"].values.ravel(), image["pattern"].values.ravel())

    class Streams:
        shared = staticmethod(stream(0))

    X, y = samples()
    strategy = ClassificationImage(300, noise="class_mean_spectrum")
    strategy.prepare(X.reshape(len(X), -1), y)
    model = TorchModel(net, input_shape=(36,))
    flat = strategy.extract(model, None, np.arange(3), Stop(), Streams(), image_shape=SHAPE)
    strategy.prepare(X, y)
    model = TorchModel(net, input_shape=SHAPE)
    image = strategy.extract(model, None, np.arange(3), Stop(), Streams())
    np.testing.assert_allclose(flat.pattern, image.pattern.reshape(3, -1), atol=1e-6)


# --------------------------------------------------------------------------- noise


def test_fields_have_one_size():
    """Every field of every noise has root mean square 1, grey or in colour."""
    for shape in (SHAPE, (3, 6, 5), (2, 5, 7)):
        for noise in fitted_noises(shape):
            fields = noise.draw(np.random.default_rng(0), 200, shape).astype(np.float64)
            assert fields.shape == (200, np.prod(shape))
            np.testing.assert_allclose((fields**2).mean(axis=1), 1, rtol=1e-4)


@pytest.mark.parametrize("shape", [SHAPE, (2, 5, 4)])
def test_axes_are_those_of_the_fields(shape):
    """Axes are orthonormal, variances sum to the number of values, and 40 000 fields have both."""
    d = int(np.prod(shape))
    for noise in fitted_noises(shape):
        variances, axes = noise.axes(shape)
        axes = np.eye(d) if axes is None else axes
        assert variances.sum() == pytest.approx(d)
        np.testing.assert_allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-5)
        fields = noise.draw(np.random.default_rng(0), 40_000, shape).astype(np.float64)
        along = fields @ axes.T
        np.testing.assert_allclose((along**2).mean(axis=0), variances, rtol=0.05, atol=0.02)
        covariance = along.T @ along / len(along)
        off = covariance - np.diag(covariance.diagonal())
        assert np.abs(off).max() < 0.06 * variances.max()
        # What lies beside the axes is nothing.
        np.testing.assert_allclose(along @ axes, fields, atol=1e-3)


def test_shares_of_few_axes():
    """Scaling to one size takes from the large variances: exactly (1, 1) for two equal ones."""

    class Two(LinearNoise):
        def __init__(self, ratio=1.0):
            self.ratio = ratio

        def basis(self, size):
            return np.array([self.ratio**2, 1.0]), np.eye(2, 4)

    variances, _ = Two().axes((2, 2))
    np.testing.assert_allclose(variances, [2, 2], rtol=1e-3)
    # Of two, E[a² g² / (a² g² + h²)] is a / (a + 1).
    variances, _ = Two(ratio=3.0).axes((2, 2))
    np.testing.assert_allclose(variances, [3, 1], rtol=1e-3)


def test_spectrum_noise_has_the_spectrum():
    """Each field has, wave by wave, the power of the class means' differences, and no mean."""
    for shape in ((1, 6, 6), (1, 5, 7), (1, 6, 7), (1, 5, 8)):
        X, y = samples(shape=shape)
        noise = ClassMeanSpectrum()
        noise.prepare(X, y, shape)
        means = np.stack([X[y == c, 0].mean(axis=0, dtype=np.float64) for c in range(3)])
        power = (np.abs(np.fft.fft2(means - means.mean(axis=0))) ** 2).sum(axis=0)
        power[0, 0] = 0
        power /= power.mean()
        for field in noise.draw(np.random.default_rng(0), 20, shape).reshape(20, *shape[1:]):
            ours = np.abs(np.fft.fft2(field.astype(np.float64))) ** 2 / power.size
            np.testing.assert_allclose(ours, power, atol=1e-4 * power.max())


def test_gabor_bank():
    """On 28 x 28 there are 960 wavelets, as in the notebooks, each of length 1."""
    bank = gabor_bank((28, 28))
    assert bank.shape == (960, 784)
    np.testing.assert_allclose((bank**2).sum(axis=1), 1)
    # In a corner of the finest: nothing far from it.
    assert np.abs(bank[0].reshape(28, 28)[8:]).max() < 1e-4


def test_gabor_noise_of_data_has_the_covariance_of_their_wavelets():
    """Fitted on data, the noise has the covariance of the data's ridge approximation."""
    X, y = samples(600)
    noise = GaborPCA(1000, from_data=True)
    noise.prepare(X, y, SHAPE)
    variances, images = noise.basis((6, 6))
    bank = gabor_bank((6, 6))
    flat = X.reshape(600, -1).astype(np.float64)
    flat = flat - flat.mean(axis=0)
    coefficients = np.linalg.solve(bank @ bank.T + 0.1 * np.eye(len(bank)), bank @ flat.T)
    approximation = (bank.T @ coefficients).T
    np.testing.assert_allclose(
        images.T * variances @ images, approximation.T @ approximation / 599, atol=1e-6
    )


def test_noise_forgets_what_it_no_longer_is():
    """After new parameters or new samples, fields and axes are those of a noise made anew."""
    noise = GaborPCA(20)
    assert len(noise.axes(SHAPE)[0]) == 20
    noise.set_params(n_components=5)
    assert len(noise.axes(SHAPE)[0]) == 5
    X, y = samples()
    noise = GaborPCA(8, from_data=True)
    noise.prepare(X, y, SHAPE)
    before = noise.draw(np.random.default_rng(0), 5, SHAPE)
    turned = np.ascontiguousarray(X.transpose(0, 1, 3, 2))
    noise.prepare(turned, y, SHAPE)
    anew = GaborPCA(8, from_data=True)
    anew.prepare(turned, y, SHAPE)
    after = noise.draw(np.random.default_rng(0), 5, SHAPE)
    np.testing.assert_array_equal(after, anew.draw(np.random.default_rng(0), 5, SHAPE))
    assert np.abs(after - before).max() > 0.1


def test_noise_sees_arrays_changed_in_place():
    """A parameter that is an array counts by its values; the basis is made once for them."""

    class Given(LinearNoise):
        def __init__(self, variances=None):
            self.variances = variances

        def basis(self, size):
            made.append(size)
            return np.array(self.variances), np.eye(2, 4)

    made = []
    noise = Given(np.ones(2))
    for _ in range(3):
        np.testing.assert_allclose(noise.axes((2, 2))[0], [2, 2], rtol=1e-3)
    assert made == [(2, 2)]
    noise.variances[0] = 9.0
    np.testing.assert_allclose(noise.axes((2, 2))[0], [3, 1], rtol=1e-3)


def test_binary_noise_is_fair():
    """Coins fall on both sides, value by value, and do not know of each other."""
    fields = BinaryNoise().draw(np.random.default_rng(0), 20_000, (1, 9, 9))
    assert set(np.unique(fields)) == {-1.0, 1.0}
    assert np.abs(fields.mean(axis=0)).max() < 5 / np.sqrt(20_000)
    together = fields.T @ fields / 20_000 - np.eye(81)
    assert np.abs(together).max() < 5 / np.sqrt(20_000)


def test_tables_take_white_noise_only():
    """Noise of images refuses a table, and says which noise will do."""
    net = slow.linear(np.eye(3, 5, dtype=np.float32))
    X, y = np.random.default_rng(0).random((30, 5)).astype(np.float32), np.arange(30) % 3
    for noise in ("gabor_pca", "class_mean_spectrum"):
        with pytest.raises(ParameterError, match=r'noise of images.*noise="white"'):
            extract_patterns(
                net, input_shape=(5,), strategy=ClassificationImage(50, noise=noise), X=X, y=y
            )
    for noise in ("white", "binary"):
        found = extracted(net, ClassificationImage(2000, noise=noise), input_shape=(5,), X=X, y=y)
        assert found["pattern"].values.diagonal().min() > 0.1


def test_own_noise():
    """A noise of one's own works, and its axes are estimated."""

    class Rows(Noise):
        def draw(self, rng, n, shape):
            rows = rng.standard_normal((n, shape[-2], 1), dtype=np.float32)
            return unit_rms(np.repeat(rows, shape[-1], axis=2).reshape(n, -1))

    variances, axes = Rows().axes(SHAPE)
    np.testing.assert_allclose(np.sort(variances)[-6:], 6, rtol=0.15)
    np.testing.assert_allclose(np.sort(variances)[:-6], 0, atol=1e-4)
    assert axes.shape == (36, 36)
    net, _ = three_class_net()
    patterns = extracted(net, ClassificationImage(3000, noise=Rows()))
    assert float(patterns["pattern"].std("column").max()) < 1e-6
    assert (information_value(patterns, noise=Rows()) > 5).all()
    with pytest.raises(ParameterError, match="give it as `noise`"):
        information_value(patterns)


# --------------------------------------------------------------------------- information value


@pytest.mark.parametrize("share", [0.5, 0.05])
@pytest.mark.parametrize("which", range(5))
def test_reference_is_that_of_random_observers(which, share):
    """Norms drawn by formula have the median and spread of 2000 simulated random observers."""
    noise, n = fitted_noises()[which], 400
    fields = noise.draw(np.random.default_rng(1), n, SHAPE)
    plain = slow.random_observer_norms(fields, int(share * n), 2000, np.random.default_rng(2))
    called = int(share * n)
    error = np.sqrt((1 / called + 1 / (n - called)) * n / (n - 1))
    ours = error * reference_norms(noise.axes(SHAPE)[0], 20_000)
    # One set of fields is dealt out again and again: its own spread differs by a few hundredths.
    assert np.median(plain) == pytest.approx(np.median(ours), rel=0.05)
    # Fields of one size vary less, by the share 1 / n_called: the reference errs to the safe side.
    spread = [np.median(np.abs(x - np.median(x))) for x in (plain, ours)]
    assert spread[0] == pytest.approx(spread[1], rel=0.15)


@pytest.mark.parametrize(("kind", "whiten"), [("labels", False), ("labels", True), ("prob", False)])
def test_random_observers_are_seldom_found(kind, whiten):
    """Of 300 random observers 2.5 % or so exceed 1.96, as a z-score should."""
    noise, n, rms = GaborPCA(20), 400, 0.3
    variances, _ = noise.axes(SHAPE)
    if whiten:
        variances = variances.mean() ** 2 / variances
    rng, z = np.random.default_rng(3), []
    for seed in range(300):
        fields = rms * noise.draw(np.random.default_rng([9, seed]), n, SHAPE).astype(np.float64)
        if kind == "labels":
            called = rng.random(n) < 0.2
            image = fields[called].mean(axis=0) - fields[~called].mean(axis=0)
            if whiten:
                image = whitened(image[None], noise, SHAPE)[0]
            given = {"n_called": int(called.sum())}
        else:
            w = rng.gamma(1.0, size=n)
            image, given = ((w - w.mean()) / w.std()) @ fields / n, {}
        z.append(info_value(image, variances, n_fields=n, rms=rms, n_draws=2000, **given))
    assert np.mean(z) == pytest.approx(0.1, abs=0.2)  # norms lean a little to the right
    assert np.std(z) == pytest.approx(1, abs=0.15)
    assert 0.01 <= np.mean(np.array(z) > 1.96) <= 0.065


def test_information_value_of_patterns():
    """From a dataset alone the value is that of its images, counts and noise, label by label."""
    net, _ = three_class_net()
    X, y = samples()
    for given in ({}, {"whiten": True}, {"weights": "log_probabilities"}, {"antithetic": True}):
        strategy = ClassificationImage(3000, noise="class_mean_spectrum", rms=0.3, **given)
        patterns = extracted(net, strategy, X=X, y=y)
        found = information_value(patterns, X=X, y=y)
        noise = ClassMeanSpectrum()
        noise.prepare(X, y, SHAPE)
        variances, _ = noise.axes(SHAPE)
        if strategy.whiten:
            variances = variances_left(variances)
        for label in range(3):
            one = patterns.sel(label=label)
            count = int(one["n_iter"]) if strategy.weights == "labels" else None
            value = info_value(one["pattern"], variances, n_fields=3000, n_called=count, rms=0.3)
            assert float(found.sel(label=label)) == pytest.approx(value)
            assert value > 3
    with pytest.raises(ParameterError, match="give X and y"):
        information_value(patterns)


def test_information_value_leaves_the_noise_as_it_is():
    """A noise that is given is not fitted anew: what it learnt before is still there."""
    net, _ = three_class_net()
    X, y = samples()
    noise = GaborPCA(8, from_data=True)
    noise.prepare(X, y, SHAPE)
    kept = noise.draw(np.random.default_rng(0), 5, SHAPE)
    turned = np.ascontiguousarray(X.transpose(0, 1, 3, 2))
    patterns = extracted(net, ClassificationImage(500, noise=clone(noise)), X=turned, y=y)
    fresh = clone(noise)
    found = [information_value(patterns, X=turned, y=y, noise=n) for n in (noise, fresh)]
    np.testing.assert_array_equal(*found)
    assert not hasattr(fresh, "factor_")
    np.testing.assert_array_equal(noise.draw(np.random.default_rng(0), 5, SHAPE), kept)


def test_information_value_by_hand():
    """(norm - median) / (1.4826 MAD), in units of the standard error of the difference."""
    norms = reference_norms([1.0, 2.0, 4.0], 5000)
    middle = np.median(norms)
    spread = 1.4826 * np.median(np.abs(norms - middle))
    error = 0.5 * np.sqrt((1 / 10 + 1 / 40) * 50 / 49)
    image = np.array([3.0, 0.0, 4.0])
    found = info_value(image, [1, 2, 4], n_fields=50, n_called=10, rms=0.5, n_draws=5000)
    assert found == pytest.approx((5 / error - middle) / spread)
    for n_called in (0, 50):
        assert np.isnan(info_value(image, [1, 2, 4], n_fields=50, n_called=n_called))


def test_information_value_refuses_other_patterns():
    """Patterns of another strategy have none."""
    net, _ = three_class_net()
    patterns = extracted(net, "zero", max_iter=2)
    with pytest.raises(ResultError, match="of classification images, got patterns of strategy 'Z"):
        information_value(patterns)
    images = extracted(net, ClassificationImage(50))
    with pytest.raises(ResultError, match="choose along seed first"):
        information_value(images.expand_dims("seed"))
    with pytest.raises(ParameterError, match=r"at most `n_fields` \(50\), got 51"):
        info_value(np.ones(3), np.ones(3), n_fields=50, n_called=51)


# --------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_fields": 1}, "`n_fields` must be an integer from 2 on, got 1"),
        ({"rms": 0}, "`rms` must be a positive number, got 0"),
        ({"noise": "pink"}, "`noise` must be a Noise or one of \"white\".*got 'pink'"),
        ({"noise": GaborPCA(0)}, "`n_components` must be a positive integer, got 0"),
        ({"noise": GaborPCA(from_data=1)}, "`from_data` must be True or False, got 1"),
        ({"weights": "logits"}, "`weights` must be one of .*got 'logits'"),
        ({"antithetic": 1}, "`antithetic` must be True or False, got 1"),
        ({"whiten": None}, "`whiten` must be True or False, got None"),
        ({"offset": "median"}, "`offset` must be a finite number, .*got 'median'"),
        ({"offset": np.nan}, "`offset` must be a finite number, .*got nan"),
        ({"offset": np.zeros(7)}, "`offset` must have 36 values or one, got 7"),
        ({"image_shape": (1, 5, 5)}, "has 25 values, but inputs of shape .* have 36"),
        ({"noise": "class_mean_spectrum"}, "needs samples: give X and y"),
        ({"noise": GaborPCA(from_data=True)}, "needs samples: give X and y"),
    ],
    ids=str,
)
def test_bad_parameters(given, message):
    """Every bad parameter is refused before the model is asked, and named."""
    net, _ = three_class_net()
    with pytest.raises(ParameterError, match=message):
        extract_patterns(
            net, input_shape=SHAPE, strategy=ClassificationImage(**{"n_fields": 50, **given})
        )


def test_offset_mean_needs_samples():
    """The mean of the class means is that of the samples; without them it is refused."""
    net, _ = three_class_net()
    strategy = ClassificationImage(200, offset="mean", weights="probabilities")
    with pytest.raises(DataError, match="needs samples"):
        extract_patterns(net, input_shape=SHAPE, strategy=strategy)
    X, y = samples()
    X, y = X[(y != 2) | (np.arange(len(y)) < 30)], y[(y != 2) | (np.arange(len(y)) < 30)]
    mean = np.mean([X[y == c].mean(axis=0) for c in range(3)], axis=0)
    by_name = extracted(net, strategy, X=X, y=y)
    by_hand = extracted(net, clone(strategy).set_params(offset=mean))
    other = extracted(net, clone(strategy).set_params(offset=X.mean(axis=0)))
    assert np.abs(by_name["pattern"] - other["pattern"]).max() > 1e-4
    np.testing.assert_allclose(by_name["pattern"], by_hand["pattern"], atol=1e-6)


def test_budget_too_small():
    """A budget that leaves nothing for noise is refused with what is needed."""
    net, _ = three_class_net()
    with pytest.raises(ParameterError, match=r"`max_queries` must be 5 or more.*got 4"):
        extract_patterns(net, input_shape=SHAPE, strategy=ClassificationImage(50), max_queries=4)


def test_constant_class_means_have_no_spectrum():
    """Class means that are all alike leave nothing to make noise of."""
    with pytest.raises(ParameterError, match="all alike"):
        ClassMeanSpectrum().prepare(np.ones((6, 1, 4, 4), np.float32), np.arange(6) % 2, (1, 4, 4))


def test_noise_named():
    """A noise is taken as it is, a name makes a new one."""
    noise = GaborPCA(3)
    assert noise_named(noise) is noise
    assert isinstance(noise_named("binary"), BinaryNoise)


def test_probabilities_that_are_not_finite():
    """A net whose probabilities overflow is blamed for it, not its patterns."""

    class Squares(torch.nn.Module):
        def forward(self, x):
            return (x.flatten(1)[:, :3] * 1e16) ** 2

    with pytest.raises(ModelError, match="NaN or infinite; try smaller noise"):
        extract_patterns(
            Squares(),
            input_shape=SHAPE,
            output="logits",
            strategy=ClassificationImage(50, rms=1e4, weights="probabilities"),
        )


def test_random_forest_with_zero_probabilities():
    """Probabilities that are exactly 0, as forests give, have patterns by logarithm."""
    data = load_dataset("digits")
    X = data.X.reshape(len(data.X), -1)
    forest = RandomForestClassifier(20, max_depth=6, random_state=0).fit(X, data.y)
    patterns = extracted(
        FrozenEstimator(forest),
        ClassificationImage(1500, rms=0.5, weights="log_probabilities"),
        input_shape=(64,),
        image_shape=(1, 8, 8),
    )
    assert np.isfinite(patterns["pattern"]).all()
    contrasts = positive_negative_contrast(data.X, data.y)
    similar = compare(patterns, contrasts)["similarity"].sel(metric="pearson").values
    assert similar.diagonal().mean() > 0.4
