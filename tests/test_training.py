"""Ready classifiers, and their files."""

import json
import math
import os
import pickle
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset, ValidSplit
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    SequentialSampler,
    Subset,
    WeightedRandomSampler,
    default_collate,
)

from pncviz import (
    AdversarialPatternExtractor,
    extract_patterns,
    load_classifier,
    make_classifier,
    save_classifier,
)
from pncviz.exceptions import (
    LabelError,
    ModelError,
    ParameterError,
    ResultError,
    UnknownNameError,
)
from pncviz.training import StopAt, read_info
from pncviz.training.batches import batch_loader


@pytest.fixture(autouse=True)
def seeded():
    """Weights drawn in a test are the same in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="module")
def few(digits):
    """300 digits: flat rows, and labels."""
    return digits.X[:300].reshape(300, -1), digits.y[:300]


@pytest.fixture
def small():
    """A net that knows four corners, trained at once."""
    X = np.eye(4, dtype=np.float32)
    net = make_classifier("fc", hidden=[16], optimizer="adam", lr=0.05, max_epochs=60)
    return net.fit(X, np.arange(4)), X


SMALL_CNN = {"convolutions": [8, 16], "dense": [32]}


# ---------------------------------------------------------------------------- learning


@pytest.mark.parametrize(
    "architecture, params",
    [
        ("fc", {}),
        ("fc", {"hidden": [50], "optimizer": "adam", "lr": 0.01}),
        ("fc", {"hidden": []}),
        ("cnn", {**SMALL_CNN, "optimizer": "adam", "lr": 0.003}),
        ("cnn", {**SMALL_CNN, "batch_norm": True}),
    ],
)
def test_architectures_learn_digits(architecture, params, digits):
    """Every built-in architecture learns most of the digits in a few epochs."""
    net = make_classifier(architecture, max_epochs=10, batch_size=32, **params)
    net.fit(digits.X, digits.y)
    assert net.score(digits.X_test, digits.y_test) > 0.8
    has_norm = any(isinstance(part, torch.nn.BatchNorm2d) for part in net.module_.modules())
    assert has_norm == params.get("batch_norm", False)


def test_flat_rows_reach_a_cnn(few):
    """Given its input shape, a CNN takes flat rows; without it, the error says so."""
    X, y = few
    net = make_classifier("cnn", max_epochs=1, **SMALL_CNN)
    with pytest.raises(ModelError, match=r"For flat X, give `image_shape`.*`module__input_shape`"):
        net.fit(X, y)
    net.set_params(module__input_shape=(1, 8, 8)).fit(X, y)
    assert net.predict(X).shape == (300,)
    assert net.module_.image_shape == (1, 8, 8)


def test_the_extractor_tells_a_cnn_the_image_shape(few):
    """Through the extractor flat rows reach a CNN by `image_shape` alone."""
    X, y = few
    net = make_classifier("cnn", max_epochs=10, batch_norm=True, **SMALL_CNN)
    extractor = AdversarialPatternExtractor(net, image_shape=(8, 8), max_iter=300, random_state=0)
    assert extractor.fit(X, y).patterns_["pattern"].shape == (10, 1, 8, 8)


def test_integer_labels_are_units(few):
    """{0, 5, 9} give ten units, of which those three are used, with the patterns of those units."""
    X, y = few
    rows = np.isin(y, [0, 5, 9])
    net = make_classifier("fc", hidden=[20], max_epochs=10).fit(X[rows], y[rows])
    assert net.module_(torch.from_numpy(X[:2])).shape == (2, 10)
    assert set(net.predict(X[rows])) == {0, 5, 9}
    options = {"input_shape": (64,), "max_iter": 300}
    ours = extract_patterns(net, **options)
    assert ours["label"].values.tolist() == [0, 5, 9]
    assert bool(ours["succeeded"].all())
    named = extract_patterns(net.module_, classes=range(10), labels=[0, 5, 9], **options)
    np.testing.assert_array_equal(ours["pattern"], named["pattern"])


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float64, np.float32])
def test_samples_and_labels_of_any_real_type(dtype, few):
    """Integer X, float64 X and labels of any integer type train alike."""
    X, y = few
    net = make_classifier("fc", hidden=[8], max_epochs=1)
    assert net.fit((X * 16).astype(dtype), y.astype(dtype)).predict(X).shape == (300,)


@pytest.mark.parametrize(
    "labels, match",
    [
        (["a", "b", "c", "d"], r"must hold integers from 0 to \d+, got \['a', 'b', 'c'\]. Encode"),
        ([-1, 0, 1, 2], r"integers from 0 .*got \[-1, 0, 1\]"),
        ([0, 1, 2, 10**9], "Encode them first"),
        ([0, 1, 2], "X has 4 samples and y has 3 labels"),
        (None, "requires y"),
    ],
)
def test_labels_that_are_no_units(labels, match):
    """Strings, negative and absurd labels are LabelErrors that say to encode them."""
    with pytest.raises(LabelError, match=match):
        make_classifier("fc").fit(np.eye(4, dtype=np.float32), labels)


def test_partial_fit_begins_as_fit_does():
    """The first partial_fit sizes the module; the next ones keep it."""
    X, y = np.eye(4, dtype=np.float32), np.arange(4)
    net = make_classifier("fc", hidden=[8], max_epochs=1)
    net.partial_fit(X, y)
    module = net.module_
    net.partial_fit(X[:2], y[:2])
    assert net.module_ is module
    assert module(torch.zeros(1, 4)).shape == (1, 4)
    first = make_classifier("fc", hidden=[8], max_epochs=1).partial_fit(X[:2], y[:2], classes=y)
    assert first.module_(torch.zeros(1, 4)).shape == (1, 4)


def test_a_second_fit_starts_anew():
    """Fitting on other data resizes the module."""
    net = make_classifier("fc", hidden=[8], max_epochs=1)
    net.fit(np.eye(4, dtype=np.float32), np.arange(4))
    net.fit(np.eye(6, dtype=np.float32), np.arange(6))
    assert net.module_(torch.zeros(1, 6)).shape == (1, 6)


# -------------------------------------------------------------------------------- batches


def torchs_own(net):
    """Return the same net with torch's DataLoader, as it would be without ours."""
    return clone(net).set_params(iterator_train=DataLoader, iterator_valid=DataLoader)


def trained(net, X, y):
    """Train from one seed; gives the net and where that leaves the random numbers."""
    torch.manual_seed(7)
    net.fit(X, y)
    return net, torch.get_rng_state()


@pytest.mark.parametrize("split", [None, ValidSplit(4), ValidSplit(0.2, random_state=0)])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("architecture, params", [("fc", {}), ("cnn", {"batch_norm": True})])
@pytest.mark.parametrize("batch_size", [32, -1])
def test_weights_are_those_of_torchs_dataloader(
    split, optimizer, architecture, params, batch_size, digits
):
    """One seed gives the same weights, history and random state to the bit with either loader."""
    params = params | (SMALL_CNN if architecture == "cnn" else {})
    net = make_classifier(
        architecture,
        optimizer=optimizer,
        max_epochs=2,
        train_split=split,
        batch_size=batch_size,
        **params,
    )
    X, y = digits.X[:300], digits.y[:300]  # the last batch is a part of one
    (ours, state), (theirs, their_state) = trained(net, X, y), trained(torchs_own(net), X, y)
    weights = theirs.module_.state_dict()
    assert all(
        torch.equal(value, weights[name]) for name, value in ours.module_.state_dict().items()
    )
    assert torch.equal(state, their_state)
    columns = {"train_loss", "train_acc"} if split is None else {"valid_loss", "valid_acc"}
    assert columns <= ours.history[-1].keys() == theirs.history[-1].keys()
    for mine, other in zip(ours.history, theirs.history, strict=True):
        assert mine["batches"] == other["batches"]
        assert all(mine[name] == other[name] for name in mine if name != "dur")
    np.testing.assert_array_equal(
        ours.predict_proba(digits.X_test), theirs.predict_proba(digits.X_test)
    )


def test_training_and_predicting_take_whole_batches(few, monkeypatch):
    """No sample is fetched on its own, in training, validation and prediction."""
    X, y = few

    def singly(self, i):
        raise AssertionError(f"sample {i} was fetched on its own")

    net = make_classifier("fc", hidden=[8], max_epochs=1, train_split=ValidSplit(3))
    monkeypatch.setattr(Dataset, "__getitem__", singly)
    assert net.fit(X, y).predict(X).shape == (300,)
    assert net.predict(torch.from_numpy(X)).shape == (300,)
    with pytest.raises(AssertionError, match=r"sample \d+ was fetched on its own"):
        torchs_own(net).fit(X, y)


IMAGES = np.random.default_rng(0).random((11, 3, 4, 5)).astype(np.float32)
ROWS = IMAGES.reshape(11, -1)
UNITS = np.arange(11) % 4


class Louder(Dataset):
    """A user's dataset that changes each sample by itself."""

    def transform(self, X, y):
        return super().transform(X * 2 if np.ndim(X) == 1 else X * 0, y)


class Masked(np.ndarray):
    """An array with an idea of its own of what a sample is."""

    def __getitem__(self, i):
        return np.asarray(super().__getitem__(i)) + (i if isinstance(i, int) else 0)


class Pairs(torch.utils.data.Dataset):
    """A user's own dataset, that takes one number at a time."""

    def __len__(self):
        return 11

    def __getitem__(self, i):
        return torch.full((2,), float(int(i))), int(i)


WHOLE = {
    "float32": Dataset(ROWS, UNITS),
    "float64 images": Dataset(IMAGES.astype(np.float64), UNITS),
    "uint8": Dataset((ROWS * 255).astype(np.uint8), UNITS),
    "bool": Dataset(ROWS > 0.5, UNITS),
    "float16": Dataset(ROWS.astype(np.float16), UNITS),
    "no labels": Dataset(ROWS),
    "fortran order": Dataset(np.asfortranarray(IMAGES), UNITS),
    "channels moved": Dataset(np.moveaxis(np.ascontiguousarray(np.moveaxis(IMAGES, 1, 3)), 3, 1)),
    "every second": Dataset(ROWS[::2, ::2], UNITS[::2]),
    "tensor": Dataset(torch.from_numpy(IMAGES), UNITS),
    "tensor, channels last": Dataset(
        torch.from_numpy(IMAGES).to(memory_format=torch.channels_last), UNITS
    ),
    "tensor, transposed": Dataset(torch.from_numpy(ROWS.T.copy()).T, UNITS),
    "tensor of numbers": Dataset(torch.from_numpy(ROWS[:, 0].copy()), UNITS),
    "subset": Subset(Dataset(ROWS, UNITS), np.array([9, 3, 4, 0, 10])),
    "subset by short integers": Subset(
        Dataset(torch.from_numpy(ROWS), UNITS), np.array([9, 3, 4], dtype=np.int16)
    ),
    "subset of a subset": Subset(
        Subset(Dataset(torch.from_numpy(ROWS), UNITS), [9, 3, 4, 0, 10]), range(1, 4)
    ),
}
SINGLY = {
    "dict": Dataset({"a": ROWS, "b": IMAGES}, UNITS),
    "list": Dataset([ROWS, torch.from_numpy(IMAGES)], UNITS),
    "sparse": Dataset(csr_matrix(ROWS > 0.5, dtype=np.float32), UNITS),
    "numbers": Dataset(ROWS[:, 0], UNITS),
    "float labels": Dataset(ROWS, UNITS / 2),
    "int32 labels": Dataset(ROWS, UNITS.astype(np.int32)),
    "tensor labels": Dataset(ROWS, torch.from_numpy(UNITS)),
    "several labels": Dataset(ROWS, np.stack([UNITS, UNITS], axis=1)),
    "another length": Dataset(ROWS, UNITS, length=5),
    "counted from the end": Subset(Dataset(torch.from_numpy(ROWS), UNITS), [-1, 2, -3]),
    "a subclass": Louder(ROWS, UNITS),
    "a subclass's subset": Subset(Louder(ROWS, UNITS), [3, 1]),
    "an array's subclass": Dataset(ROWS.view(Masked), UNITS),
    "the user's": Pairs(),
}


def leaves(batch):
    """Give the tensors of a batch with where they stand in it, and how they lie in memory."""
    if isinstance(batch, torch.Tensor):
        return [(batch.dtype, batch.shape, batch.stride(), batch.tolist())]
    parts = batch.values() if isinstance(batch, dict) else batch
    return [(type(batch), *(leaves(part) for part in parts))]


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", [*WHOLE, *SINGLY])
def test_batches_are_those_of_torchs_dataloader(kind, shuffle):
    """Whatever skorch takes gives the same batches, the last one included, over two epochs."""
    dataset = (WHOLE | SINGLY)[kind]
    torch.manual_seed(0)
    theirs = DataLoader(dataset, batch_size=2, shuffle=shuffle)
    expected = [leaves(batch) for _ in range(2) for batch in theirs]
    torch.manual_seed(0)
    ours = batch_loader(dataset, batch_size=2, shuffle=shuffle)
    assert [leaves(batch) for _ in range(2) for batch in ours] == expected
    assert len(ours) == len(theirs)
    assert (ours.dataset is dataset) == (kind in SINGLY)


def test_arrays_that_torch_takes_not_or_with_a_warning(tmp_path):
    """Files mapped into memory, read-only and backward arrays give batches of what they hold."""
    np.save(tmp_path / "X.npy", ROWS)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert isinstance(mapped, np.memmap)
    for X, y in ((mapped, UNITS), (np.asarray(mapped), UNITS), (ROWS[::-1, ::-1], UNITS[::-1])):
        batches = list(batch_loader(Dataset(X, y), batch_size=3))
        np.testing.assert_array_equal(torch.cat([samples for samples, _ in batches]), X)
        np.testing.assert_array_equal(torch.cat([labels for _, labels in batches]), y)


def test_sparse_tensors_are_refused_as_torch_does():
    """A sparse tensor, which no net here takes, gets torch's own advice."""
    loader = batch_loader(Dataset(torch.from_numpy(ROWS).to_sparse(), UNITS), batch_size=3)
    with pytest.raises(RuntimeError, match="sparse tensors are not currently supported by the def"):
        next(iter(loader))


def test_a_batch_is_a_copy():
    """Changing a batch in place, as an augmentation may, leaves the data alone."""
    X = ROWS.copy()
    for data in (X, torch.from_numpy(X)):
        for samples, labels in batch_loader(Dataset(data, UNITS), batch_size=11):
            samples.zero_(), labels.zero_()
    np.testing.assert_array_equal(X, ROWS)
    assert UNITS.any()


def double(samples):
    """Collate, and double X."""
    X, y = default_collate(samples)
    return X * 2, y


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 4, "drop_last": True},
        {"batch_size": 4, "sampler": WeightedRandomSampler(np.arange(11.0), 20)},
        {"batch_sampler": BatchSampler(SequentialSampler(range(11)), 3, drop_last=False)},
        {"batch_size": 4, "shuffle": True, "generator": torch.Generator()},
        {"batch_size": 4, "collate_fn": double},
        {"batch_size": None},
        {"batch_size": 4, "num_workers": 1, "shuffle": True},
    ],
    ids=lambda options: ", ".join(options),
)
def test_options_of_the_dataloader(options):
    """Samplers, generators, collating and workers do what they do for torch's DataLoader."""
    dataset = Dataset(ROWS, UNITS)
    found = []
    for loader in (batch_loader, DataLoader):
        torch.manual_seed(0)
        options.get("generator", torch.default_generator).manual_seed(3)
        found.append([leaves(batch) for batch in loader(dataset, **options)])
    assert found[0] == found[1]


class Counting(DataLoader):
    """A user's own iterator, that counts its uses."""

    made = 0

    def __init__(self, dataset, **options):
        Counting.made += 1
        super().__init__(dataset, **options)


def test_a_users_own_iterator_wins(few):
    """Iterators and their options set by the user are used, also after cloning."""
    X, y = few
    net = make_classifier("fc", hidden=[8], max_epochs=1)
    net = clone(net.set_params(iterator_train=Counting, iterator_valid=Counting)).fit(X, y)
    assert Counting.made == 1
    net.predict(X)
    assert Counting.made == 2
    net = make_classifier("fc", hidden=[8], max_epochs=1)
    net = clone(net.set_params(iterator_train__drop_last=True, iterator_train__batch_size=64))
    assert net.fit(X, y).history[-1, "train_batch_count"] == 300 // 64
    assert net.get_params()["iterator_train"] is batch_loader


def test_epochs_are_printed(few, capsys):
    """`verbose` prints the table of losses and scores."""
    X, y = few
    make_classifier("fc", hidden=[8], max_epochs=2, verbose=1).fit(X, y)
    printed = capsys.readouterr().out.split()
    assert {"epoch", "train_acc", "train_loss", "dur"} <= set(printed)


# ------------------------------------------------------------------------------- stopping


@pytest.mark.parametrize("split", [None, ValidSplit(5)])
@pytest.mark.parametrize(
    "rule", [{"stop_loss": 0.5}, {"stop_accuracy": 0.9}, {"stop_loss": 0.01, "stop_accuracy": 0.8}]
)
def test_training_stops_at_the_first_epoch_that_meets_a_rule(split, rule, digits):
    """The last epoch meets a rule and no earlier one does, on validation data if there are any."""
    net = make_classifier("fc", max_epochs=60, train_split=split, lr=0.05, **rule)
    net.fit(digits.X, digits.y)
    part = "train" if split is None else "valid"
    met = [
        row[f"{part}_loss"] <= rule.get("stop_loss", -1)
        or row[f"{part}_acc"] >= rule.get("stop_accuracy", math.inf)
        for row in net.history
    ]
    assert met == [False] * (len(met) - 1) + [True]
    assert 1 < len(met) < 60


def test_a_stop_rule_of_a_net_made_by_hand():
    """StopAt works in any skorch net, on the loss without any score."""
    net = NeuralNetClassifier(
        torch.nn.Linear,
        module__in_features=4,
        module__out_features=4,
        criterion=torch.nn.CrossEntropyLoss,
        lr=1.0,
        max_epochs=99,
        train_split=None,
        callbacks=[StopAt(loss=1.0)],
        verbose=0,
    )
    net.fit(np.eye(4, dtype=np.float32), np.arange(4))
    assert net.history[-1, "train_loss"] <= 1.0 < net.history[-2, "train_loss"]


@pytest.mark.parametrize(
    "rule, match",
    [
        ({"stop_loss": 0}, "`stop_loss` must be None or a positive number, got 0"),
        ({"stop_loss": math.nan}, "`stop_loss` .* got nan"),
        ({"stop_accuracy": 97}, r"`stop_accuracy` must be None or a share in \(0, 1\], got 97"),
        ({"stop_accuracy": 0.0}, r"`stop_accuracy` .* got 0.0"),
    ],
)
def test_stop_rules_that_nothing_meets(rule, match):
    """A percentage for a share, zero or NaN are refused, not silently never met."""
    with pytest.raises(ParameterError, match=match):
        make_classifier("fc", **rule)


# ----------------------------------------------------------------------------- parameters


def test_unknown_names():
    """Architectures, optimizers and parameters that do not exist are named with the choices."""
    with pytest.raises(UnknownNameError, match=r'"cn".*Did you mean "cnn"'):
        make_classifier("cn")
    with pytest.raises(ParameterError, match="`optimizer` must be one of sgd, adam, got 'adamm'"):
        make_classifier("fc", optimizer="adamm")
    with pytest.raises(ParameterError, match=r"hiden.*hidden"):
        make_classifier("fc", hiden=[3])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("device", ["cuda", "nonsense"])
def test_a_device_that_is_not_there(device, small, tmp_path):
    """Fitting or loading on an absent device is a ModelError that names it."""
    net, X = small
    match = f'`device` "{device}" is not there; use "cpu"'
    with pytest.raises(ModelError, match=match):
        make_classifier("fc", device=device).fit(X, np.arange(4))
    path = save_classifier(net, tmp_path / "net.safetensors")
    with pytest.raises(ModelError, match=match):
        load_classifier(path, device=device)


def test_learning_rates_by_optimizer():
    """0.1 for SGD and 0.001 for Adam, unless given."""
    assert make_classifier("fc").lr == 0.1
    assert make_classifier("fc", optimizer="adam").lr == 0.001
    assert make_classifier("fc", lr=0.3).lr == 0.3


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_no_weight_decay_changes_no_bit(kind, few):
    """By default the weights are those of an optimizer that is told nothing of weight decay."""

    class Plain(kind):
        def __init__(self, params, lr, weight_decay):
            super().__init__(params, lr=lr)

    name = kind.__name__.lower()
    ours = [
        make_classifier("fc", optimizer=name, hidden=[8], max_epochs=3, **decay)
        for decay in ({}, {"weight_decay": 0.0}, {"weight_decay": 0.01})
    ]
    plain = clone(ours[0]).set_params(optimizer=Plain)
    weights = [trained(net, *few)[0].module_.state_dict() for net in (plain, *ours)]
    same = [
        all(torch.equal(value, weights[0][name]) for name, value in one.items()) for one in weights
    ]
    assert same == [True, True, True, False]


def test_a_step_with_weight_decay(few):
    """One full-batch step of SGD is W − lr · (gradient + decay · W), of weights and biases."""
    X, y = few
    lr, decay = 0.05, 0.3
    net = make_classifier("fc", hidden=[8], lr=lr, weight_decay=decay, max_epochs=1, batch_size=-1)
    torch.manual_seed(3)
    net.fit(X, y)
    torch.manual_seed(3)
    module = clone(net).set_params(module__input_shape=(64,), module__n_classes=10).initialize()
    module = module.module_.double()
    loss = torch.nn.functional.cross_entropy(
        module(torch.from_numpy(X).double()), torch.from_numpy(y)
    )
    before = dict(module.named_parameters())
    gradients = torch.autograd.grad(loss, list(before.values()))
    for (name, value), gradient in zip(before.items(), gradients, strict=True):
        expected = value - lr * (gradient + decay * value)
        found = dict(net.module_.named_parameters())[name]
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("value", [-1e-4, math.nan, math.inf, True, "0.1", None])
def test_weight_decays_that_are_none(value):
    """Negative and endless weight decays, and what is no number, are refused by name."""
    match = f"`weight_decay` must be 0 or a positive finite number, got {value!r}"
    with pytest.raises(ParameterError, match=match):
        make_classifier("fc", weight_decay=value)


def test_the_command_line_takes_a_weight_decay(tmp_path):
    """`pncviz train --weight-decay` trains with it, and its file says so."""
    out = tmp_path / "net.safetensors"
    words = ["train", "digits", "--out", out, "--max-epochs", "1", "--weight-decay", "0.25"]
    subprocess.run([sys.executable, "-m", "pncviz", *words], check=True, capture_output=True)
    assert read_info(out)["weight_decay"] == 0.25


def test_clones_keep_every_parameter():
    """Sklearn's clone gives an unfitted net of the same parameters, architecture included."""
    net = make_classifier("cnn", lr=0.3, stop_loss=0.1, batch_norm=True, **SMALL_CNN)
    net.fit(np.random.default_rng(0).random((8, 1, 8, 8)).astype(np.float32), np.arange(8) % 2)
    twin = clone(net)
    assert not twin.initialized_
    assert (twin.architecture, twin.lr, twin.module__batch_norm) == ("cnn", 0.3, True)
    assert twin.module__convolutions == SMALL_CNN["convolutions"]
    assert dict(twin.callbacks)["stop_at"].loss == 0.1


def test_a_grid_search_sets_parameters(few):
    """`lr` and the architecture's parameters can be searched, alone and within the extractor."""
    X, y = few
    net = make_classifier("fc", max_epochs=5)
    grid = {"lr": [1e-6, 0.1], "module__hidden": [[30]]}
    search = GridSearchCV(net, grid, cv=2).fit(X, y)
    assert search.best_params_["lr"] == 0.1
    assert search.best_estimator_.module_.layers[0].out_features == 30
    extractor = AdversarialPatternExtractor(net).set_params(estimator__lr=0.7)
    assert extractor.estimator.lr == 0.7


def test_pickling_keeps_a_fitted_net(small):
    """A fitted net goes through pickle, as joblib's workers need."""
    net, X = small
    twin = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(twin.predict_proba(X), net.predict_proba(X))


# ---------------------------------------------------------------------------------- files


@pytest.mark.parametrize("architecture", ["fc", "cnn"])
def test_a_file_gives_the_same_predictions(architecture, digits, tmp_path):
    """To the bit, BatchNorm's statistics included, and the caller's random state is untouched."""
    params = (
        {"hidden": np.array([20, 10])} if architecture == "fc" else SMALL_CNN | {"batch_norm": True}
    )
    net = make_classifier(architecture, max_epochs=2, optimizer="adam", **params)
    net.fit(digits.X, digits.y)
    path = save_classifier(net, tmp_path / "net.safetensors", dataset="digits", n=np.int64(3))
    before = torch.get_rng_state()
    loaded = load_classifier(path)
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(
        loaded.predict_proba(digits.X_test), net.predict_proba(digits.X_test)
    )
    assert loaded.classes_.tolist() == list(range(10))
    assert (loaded.lr, loaded.architecture) == (net.lr, architecture)
    info = read_info(path)
    assert loaded.info_ == info
    assert (info["dataset"], info["n"], info["epochs"], info["optimizer"]) == (
        "digits",
        3,
        2,
        "adam",
    )
    assert info["history"]["train_loss"] == pytest.approx(net.history[-1, "train_loss"])


@pytest.mark.parametrize("decay", [0, 1e-4, np.float32(0.25)])
def test_a_file_keeps_the_weight_decay(decay, tmp_path):
    """It is in the header, and the loaded net trains on with it."""
    net = make_classifier("fc", hidden=[4], weight_decay=decay, max_epochs=1)
    net.fit(np.eye(4, dtype=np.float32), np.arange(4))
    path = save_classifier(net, tmp_path / "net.safetensors")
    assert read_info(path)["weight_decay"] == decay
    assert load_classifier(path).optimizer_.param_groups[0]["weight_decay"] == decay


def test_files_from_before_weight_decay(saved):
    """A file that does not say is of a net without."""
    from pncviz.training.files import _digest

    with safe_open(saved, framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # no mapping

    def older(info):
        info = {key: value for key, value in info.items() if key != "weight_decay"}
        return info | {"sha256": _digest(info, state)}

    rewrite(saved, older)
    assert "weight_decay" not in read_info(saved)
    assert load_classifier(saved).optimizer_.param_groups[0]["weight_decay"] == 0


def test_a_file_gives_the_same_patterns(small, tmp_path):
    """Patterns of the loaded net are those of the net."""
    net, _ = small
    loaded = load_classifier(save_classifier(net, tmp_path / "net.safetensors"))
    options = {"input_shape": (4,), "max_iter": 100}
    ours, theirs = extract_patterns(loaded, **options), extract_patterns(net, **options)
    np.testing.assert_array_equal(ours["pattern"], theirs["pattern"])


@pytest.mark.parametrize("labels", [["ape", "bee", "cat", "dög"], [10, 20, 30, 40]])
def test_labels_are_kept(labels, small, tmp_path):
    """What the units stand for comes back, strings as strings, and names the patterns."""
    net, _ = small
    loaded = load_classifier(save_classifier(net, tmp_path / "net.safetensors", labels=labels))
    assert loaded.classes_.tolist() == labels
    patterns = extract_patterns(loaded, input_shape=(4,), max_iter=100)
    assert patterns["label"].values.tolist() == labels


def test_gaps_in_the_labels_are_kept(tmp_path):
    """A net fitted on {0, 5, 9} still has ten units, and its labels are its units."""
    net = make_classifier("fc", hidden=[8], max_epochs=30)
    net.fit(np.eye(3, dtype=np.float32), np.array([0, 5, 9]))
    loaded = load_classifier(save_classifier(net, tmp_path / "net.safetensors"))
    patterns = extract_patterns(loaded, input_shape=(3,), max_iter=200)
    assert patterns["label"].values.tolist() == [0, 5, 9]
    assert bool(patterns["succeeded"].all())


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "a", "b", "c"], [["a"]] * 4, list("abcde")])
def test_labels_that_do_not_name_the_units(labels, small, tmp_path):
    """Too few, too many or repeated labels are refused before anything is written."""
    with pytest.raises(ParameterError, match="`labels` must name each of the 4 output units once"):
        save_classifier(small[0], tmp_path / "net.safetensors", labels=labels)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "info, match",
    [
        ({"format": "mine", "sha256": "0"}, "`info` may not have format, sha256"),
        ({"dataset": object()}, "must fit JSON: <object"),
    ],
)
def test_info_that_cannot_be_kept(info, match, small, tmp_path):
    """What the file keeps itself cannot be overwritten, and the rest must fit JSON."""
    with pytest.raises(ParameterError, match=match):
        save_classifier(small[0], tmp_path / "net.safetensors", **info)
    assert not list(tmp_path.iterdir())


def test_nets_that_cannot_be_saved(tmp_path):
    """Unfitted nets, merely initialised ones and other skorch nets are refused."""
    nets = [
        make_classifier("fc"),
        make_classifier("fc", input_shape=(4,), n_classes=2).initialize(),
        NeuralNetClassifier(torch.nn.Linear, module__in_features=4, module__out_features=2),
        torch.nn.Linear(4, 2),
    ]
    for net in nets:
        with pytest.raises(
            ParameterError, match="must be a fitted classifier made by make_classif"
        ):
            save_classifier(net, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_saving_replaces_in_one_step(small, tmp_path, monkeypatch):
    """A crash while writing leaves the old file whole, and nothing beside it."""
    net, _ = small
    path = save_classifier(net, tmp_path / "net.safetensors", note="old")

    def torn(self, data):
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", torn)
    with pytest.raises(OSError, match="No space left"):
        save_classifier(net, path, note="new")
    assert read_info(path)["note"] == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["net.safetensors"]


def test_folders_that_take_no_files(small, tmp_path):
    """A missing folder, a folder as target and a read-only folder are refused by name."""
    net, _ = small
    with pytest.raises(ResultError, match=r"there is no folder .*nowhere"):
        save_classifier(net, tmp_path / "nowhere" / "net.safetensors")
    with pytest.raises(ResultError, match="it is a folder"):
        save_classifier(net, tmp_path)
    if os.geteuid() == 0:
        return  # to root no folder is read-only
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ResultError, match="takes no files"):
            save_classifier(net, tmp_path / "net.safetensors")
    finally:
        tmp_path.chmod(0o700)


# ---------------------------------------------------------------------------- broken files


@pytest.fixture
def saved(small, tmp_path):
    return save_classifier(small[0], tmp_path / "net.safetensors")


def refused(path, match):
    """Both readers refuse a file with a ModelError that begins with its name."""
    for read in (read_info, load_classifier):
        with pytest.raises(ModelError, match=match) as caught:
            read(path)
        assert str(caught.value).startswith(str(path))


def test_truncated_files(saved):
    """Wherever a file is cut off, it is refused by name."""
    whole = saved.read_bytes()
    for length in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        refused(saved, "damaged, or not a pncviz classifier")


def test_flipped_bits(saved):
    """A flipped bit anywhere, in the header as in the weights, is refused by name."""
    whole = saved.read_bytes()
    header = struct.unpack("<Q", whole[:8])[0]
    dice = random.Random(0)
    places = [*range(8), *dice.sample(range(8, 8 + header), 100)]
    places += dice.sample(range(8 + header, len(whole)), 50)
    for place in places:
        broken = bytearray(whole)
        broken[place] ^= 1 << dice.randrange(8)
        saved.write_bytes(broken)
        refused(saved, "damaged|not of a pncviz classifier|perhaps a newer one")


def rewrite(path, change, weights=None):
    """Write a file anew with another header, as a stranger might."""
    with safe_open(path, framework="pt") as file:
        info = json.loads(file.metadata()["pncviz"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 # no mapping
    info = change(info)
    save_file(state | (weights or {}), path, {"pncviz": json.dumps(info)})


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda info: info | {"lr": 9.0}, "damaged; its content does not fit its sum"),
        (lambda info: info | {"params": {}}, "damaged; its content"),
        (lambda info: info | {"format": "other"}, "not of a pncviz classifier"),
        (lambda info: [], "not of a pncviz classifier"),
        (
            lambda info: info | {"format_version": 2, "versions": {"pncviz": "99.0"}},
            r"written in format 2 by pncviz 99.0, perhaps a newer one; this one .* reads format 1",
        ),
        (lambda info: {"format": "pncviz-classifier"}, r"written in format None by pncviz \?"),
        (lambda info: info | {"format_version": "x", "versions": 3}, "written in format 'x'"),
    ],
)
def test_headers_that_are_refused(change, match, saved):
    """Changed, foreign and newer headers are refused by name, and say why."""
    rewrite(saved, change)
    refused(saved, match)


@pytest.mark.parametrize(
    "change",
    [
        lambda info: info | {"params": {"hidden": [9]}},
        lambda info: info | {"params": {"no_such": 1}},
        lambda info: info | {"params": {"hidden": "x"}},
        lambda info: info | {"optimizer": "none"},
        lambda info: {key: value for key, value in info.items() if key != "classes"},
    ],
)
def test_weights_that_do_not_fit_the_architecture(change, saved, monkeypatch):
    """A header whose sum is right and whose parameters are not is still refused by name."""
    from pncviz.training import files

    rewrite(saved, change)
    monkeypatch.setattr(files, "_digest", lambda header, state: header["sha256"])
    with pytest.raises(ModelError, match='do not fit the architecture "fc"') as caught:
        load_classifier(saved)
    assert str(caught.value).startswith(str(saved))


def test_files_of_others(saved, tmp_path):
    """Safetensors without our header, text, and paths that are no file are refused."""
    save_file({"weight": torch.zeros(2)}, saved)
    refused(saved, "not of a pncviz classifier")
    saved.write_text("<html>404</html>")
    refused(saved, "damaged, or not a pncviz classifier")
    refused(tmp_path / "missing.safetensors", "no such file")
    refused(tmp_path, "no such file")


class Bomb:
    """Does something when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was read",))


@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_no_pickle_is_ever_read(write, tmp_path):
    """A pickle, bare or torch's, is refused without being loaded."""
    path = tmp_path / "net.safetensors"
    with path.open("wb") as file:
        write({"weights": Bomb()}, file)
    refused(path, "damaged, or not a pncviz classifier")
