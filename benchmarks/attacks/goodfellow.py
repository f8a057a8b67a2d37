"""Fast gradient signs, adversarial training and rubbish, beside Goodfellow et al. (2015)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator

from benchmarks.attacks.nets import NETS, trained
from benchmarks.attacks.sizes import Size, load_data
from benchmarks.page_parts import Verdict, share, table
from benchmarks.store import Store
from pncviz import AdversarialExampleGenerator, make_attack, rubbish_error
from pncviz.inference import proportion_interval

__all__ = ["compute", "shown"]

EPSILON = 0.25
MODELS = ("softmax", "rbf", "maxout", "maxout_fgsm", "fc", "cnn", "lenet")
#: Error under FGSM of .25, and mean confidence on what is wrong; from the papers' text.
PAPER = {"softmax": (0.999, 0.793), "maxout": (0.894, 0.976), "maxout_fgsm": (0.179, None)}


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Give, by model: errors, confidences and rubbish."""
    config = {"epsilon": EPSILON, "models": {name: NETS[name] for name in MODELS}}
    config |= size.config("dataset", "n_test", "n_noise", "epochs")
    return store.json(  # type: ignore[no-any-return]
        "goodfellow", config, lambda: {name: _of_model(store, size, name) for name in MODELS}
    )


def _of_model(store: Store, size: Size, name: str) -> dict[str, Any]:
    data, net = load_data(size), trained(store, name, size)
    X, y = data.X_test[: size.n_test], data.y_test[: size.n_test]
    X = X.reshape(-1, *(data.image_shape or ()))
    maker = AdversarialExampleGenerator(
        FrozenEstimator(net), attack=make_attack("fgsm", epsilon=EPSILON, clip=(0.0, 1.0))
    ).fit(X, y)
    clean = net.predict(X) != y
    adversarial = maker.generate(X, y)
    shares = net.predict_proba(adversarial)
    wrong = shares.argmax(axis=1) != y
    rubbish = rubbish_error(net, input_shape=X.shape[1:], n=size.n_noise, random_state=0)
    return {
        "clean_error": float(clean.mean()),
        "error": float(wrong.mean()),
        "interval": [float(end) for end in proportion_interval(int(wrong.sum()), len(y))],
        "confidence": float(shares.max(axis=1)[wrong].mean()) if wrong.any() else None,
        "rubbish_error": float(rubbish["error"]),
        "rubbish_confidence": float(np.nan_to_num(rubbish["mean_confidence"])),
    }


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """Give the table and the verdicts."""
    rows = []
    for name, one in found.items():
        theirs = PAPER.get(name, (None, None))
        low, high = one["interval"]
        rows.append(
            [
                NETS[name].title,
                share(one["clean_error"], 2),
                f"**{share(one['error'], 1)}** ({share(low, 1)} to {share(high, 1)})",
                share(theirs[0], 1),
                share(one["confidence"], 1),
                share(theirs[1], 1),
                share(one["rubbish_error"], 1),
                share(one["rubbish_confidence"], 1),
            ]
        )
    head = (
        *("model", "clean error", "FGSM error (95 %)", "theirs", "confidence on errors", "theirs"),
        *("rubbish error", "its confidence"),
    )
    return {"table": table(head, rows), "verdicts": _verdicts(found)}


def _verdicts(found: dict[str, Any]) -> list[Verdict]:
    softmax, maxout, trained_maxout = (found[n] for n in ("softmax", "maxout", "maxout_fgsm"))
    close = abs(softmax["error"] - 0.999) < 0.01
    told = f"error {share(softmax['error'], 1)}, confidence {share(softmax['confidence'], 1)}"
    near = softmax["confidence"] is not None and abs(softmax["confidence"] - 0.793) < 0.1
    less = trained_maxout["error"] < maxout["error"] / 2
    return [
        Verdict.of(
            "A shallow softmax errs on nearly every image, confidently (99.9 %, .79)",
            close and near,
            close or softmax["error"] > 0.9,
            told,
        ),
        Verdict.of(
            "A maxout net errs on most images (89.4 %)",
            abs(maxout["error"] - 0.894) < 0.1,
            maxout["error"] > 0.5,
            f"error {share(maxout['error'], 1)}",
        ),
        Verdict.of(
            "Training on FGSM examples lowers that to 17.9 %",
            abs(trained_maxout["error"] - 0.179) < 0.1,
            less,
            f"from {share(maxout['error'], 1)} to {share(trained_maxout['error'], 1)}",
        ),
    ]
