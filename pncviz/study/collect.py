"""All cells of a study as one labelled tree: a node per dataset, a dimension per axis."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from pncviz.dataset import load
from pncviz.dataset.atomic import check_folder, interrupts_deferred, replacing
from pncviz.dataset.attributes import now
from pncviz.dataset.schema import plain_array
from pncviz.exceptions import ResultError, StudyError
from pncviz.study.folder import Folder
from pncviz.study.plan import Cell, Plan

__all__ = ["collect_study", "save_tree"]

#: Of contrasts, what stands beside the cells.
_CONTRAST = ("contrast", "positive_mean", "negative_mean", "n_positive", "n_negative")
#: Kept in the cells' files only: large, and made for inference, which is done.
_LEFT = ("pattern_block", "n_block", "null_similarity")


def collect_study(out: str | os.PathLike[str], study: str | None = None) -> xr.DataTree:
    """Put all finished cells of a study side by side.

    Parameters
    ----------
    out : path-like
        Folder of :func:`run_study`.
    study : str, optional
        Which, if the folder holds several.

    Returns
    -------
    xarray.DataTree
        A node per dataset. Its variables are those of a cell, with the dimensions
        (architecture, optimizer, trainer, strategy, attack, seed) in front, without ``trainer`` if
        all models were trained in the standard way: ``pattern``, ``confidence``, ``n_iter``,
        ``succeeded``, …, ``similarity`` (…, metric, label, contrast_label), ``own_similarity``,
        ``ceiling``, ``lower``, ``upper``, ``p``, ``q`` (…, metric, label), ``hits``,
        ``identification_p`` (…, metric), ``test_accuracy``, ``test_loss`` (…), and ``contrast``
        (label, …). ``state`` (…) says "done", "failed", "missing", or "none" for a combination
        that the study does not have. Where it is not "done" numbers are NaN and texts empty: never
        zero.

    Raises
    ------
    StudyError
        Not a study's folder, no such study, or nothing is finished.
    ResultError
        A file is damaged; ``pncviz study verify`` lists all.
    """
    folder = Folder(out).existing()
    plan = folder.plan(study)
    if not any(cell.key in folder.manifest.lines for cell in plan.cells):
        raise StudyError(f"Nothing of {plan.name} is finished in {out}; run it first.")
    nodes = {}
    for name in dict.fromkeys(cell.at["dataset"] for cell in plan.cells):
        nodes[name] = _node(folder, plan, name)
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = {"kind": "study", "study": plan.name, "created_at": now()}
    return tree


def _node(folder: Folder, plan: Plan, dataset: str) -> xr.Dataset:
    """Fill one dataset's grid, cell by cell."""
    cells = [cell for cell in plan.cells if cell.at["dataset"] == dataset]
    within = plan.axes[1:]
    axes = {axis: list(dict.fromkeys(cell.at[axis] for cell in cells)) for axis in within}
    shape = tuple(len(labels) for labels in axes.values())
    state = np.full(shape, "none", dtype="<U7")
    found: dict[str, xr.Variable] = {}
    coords: dict[str, xr.Variable] = {}
    for cell in cells:
        at = tuple(labels.index(cell.at[axis]) for axis, labels in axes.items())
        if cell.key not in folder.manifest.lines:
            state[at] = "failed" if folder.failure(cell.key) else "missing"
            continue
        state[at] = "done"
        result = _loaded(folder, cell)
        for name, variable in _variables(result):
            if name not in found:
                found[name] = _blank(variable, axes)
            _put(found[name], at, variable, f"{dataset}, {cell.key}: `{name}`")
        coords.update(_coords(result, coords))
    node = xr.Dataset(found, coords={**coords, **axes})
    node["state"] = (within, state, {"long_name": "what became of the cell", "units": "1"})
    for axis in within:
        node[axis].attrs = {"long_name": axis, "units": "1"}
    return _with_contrasts(node, folder, cells)


def _loaded(folder: Folder, cell: Cell) -> xr.Dataset:
    fault = folder.fault(folder.manifest.lines[cell.key])
    if fault:
        raise ResultError(f"{folder.root}: {fault}; run the study again to replace it.")
    return load(folder.path("cell", cell.key))


def _variables(result: xr.Dataset) -> Iterator[tuple[str, xr.Variable]]:
    """Give a cell's variables, and each pattern's similarity to its own class."""
    for name, array in result.data_vars.items():
        if name not in _LEFT:
            yield str(name), array.variable
    same = result["label"].values[:, None] == result["contrast_label"].values
    own = result["similarity"].where(xr.DataArray(same, dims=("label", "contrast_label")))
    told = own.sum("contrast_label", min_count=1).transpose(..., "metric", "label").variable
    attrs = {"long_name": "similarity to the own class's contrast", "units": "1"}
    yield "own_similarity", xr.Variable(told.dims, told.values, attrs)


def _blank(variable: xr.Variable, axes: dict[str, list[Any]]) -> xr.Variable:
    """Make room for a variable of every cell; nothing is NaN, or an empty text."""
    values = plain_array(variable.values)
    shape = (*(len(labels) for labels in axes.values()), *values.shape)
    if values.dtype.kind == "U":
        room: NDArray[Any] = np.full(shape, "", dtype=object)
    else:
        room = np.full(shape, np.nan, np.float32 if values.dtype == np.float32 else np.float64)
    return xr.Variable((*axes, *variable.dims), room, dict(variable.attrs))


def _put(room: xr.Variable, at: tuple[int, ...], variable: xr.Variable, what: str) -> None:
    if room.dims[len(at) :] != variable.dims or room.shape[len(at) :] != variable.shape:
        raise StudyError(
            f"{what} is {variable.dims} {variable.shape}, in other cells of the dataset "
            f"{room.dims[len(at) :]} {room.shape[len(at) :]}; put them into studies of their own."
        )
    room.values[at] = plain_array(variable.values)


def _coords(result: xr.Dataset, known: dict[str, xr.Variable]) -> dict[str, xr.Variable]:
    shown = (array for name, array in result.data_vars.items() if name not in _LEFT)
    kept = {dim for array in shown for dim in array.dims}
    found = {}
    for name, array in result.coords.items():
        if set(array.dims) <= kept:
            if name in known and not array.variable.equals(known[str(name)]):
                raise StudyError(f"Cells differ in `{name}`; put them into studies of their own.")
            found[str(name)] = array.variable
    return found


def _with_contrasts(node: xr.Dataset, folder: Folder, cells: list[Cell]) -> xr.Dataset:
    """Add the contrasts that all cells were compared with, if they are the same."""
    key, *others = {cell.needs["contrast"] for cell in cells}
    if key in folder.manifest.lines and not others:
        contrasts = load(folder.path("contrast", key))
        for name in _CONTRAST:
            node[name] = contrasts[name].variable
    # Objects would not fit into a file.
    text = {name: array.astype(str) for name, array in node.items() if array.dtype.kind == "O"}
    return node.assign(text)


def save_tree(tree: xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a collected study to one NetCDF-4 file with a group per dataset, whole or not at all.

    Raises
    ------
    ResultError
        The path does not end in ``.nc``, or cannot be written.
    """
    target = Path(path)
    if target.suffix != ".nc":
        raise ResultError(f"{target} must end in .nc.")
    check_folder(Path(os.path.realpath(target)))
    encoding = {
        node.path: {
            name: {"dtype": "S1"} if array.dtype.kind == "U" else {"zlib": True, "fletcher32": True}
            for name, array in node.variables.items()
        }
        for node in tree.subtree
    }
    with interrupts_deferred(), replacing(target) as temporary:
        tree.to_netcdf(temporary, engine="netcdf4", encoding=encoding)
    return target
