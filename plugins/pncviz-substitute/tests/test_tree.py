"""The walk to another leaf: against trying every combination of thresholds."""

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from substitute_reference import nearest_change

from pncviz import AdversarialExampleGenerator, Stop, Target
from pncviz.exceptions import AdapterError, ModelError, ParameterError
from pncviz.models import ProbabilityModel, adapt
from pncviz.testing import check_adapter
from pncviz_substitute import DecisionTree, TreeModel
from pncviz_substitute.leaves import Leaves

NORMS = ("l0", "l1", "l2", "linf")


def _data(seed=0, n=60, d=3, n_classes=3):
    rng = np.random.default_rng(seed)
    X = rng.random((n, d)).astype(np.float32)
    return X, rng.integers(n_classes, size=n)


def _tree(seed=0, depth=4, **data):
    X, y = _data(seed, **data)
    return DecisionTreeClassifier(max_depth=depth, random_state=0).fit(X, y), X, y


def _run(tree, X, codes, *, targeted=False, dtype=None, **params):
    attack = DecisionTree(**params)
    attack.validate()
    model = TreeModel(tree, input_shape=X.shape[1:])
    start = model.tensor(X)
    target = Target(codes=torch.as_tensor(codes), targeted=targeted)
    return attack.run(model, start, target, Stop(), [])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_shorter_change_leaves_the_class(seed, norm):
    """The change is as short as the shortest of all that cross thresholds, in each norm."""
    tree, X, _ = _tree(seed)
    told = tree.predict(X)
    result = _run(tree, X, told, norm=norm)
    made = result.adversarial.numpy()
    assert (tree.predict(made.astype(np.float32)) != told).all()
    assert (result.stop_reason == "changed").all()
    change = made - X.astype(np.float64)
    length = {
        "l0": (change != 0).sum(axis=1),
        "l1": np.abs(change).sum(axis=1),
        "l2": np.linalg.norm(change, axis=1),
        "linf": np.abs(change).max(axis=1),
    }[norm]
    for x, code, found in zip(X[:12], told, length, strict=False):
        expected = nearest_change(tree, x, lambda answer, own=code: answer != own, norm)
        assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("norm", ["l0", "l2"])
def test_no_shorter_change_reaches_the_target(norm):
    """Targeted, it is the shortest that reaches the class."""
    tree, X, _ = _tree(3)
    codes = (tree.predict(X) + 1) % 3
    result = _run(tree, X, codes, targeted=True, norm=norm)
    made = result.adversarial.numpy()
    assert (tree.predict(made.astype(np.float32)) == codes).all()
    change = made - X.astype(np.float64)
    length = (change != 0).sum(axis=1) if norm == "l0" else np.linalg.norm(change, axis=1)
    for x, code, found in zip(X[:12], codes, length, strict=False):
        expected = nearest_change(tree, x, lambda answer, own=code: answer == own, norm)
        assert found == pytest.approx(expected, rel=1e-6)


def _ancestors(tree, leaf):
    """Give the nodes from the root to a leaf, by searching for parents."""
    path, t = [leaf], tree.tree_
    while path[0] != 0:
        pairs = enumerate(zip(t.children_left, t.children_right, strict=True))
        path = [*(node for node, pair in pairs if path[0] in pair), *path]
    return path


@pytest.mark.parametrize("seed", [0, 4])
def test_siblings_come_first(seed):
    """It ends below the deepest ancestor that has a leaf of another class below it."""
    tree, X, _ = _tree(seed)
    told, t = tree.predict(X), tree.tree_
    made = _run(tree, X, told, search="sibling").adversarial.numpy().astype(np.float32)
    leaves = [node for node in range(t.node_count) if t.children_left[node] < 0]
    code = {leaf: tree.classes_[t.value[leaf][0].argmax()] for leaf in leaves}
    farther = 0
    for x, new, own in zip(X, made, told, strict=True):
        begin, end = tree.apply(x[None])[0], tree.apply(new[None])[0]
        common = set(_ancestors(tree, begin)) & set(_ancestors(tree, end))
        deepest = max(
            len(set(_ancestors(tree, begin)) & set(_ancestors(tree, leaf)))
            for leaf in leaves
            if code[leaf] != own
        )
        assert code[end] != own
        assert len(common) == deepest
        least = nearest_change(tree, x, lambda answer, code=own: answer != code, "l2")
        farther += np.linalg.norm(new - x) > least + 1e-6
    assert farther > 0


def test_a_float32_threshold_is_crossed_exactly():
    """Thresholds that no float32 has: the next value to the right and left are the least moves."""
    X = np.array([[0.1], [0.2]], dtype=np.float32)
    tree = DecisionTreeClassifier().fit(X, [0, 1])
    cut = tree.tree_.threshold[0]
    made = _run(tree, X, [0, 1]).adversarial.numpy()[:, 0].astype(np.float32)
    assert made[0] > cut
    assert np.nextafter(made[0], np.float32(0)) <= cut
    assert made[1] <= cut
    assert np.nextafter(made[1], np.float32(1)) > cut


def test_leaves_are_those_of_the_tree():
    """Every sample lies in the box of its own leaf and in no other, and classes agree."""
    tree, X, _ = _tree(5, depth=None)
    leaves = Leaves.of(tree.tree_)
    inside = leaves.distances(X, "l2") == 0
    assert (inside.sum(axis=1) == 1).all()
    own = inside.argmax(axis=1)
    assert (leaves.node[own] == tree.apply(X)).all()
    assert (tree.classes_[leaves.code[own]] == tree.predict(X)).all()


def test_bounds_keep_leaves_out():
    """With clip, examples stay within it, and leaves beyond it are not found."""
    X = np.array([[0.0], [1.0]], dtype=np.float32)
    tree = DecisionTreeClassifier().fit(X, [0, 1])
    kept = _run(tree, X[:1], [0], clip=(0.0, 0.4))
    assert kept.stop_reason.tolist() == ["not_found"]
    assert kept.adversarial.tolist() == [[0.0]]
    assert kept.n_iter.tolist() == [0]
    moved = _run(tree, X[:1], [0], clip=(0.0, 0.6))
    assert moved.stop_reason.tolist() == ["changed"]


def test_what_is_there_already_stays():
    """A row that is not of the class to leave keeps every bit."""
    tree, X, _ = _tree()
    told = tree.predict(X)
    start = torch.from_numpy(X.astype(np.float64) + 1e-12)
    target = Target(codes=torch.from_numpy((told + 1) % 3), targeted=False)
    result = DecisionTree().run(TreeModel(tree, input_shape=(3,)), start, target, Stop(), [])
    assert torch.equal(result.adversarial, start)
    assert result.n_iter.max() == 0


def test_a_stump_has_nowhere_to_go():
    """A tree of one leaf: not found, and nothing breaks."""
    X, y = _data()
    tree = DecisionTreeClassifier(max_depth=1, min_samples_split=10_000).fit(X, y)
    result = _run(tree, X[:4], tree.predict(X[:4]))
    assert result.stop_reason.tolist() == ["not_found"] * 4
    assert np.array_equal(result.adversarial.numpy().astype(np.float32), X[:4])


def test_many_rows_are_as_one_by_one(monkeypatch):
    """Rows taken in small pieces give what they give together."""
    import pncviz_substitute.tree as module

    tree, X, _ = _tree(6, depth=None)
    told = tree.predict(X)
    together = _run(tree, X, told).adversarial
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    assert torch.equal(_run(tree, X, told).adversarial, together)


def test_the_adapter_keeps_to_its_contract():
    """What pncviz asks of an adapter holds, names of classes included."""
    X, y = _data()
    tree = DecisionTreeClassifier(random_state=0).fit(X, np.array(["ant", "bee", "cow"])[y])
    check_adapter("decision_tree", tree, X=X[:9])
    layers = adapt(tree, input_shape=(3,)).activations(torch.from_numpy(X).double(), ["leaf"])
    assert (layers["leaf"].sum(dim=1) == 1).all()


def test_examples_of_samples():
    """The generator takes the attack by name for a tree, and every example fools it."""
    tree, X, _ = _tree(7, depth=None)
    generator = AdversarialExampleGenerator(FrozenEstimator(tree), attack="decision_tree")
    made = generator.fit_transform(X, tree.predict(X))
    assert made.dtype == np.float32
    assert generator.examples_["succeeded"].all()
    assert (tree.predict(made) != tree.predict(X)).all()


def test_other_models_are_refused():
    """No leaves, unknown layers and unknown words are told."""
    X, y = _data()
    other = LogisticRegression().fit(X, y)
    with pytest.raises(AdapterError, match="needs layers"):
        AdversarialExampleGenerator(
            FrozenEstimator(other), attack="decision_tree", adapter="probabilities"
        ).fit(X, y)
    with pytest.raises(ModelError, match="needs a decision tree, got a ProbabilityModel"):
        DecisionTree().run(
            ProbabilityModel(other, input_shape=(3,)),
            torch.zeros(1, 3, dtype=torch.float64),
            Target(codes=torch.tensor([0])),
            Stop(),
            [],
        )
    tree = _tree()[0]
    with pytest.raises(ModelError, match="the layer \"leaf\" alone, not 'root'"):
        TreeModel(tree, input_shape=(3,)).activations(torch.zeros(1, 3), ["root"])
    with pytest.raises(ParameterError, match="`norm` must be one of l0, l1, l2, linf, got 'l3'"):
        DecisionTree(norm="l3").validate()
    with pytest.raises(ParameterError, match="`search` must be one of nearest, sibling"):
        DecisionTree(search="far").validate()
