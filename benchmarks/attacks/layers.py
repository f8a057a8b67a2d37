"""Patterns and contrasts, layer by layer: LOTS towards class means in LeNet."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from sklearn.frozen import FrozenEstimator

from benchmarks.attacks.lots_table import LAYERS
from benchmarks.attacks.nets import NETS, trained
from benchmarks.attacks.sizes import Size, load_data
from benchmarks.page_parts import Verdict, number, table
from benchmarks.store import Store
from pncviz import (
    LayerActivations,
    at_layer,
    compare,
    extract_patterns,
    load,
    make_attack,
    make_strategy,
    own_class,
    positive_negative_contrast,
    save,
)

__all__ = ["WAYS", "compute", "patterns_of", "shown"]

#: What LOTS is asked for: towards the class's mean at a layer, or along the contrast there.
WAYS = {"class mean": "class_mean", "contrast": "contrast"}
#: Training images that class means of representations are taken of.
ENOUGH = 10_000
#: Patterns that the paper's own attack makes, for comparison.
OWN = "gradient descent"


def compute(store: Store, size: Size) -> dict[str, Any]:
    """Give, by way and layer: similarity in pixels, hits, and similarity at the layers."""
    config = {"net": NETS["lenet"], "layers": LAYERS}
    config |= size.config("dataset", "epochs", "n_layer_examples")
    found = {}
    for place, (name, attack) in enumerate(_attacks().items()):
        what = config | {"attack": name, "place": place}
        one = store.json(
            f"layers-{place}", what, lambda a=attack, n=place: _of_attack(store, size, a, n)
        )
        inner = store.json(f"inner-{place}", what, lambda o=one: _at_layers(store, size, o["file"]))
        found[name] = one | {"at_layers": inner}
    return found


def _of_attack(store: Store, size: Size, attack: Any, place: int) -> dict[str, Any]:
    data, net = load_data(size), trained(store, "lenet", size)
    X, y = _images(data), data.y
    contrasts = positive_negative_contrast(X, y)
    save(contrasts, store.root / "layer-contrasts.nc")
    given: dict[str, Any] = {"image_shape": data.image_shape, "attack": attack}
    given |= {"X": X[:ENOUGH], "y": y[:ENOUGH]}
    zero = extract_patterns(net, strategy="zero", random_state=0, **given)
    save(zero, store.root / f"layer-patterns-{place}.nc")
    noise = make_strategy("aai", n_examples=size.n_layer_examples, scale=0.3)
    aai = extract_patterns(net, strategy=noise, n_blocks=10, random_state=0, **given)
    return {
        "file": f"layer-patterns-{place}.nc",
        "zero": _similarity(zero, contrasts),
        "aai": _similarity(aai, contrasts),
    }


def _attacks() -> dict[str, Any]:
    # A change of one length everywhere: the smallest would leave alone what zeros are called.
    made: dict[str, Any] = {OWN: "gradient_descent"}
    for way, target in WAYS.items():
        for layer in LAYERS:
            made[f"{layer}, {way}"] = make_attack(
                "lots", layer=layer, target=target, search="linf", epsilon=1.0
            )
    return made


def _images(data: Any) -> Any:
    return data.X.reshape(-1, *data.image_shape)


def _similarity(patterns: xr.Dataset, contrasts: xr.Dataset) -> dict[str, Any]:
    result = compare(patterns, contrasts, random_state=0)
    own = own_class(result).isel(metric=0)
    return {
        "r": float(own["similarity"].mean()),
        "lower": float(own["lower"].mean()),
        "upper": float(own["upper"].mean()),
        "hits": int(result["hits"].isel(metric=0)),
        "p": float(result["identification_p"].isel(metric=0)),
    }


def _at_layers(store: Store, size: Size, file: str) -> dict[str, Any]:
    """Give how alike patterns and contrasts are as each layer represents them."""
    net, patterns = trained(store, "lenet", size), load(store.root / file)
    return {
        layer: _similarity(at_layer(net, patterns, layer), _contrasts_at(store, size, net, layer))
        for layer in LAYERS
    }


def _contrasts_at(store: Store, size: Size, net: Any, layer: str) -> xr.Dataset:
    """Give the contrasts of a layer's representations, computed once."""
    config = {"net": NETS["lenet"], "n": ENOUGH, **size.config("dataset", "epochs")}
    file = f"contrasts-{layer}.nc"

    def contrast() -> dict[str, str]:
        data = load_data(size)
        X, y = _images(data)[:ENOUGH], data.y[:ENOUGH]
        maker = LayerActivations(FrozenEstimator(net), layer=layer).fit(X)
        shape = maker.layer_shape_ if len(maker.layer_shape_) == 3 else None
        found = positive_negative_contrast(
            maker.transform(X), y, normalize=None, image_shape=shape, n_blocks=0
        )
        save(found, store.root / file)
        return {"file": file}

    store.json(f"contrasts-{layer}", config, contrast)
    return load(store.root / file)


def patterns_of(store: Store, found: dict[str, Any]) -> dict[str, xr.Dataset]:
    """Read the patterns back, by name."""
    return {name: load(store.root / one["file"]) for name, one in found.items()}


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """Give the tables and the verdict."""
    rows = [[name, *_cells(one["zero"]), *_cells(one["aai"])] for name, one in found.items()]
    head = ("LOTS at, towards", "zero: r", "hits", "noise (AAI): r", "hits")
    inner = [
        [name, *(f"{number(one['at_layers'][layer]['r'])}" for layer in LAYERS)]
        for name, one in found.items()
    ]
    return {
        "table": table(head, rows),
        "told": _told(found[OWN]),
        "inner": table(("pattern of", *(f"at {layer}" for layer in LAYERS)), inner),
        "verdicts": [_verdict(found)],
    }


def _told(own: dict[str, Any]) -> str:
    """Say how the patterns of the paper's own attack fare from layer to layer."""
    r = {layer: own["at_layers"][layer]["r"] for layer in LAYERS}
    values = list(r.values())
    way = "rises" if values == sorted(values) else "changes"
    steps = ", ".join(f"{number(value)} at {layer}" for layer, value in r.items())
    return (
        f"What gradient descent makes of zeros has r {number(own['zero']['r'])} with the contrasts "
        f"in pixels; as the layers represent both, r {way}: {steps}."
    )


def _cells(one: dict[str, Any]) -> list[str]:
    interval = ""
    if not np.isnan(one["lower"]):
        interval = f" ({number(one['lower'])} to {number(one['upper'])})"
    return [f"**{number(one['r'])}**{interval}", str(one["hits"])]


def _verdict(found: dict[str, Any]) -> Verdict:
    r = {layer: found[f"{layer}, class mean"]["zero"]["r"] for layer in LAYERS}
    falls = all(r[a] >= r[b] for a, b in pairwise(LAYERS))
    first = r[LAYERS[0]] > r[LAYERS[-1]]
    told = ", ".join(f"{layer} {number(value)}" for layer, value in r.items())
    return Verdict.of(
        "Lower layers keep the structure of the images, upper ones lose it (their Figures 1 and 3)",
        falls,
        first,
        f"r of patterns with contrasts: {told}",
    )
