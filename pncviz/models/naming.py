"""What a model is made of, as one short name: two that answer differently have two names."""

from __future__ import annotations

from pickle import PicklingError
from typing import Any

import numpy as np
import torch
from joblib.hashing import NumpyHasher
from torch import Tensor, nn

from pncviz.exceptions import ModelError
from pncviz.specs import Model

__all__ = ["identity_of", "told_name"]

#: What every module has, and what says nothing of its answers.
_COMMON = frozenset(vars(nn.Module()))


def identity_of(model: Model) -> str:
    """Name a model by all that it is made of: estimator, weights, and plain attributes.

    Raises
    ------
    ModelError
        It holds what cannot be pickled, so it cannot be told from another.

    Examples
    --------
    >>> from pncviz.models import TorchModel
    >>> net = nn.Linear(4, 3)
    >>> one = identity_of(TorchModel(net, input_shape=(4,)))
    >>> _ = nn.init.zeros_(net.weight)
    >>> one == identity_of(TorchModel(net, input_shape=(4,)))
    False
    """
    whole = [type(model).__qualname__, str(model.dtype), getattr(model, "output", "")]
    whole.append(getattr(model, "estimator", None))
    module = getattr(model, "module", None)
    if isinstance(module, nn.Module):
        whole += [_parts(name, part) for name, part in module.named_modules()]
    try:
        return str(_Hasher("md5").hash(whole))
    except (PicklingError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{told_name(model)} cannot be told from others, as `memory` needs, since it cannot be "
            f"pickled; leave `memory` None: {error}"
        ) from error


class _Hasher(NumpyHasher):  # type: ignore[misc] # joblib is untyped
    """joblib's, but blind to the gaps between the fields of records.

    scikit-learn's trees are records; what lies in their gaps differs from process to process.
    """

    def save(self, obj: Any) -> None:
        """Write a record array field by field, anything else as joblib does."""
        if isinstance(obj, np.ndarray) and obj.dtype.names:
            obj = {name: np.ascontiguousarray(obj[name]) for name in obj.dtype.names}
        super().save(obj)


def told_name(model: Model) -> str:
    """Give the class of what a model stands for, as messages name it."""
    return type(getattr(model, "estimator", getattr(model, "module", model))).__name__


def _parts(name: str, module: nn.Module) -> tuple[Any, ...]:
    """Give a module's own state, without that of the modules within."""
    own = {key: _plain(value) for key, value in vars(module).items() if key not in _COMMON}
    tensors = {
        key: _plain(value)
        for held in (module._parameters, module._buffers)
        for key, value in held.items()
    }
    return name, type(module).__qualname__, own, tensors


def _plain(value: Any) -> Any:
    """Give arrays for tensors, whose pickles differ from run to run."""
    if isinstance(value, Tensor):
        return (
            _plain(value.detach().cpu().float())
            if value.dtype == torch.bfloat16
            else (value.detach().cpu().numpy())
        )
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
