"""The representation of inputs at a layer, and the way back to the input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pncviz import Model
from pncviz.exceptions import ModelError

__all__ = ["backpropagated", "represented"]


def represented(model: Model, x: Tensor, layer: str | None) -> Tensor:
    r"""Give the outputs of a layer as rows, differentiable: equation 2.

    Parameters
    ----------
    model : Model
    x : tensor of shape (n, \*input_shape)
    layer : str or None
        None for the logits.

    Returns
    -------
    tensor of shape (n, d)

    Raises
    ------
    ModelError
        No such layer, or one that does not keep the inputs apart.
    """
    values = model.logits(x) if layer is None else model.activations(x, [layer])[layer]
    if values.ndim == 0 or len(values) != len(x):
        raise ModelError(
            f'Layer "{layer}" gives {tuple(values.shape)} for {len(x)} inputs, which is not one '
            "representation for each; choose another."
        )
    return values.reshape(len(x), -1)


def backpropagated(
    model: Model, x: Tensor, layer: str | None, difference: Callable[[Tensor], Tensor]
) -> Tensor:
    r"""Take a difference of representations back to the input: B_l in equations 3 and 4.

    Parameters
    ----------
    model : Model
    x : tensor of shape (n, \*input_shape)
        Where the network is run, and where its slope is taken.
    layer : str or None
    difference : callable
        From the representation at x, (n, d) and detached, to the difference, of the same shape.

    Returns
    -------
    tensor of shape (n, \*input_shape)
        The gradient of <f_l(x), difference> with respect to x; 0 for a row whose gradient is not
        finite.

    Raises
    ------
    ModelError
        No gradient leads from the layer to the input.

    Examples
    --------
    >>> from pncviz.models import TorchModel
    >>> net = torch.nn.Linear(2, 2, bias=False)
    >>> net.weight.data = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> model = TorchModel(net, input_shape=(2,))
    >>> with model.session():
    ...     backpropagated(model, torch.zeros(1, 2), None, lambda r: torch.tensor([[1.0, 10.0]]))
    tensor([[31., 42.]])
    """
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        values = represented(model, x, layer)
        if not values.requires_grad:
            raise ModelError(f'No gradient leads from the layer "{layer}" to the input.')
        # Of the sum over rows, so that no row depends on the others.
        (slope,) = torch.autograd.grad((values * difference(values.detach())).sum(), x)
    finite = torch.isfinite(slope.flatten(1)).all(dim=1)
    return torch.where(finite.reshape(-1, *[1] * (x.ndim - 1)), slope, torch.zeros_like(slope))
