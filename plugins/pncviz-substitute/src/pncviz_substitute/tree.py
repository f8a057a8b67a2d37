"""Decision trees: a model that shows its leaves, and the attack that walks to another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pncviz import Attack, AttackResult, Model, Stop, Target
from pncviz.exceptions import ModelError, ParameterError
from pncviz.models import ProbabilityModel
from pncviz.synthesis import check_clip, judged
from pncviz_substitute.leaves import Leaves

__all__ = ["DecisionTree", "TreeModel", "adapt_tree"]

NORMS = ("l0", "l1", "l2", "linf")
SEARCHES = ("nearest", "sibling")
#: Numbers held at once where samples are compared with all bounds of a tree.
_AT_ONCE = 4_000_000


class TreeModel(ProbabilityModel):
    """A fitted decision tree whose leaves can be seen: the layer "leaf".

    Parameters
    ----------
    estimator : fitted DecisionTreeClassifier
    input_shape : tuple of int
    batch_size : int, optional

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X, y = np.array([[0.0], [1.0]]), np.array(["cat", "owl"])
    >>> model = TreeModel(DecisionTreeClassifier().fit(X, y), input_shape=(1,))
    >>> model.activations(model.tensor(X), ["leaf"])["leaf"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __init__(
        self, estimator: Any, *, input_shape: Sequence[int], batch_size: int | None = None
    ) -> None:
        super().__init__(estimator, input_shape=input_shape, batch_size=batch_size)
        self.leaves = Leaves.of(estimator.tree_)
        self.capabilities = self.capabilities | {"layers"}
        del self.problems["layers"]

    def activations(self, x: Tensor, layers: Sequence[str]) -> Mapping[str, Tensor]:
        """Say which leaf each input (n, ...) is in: 0 and 1, of shape (n, n_leaves)."""
        if unknown := [name for name in layers if name != "leaf"]:
            raise ModelError(f'A decision tree has the layer "leaf" alone, not {unknown[0]!r}.')
        node = np.asarray(self._ask("apply", x))
        return {"leaf": torch.from_numpy((node[:, None] == self.leaves.node).astype(np.float64))}


def adapt_tree(
    estimator: Any,
    *,
    input_shape: Sequence[int],
    output: str = "auto",  # noqa: ARG001 # part of the contract; a tree gives probabilities
) -> TreeModel:
    """Make a model of a fitted decision tree, without gradients."""
    check_is_fitted(estimator)
    return TreeModel(estimator, input_shape=input_shape)


class DecisionTree(Attack):
    """The least change that brings an input into a leaf of another class.

    A leaf is a box: its path bounds some features, and leaves the others free. So the least change
    that reaches it is known exactly, and all that is to be searched for is the leaf.

    Parameters
    ----------
    search : {"nearest", "sibling"}, default="nearest"
        "nearest" compares all leaves of another class (or of the target). "sibling" climbs from
        the input's own leaf and takes the first ancestor below which there is such a leaf, as
        papernot2016transferability does; among the leaves below it, the nearest.
    norm : {"l0", "l1", "l2", "linf"}, default="l2"
        What "nearest" means: features changed, or the length of the change in units of the input.
        Ties go to the shorter change in L2.
    clip : (low, high), optional
        Bounds of the input; leaves outside of them are passed over.

    Notes
    -----
    It needs a model that shows its leaves, which the adapter "decision_tree" of this plugin makes
    of a :class:`~sklearn.tree.DecisionTreeClassifier`. Values are float32, as the tree compares
    them. ``stop_reason`` is "changed", or "not_found" where no leaf will do; of the stop rule,
    loss and confidence are not asked.

    References
    ----------
    papernot2016transferability, section on decision trees.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> X, y = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([0, 1])
    >>> model = TreeModel(DecisionTreeClassifier().fit(X, y), input_shape=(2,))
    >>> target = Target(codes=torch.tensor([0, 1]), targeted=False)
    >>> result = DecisionTree().run(model, model.tensor(X), target, Stop(), [])
    >>> model.labels(result.adversarial), result.stop_reason
    (tensor([1, 0]), array(['changed', 'changed'], dtype='<U9'))
    """

    needs = frozenset({"layers", "labels"})

    def __init__(
        self, search: str = "nearest", norm: str = "l2", clip: tuple[float, float] | None = None
    ) -> None:
        self.search = search
        self.norm = norm
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter."""
        for name, choices in (("search", SEARCHES), ("norm", NORMS)):
            value = getattr(self, name)
            if value not in choices:
                raise ParameterError(
                    f"`{name}` must be one of {', '.join(choices)}, got {value!r:.80}."
                )
        check_clip(self.clip)

    def run(
        self,
        model: Model,
        start: Tensor,
        target: Target,
        stop: Stop,  # noqa: ARG002 # one step, whatever it says
        rngs: Sequence[np.random.Generator],  # noqa: ARG002 # nothing random here
    ) -> AttackResult:
        """Walk each row to its leaf; with ``clip``, the start is clipped first."""
        leaves = getattr(model, "leaves", None)
        if not isinstance(leaves, Leaves):
            raise ModelError(
                f"The attack DecisionTree needs a decision tree, got a {type(model).__name__}."
            )
        if self.clip is not None:
            start = start.clamp(*self.clip)
        X = start.flatten(1).cpu().numpy().astype(np.float32)
        codes = target.codes.cpu().numpy()
        wanted = leaves.code[None] == codes[:, None]
        wanted = (wanted if target.targeted else ~wanted) & leaves.allowed(self.clip)
        most = max(1, _AT_ONCE // max(1, len(leaves.feature)))
        parts = [slice(i, i + most) for i in range(0, len(X), most)]
        chosen = np.concatenate([self._choose(leaves, X[part], wanted[part]) for part in parts])
        found = chosen >= 0
        moved = X.copy()
        moved[found] = leaves.into(X[found], chosen[found])
        # Float64 inputs keep their values where nothing was to be changed.
        changed = torch.from_numpy(moved != X).reshape(start.shape)
        new = torch.where(changed, torch.from_numpy(moved).to(start).reshape(start.shape), start)
        return judged(
            model,
            new,
            target,
            n_iter=changed.flatten(1).any(dim=1),
            stop_reason=np.where(found, "changed", "not_found"),
        )

    def _choose(
        self, leaves: Leaves, X: NDArray[np.float32], wanted: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Give the place of each row's leaf, -1 where there is none."""
        if self.search == "sibling":
            wanted = self._nearby(leaves, X, wanted)
        length = np.where(wanted, leaves.distances(X, "l2"), np.inf)
        if self.norm != "l2":
            first = np.where(wanted, leaves.distances(X, self.norm), np.inf)
            length = np.where(first <= first.min(axis=1, keepdims=True), length, np.inf)
        chosen = length.argmin(axis=1)
        return np.where(np.isfinite(length.min(axis=1)), chosen, -1)

    def _nearby(
        self, leaves: Leaves, X: NDArray[np.float32], wanted: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Keep of the wanted leaves those below the nearest ancestor that has any."""
        own = leaves.distances(X, "l0").argmin(axis=1)
        depth = np.where(wanted, leaves.shared(own), -1)
        found: NDArray[np.bool_] = wanted & (depth == depth.max(axis=1, keepdims=True))
        return found
