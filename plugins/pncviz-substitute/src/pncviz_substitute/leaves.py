"""A decision tree as a list of boxes, one for each leaf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["Leaves"]

_INF = np.float32(np.inf)

#: A node, the path to it, and the bounds that it has by then.
_Branch: TypeAlias = tuple[int, list[int], dict[int, tuple[np.float32, np.float32]]]


@dataclass(frozen=True)
class Leaves:
    """The boxes of a fitted tree; each bounds only the features that its path asks about.

    Attributes
    ----------
    node : int64 ndarray of shape (n_leaves,)
        Number of each leaf in the tree.
    code : int64 ndarray of shape (n_leaves,)
        Class that it votes for.
    feature, low, high : ndarrays of shape (n_bounds,)
        Bounds of one leaf after another: the least and the largest float32 that its path allows.
    first : int64 ndarray of shape (n_leaves,)
        Where the bounds of each leaf begin.
    path : sparse int64 array of shape (n_leaves, n_nodes)
        1 for the nodes from the root to each leaf.
    """

    node: NDArray[np.int64]
    code: NDArray[np.int64]
    feature: NDArray[np.int64]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    first: NDArray[np.int64]
    path: Any

    @classmethod
    def of(cls, tree: Any) -> Leaves:
        """Read a scikit-learn ``tree_``.

        Examples
        --------
        >>> from sklearn.tree import DecisionTreeClassifier
        >>> X, y = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([0, 1])
        >>> leaves = Leaves.of(DecisionTreeClassifier().fit(X, y).tree_)
        >>> leaves.code, leaves.high[0], leaves.low[1]
        (array([0, 1]), np.float32(0.5), np.float32(0.50000006))
        """
        rows: list[_Branch] = []
        stack: list[_Branch] = [(0, [], {})]
        while stack:
            node, path, box = stack.pop()
            here = [*path, node]
            if tree.children_left[node] < 0:
                rows.append((node, here, box))
                continue
            feature, (below, above) = int(tree.feature[node]), _sides(tree.threshold[node])
            low, high = box.get(feature, (-_INF, _INF))
            left = box | {feature: (low, min(high, below))}
            right = box | {feature: (max(low, above), high)}
            stack.append((tree.children_right[node], here, right))
            stack.append((tree.children_left[node], here, left))
        sizes = [len(box) for _, _, box in rows]
        bounds = [(f, *box[f]) for _, _, box in rows for f in box]
        return cls(
            node=np.array([node for node, _, _ in rows]),
            code=np.array([int(tree.value[node][0].argmax()) for node, _, _ in rows]),
            feature=np.array([f for f, _, _ in bounds], dtype=np.int64),
            low=np.array([low for _, low, _ in bounds], dtype=np.float32),
            high=np.array([high for _, _, high in bounds], dtype=np.float32),
            first=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
            path=_indicator([path for _, path, _ in rows], tree.node_count),
        )

    def gaps(self, X: NDArray[np.float32]) -> NDArray[np.float64]:
        """Say how far each sample is from each bound: (n, n_bounds), 0 where it is within."""
        x = X[:, self.feature].astype(np.float64)
        return np.maximum(np.maximum(self.low - x, x - self.high), 0.0)

    def distances(self, X: NDArray[np.float32], norm: str) -> NDArray[np.float64]:
        """Give the least change of each sample that brings it into each leaf: (n, n_leaves)."""
        gaps = self.gaps(X)
        if not gaps.shape[1]:
            return np.zeros((len(X), len(self.node)))
        if norm == "l0":
            return np.add.reduceat((gaps > 0).astype(np.float64), self.first, axis=1)
        if norm == "linf":
            return np.maximum.reduceat(gaps, self.first, axis=1)
        if norm == "l1":
            return np.add.reduceat(gaps, self.first, axis=1)
        found: NDArray[np.float64] = np.sqrt(np.add.reduceat(gaps**2, self.first, axis=1))
        return found

    def into(self, X: NDArray[np.float32], leaf: NDArray[np.int64]) -> NDArray[np.float32]:
        """Bring each sample into a leaf, by the least change of every value."""
        moved, ends = X.copy(), np.append(self.first, len(self.feature))
        for row, place in enumerate(leaf):
            part = slice(ends[place], ends[place + 1])
            at = self.feature[part]
            moved[row, at] = moved[row, at].clip(self.low[part], self.high[part])
        return moved

    def allowed(self, clip: tuple[float, float] | None) -> NDArray[np.bool_]:
        """Say which leaves have inputs within bounds."""
        if clip is None or not len(self.feature):
            return np.ones(len(self.node), dtype=bool)
        inside = (self.low <= np.float32(clip[1])) & (self.high >= np.float32(clip[0]))
        found: NDArray[np.bool_] = np.logical_and.reduceat(inside, self.first)
        return found

    def shared(self, leaf: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the nodes that the path to each of n leaves has in common with all paths."""
        common = self.path[leaf] @ self.path.T
        found: NDArray[np.int64] = common.toarray()
        return found


def _indicator(paths: list[list[int]], n_nodes: int) -> Any:
    ends = np.cumsum([0, *map(len, paths)])
    places = np.concatenate([np.array(path) for path in paths])
    ones = np.ones(len(places), dtype=np.int64)
    return csr_array((ones, places, ends), shape=(len(paths), n_nodes))


def _sides(threshold: float) -> tuple[np.float32, np.float32]:
    """Give the largest float32 that goes left, and the least that goes right."""
    below = np.float32(threshold)
    if float(below) > threshold:
        below = np.nextafter(below, -_INF)
    return below, np.nextafter(below, _INF)
