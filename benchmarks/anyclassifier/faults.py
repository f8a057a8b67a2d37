"""What becomes of classifiers that are slow, raise, give NaN, or have no probabilities."""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from benchmarks.anyclassifier.sizes import Size
from benchmarks.page_parts import Verdict, table
from benchmarks.store import Store
from pncviz import extract_patterns, load_dataset, make_strategy
from pncviz.exceptions import PatternWarning, PncvizError

__all__ = ["compute", "section", "verdicts"]


class _Around:
    """A classifier around another, with a fault."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.rows = inner, 0
        self.classes_, self.n_features_in_ = inner.classes_, inner.n_features_in_

    def predict(self, X: NDArray[Any]) -> NDArray[Any]:
        self.rows += len(X)
        answer: NDArray[Any] = self.inner.predict(X)
        return answer


class _Slow(_Around):
    """Takes a hundredth of a second for a batch, and is cut off after so many inputs."""

    left = 10**9

    def __getstate__(self) -> dict[str, Any]:
        # What it was asked, and when it is cut off, is no part of what it is.
        return self.__dict__ | {"rows": 0, "left": 0}

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:
        time.sleep(0.01)
        if self.rows >= self.left:
            raise ConnectionError("the service went away")
        self.rows += len(X)
        answer: NDArray[Any] = self.inner.predict_proba(X)
        return answer


class _Raising(_Around):
    """Takes no negative pixels."""

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:
        if X.min() < 0:
            raise ValueError("a pixel is negative")
        answer: NDArray[Any] = self.inner.predict_proba(X)
        return answer


class _NaN(_Around):
    """Gives NaN for what is far from its data."""

    def predict_proba(self, X: NDArray[Any]) -> NDArray[Any]:
        answer: NDArray[Any] = self.inner.predict_proba(X)
        return np.where(np.abs(X).max(axis=1, keepdims=True) > 2, np.nan, answer)


def compute(store: Store, size: Size) -> dict[str, Any]:  # noqa: ARG001 # as every section
    """Try each; nothing here takes long, so nothing is kept."""
    data = load_dataset("digits")
    X = data.X.reshape(len(data.X), -1)
    inner = LogisticRegression(max_iter=500).fit(X, data.y)
    return {
        "raises": _told(_Raising(inner), attack="nes"),
        "NaN": _told(_NaN(inner), attack="nes"),
        "labels only": _told(_Around(inner), attack="nes"),
        "labels only, asked for labels": _told(_Around(inner), strategy=_fields()),
        "slow": _slow(inner),
    }


def _fields() -> Any:
    return make_strategy("classification_image", n_fields=500)


def _extract(model: Any, **params: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PatternWarning)
        params = {"image_shape": (8, 8), "random_state": 0, "max_iter": 20} | params
        return extract_patterns(model, input_shape=(64,), **params)


def _told(model: Any, **params: Any) -> str:
    try:
        found = _extract(model, **params)
    except PncvizError as error:
        return f"{type(error).__name__}: {error}"
    return f"{found.sizes['label']} patterns by {found.attrs['n_queries']} questions"


def _slow(inner: Any) -> dict[str, Any]:
    """Cut a slow classifier off in the middle, and go on with the answers that were kept."""
    with tempfile.TemporaryDirectory() as memory:
        params = {"attack": "nes", "max_queries": 500, "batch_size": 50, "memory": memory}
        whole = _Slow(inner)
        patterns = _extract(whole, **params | {"memory": None})
        cut = _Slow(inner)
        cut.left = whole.rows // 2
        message = _told(cut, **params)
        rest = _Slow(inner)
        again = _extract(rest, **params)
        return {
            "message": message,
            "asked": [whole.rows, cut.rows, rest.rows],
            "limit": params["max_queries"],
            "most": int(patterns["n_queries"].max()),
            "same": bool(np.array_equal(again["pattern"], patterns["pattern"])),
        }


def section(result: dict[str, Any], folder: Path) -> str:  # noqa: ARG001 # draws nothing
    """Write what was said."""
    slow = result["slow"]
    rows = [[case, f"`{told}`"] for case, told in result.items() if case != "slow"]
    rows.append(["slow, and cut off half-way", f"`{slow['message']}`"])
    whole, cut, rest = slow["asked"]
    return (
        f"{table(('classifier', 'what is said'), rows)}\n\n"
        f"The slow one was asked about {whole} inputs for ten patterns with `max_queries="
        f"{slow['limit']}` each (at most {slow['most']} were). Cut off after {cut}, and started "
        f"again with `memory=` a folder, it was asked about {rest} more, and gave "
        f"{'the same bits' if slow['same'] else 'other bits'}."
    )


def verdicts(result: dict[str, Any]) -> list[Verdict]:  # noqa: ARG001 # as every section
    """Judge nothing: no paper claims anything here."""
    return []
