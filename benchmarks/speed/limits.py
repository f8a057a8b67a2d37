"""What the arithmetic allows: the bare products of the iterations, and nothing else.

``bare(module, n, n_iter, form, input_shape)`` gives a callable that does, ``n_iter`` times, only
the matrix products and convolutions of one forward pass and of one backward pass to the input, on
random numbers: no biases, no pointwise work, no pooling, no loss, no autograd. The matrix products
write into buffers made before. Convolutions are in ``channels_last``, or in another
``memory_format``: with one channel in, ``torch.contiguous_format`` can be the faster.

The form "first_layer" is for a module that begins with a linear layer of h outputs: the descent
then runs on that layer's outputs, and its two products, (n, d)·(d, h) and (n, h)·(h, d), become one
of (n, h)·(h, h). The two products with d that it needs once, before and after, are left out.

On a GPU the callable only queues the work: whoever times it waits for the device.
"""

import copy
import math
from functools import partial

import torch

FORMS = ("direct", "first_layer")


def bare(module, n, n_iter, form, input_shape, memory_format=torch.channels_last):
    """Give a callable that does only the products of ``n_iter`` iterations on ``n`` rows."""
    if form not in FORMS:
        raise ValueError(f"`form` must be one of {FORMS}, got {form!r}.")
    calls = _calls(module, input_shape)
    with torch.inference_mode():
        pairs = [
            _products(layer, (n * rows, *shape), memory_format) for layer, rows, shape in calls
        ]
        last = []
        if form == "first_layer":
            first, rows, _ = calls[0]
            if not isinstance(first, torch.nn.Linear) or rows != 1:
                raise ValueError("The first-layer form needs a module that begins with Linear.")
            pairs, last = pairs[1:], [_gram_product(first, n)]
    forward = [product for product, _ in pairs]
    backward = [product for _, product in reversed(pairs)]
    iteration = [*forward, *backward, *last]

    def run():
        with torch.inference_mode():
            for _ in range(n_iter):
                for product in iteration:
                    product()

    return run


def _calls(module, input_shape):
    """Every use of a layer in one forward pass: (layer, rows per sample, shape of a row)."""
    module = copy.deepcopy(module).eval()
    calls = []

    def note(layer, inputs, _):
        shape = tuple(inputs[0].shape)
        if isinstance(layer, torch.nn.Linear):  # whatever stands before the features is rows
            calls.append((layer, math.prod(shape[:-1]), shape[-1:]))
        else:
            calls.append((layer, 1, shape[1:]))

    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d):
            layer.register_forward_hook(note)
        elif any(p.ndim > 1 for p in layer.parameters(recurse=False)):
            raise ValueError(f"Only Linear and Conv2d are counted, got {type(layer)} ({name!r}).")
    with torch.inference_mode():
        module(torch.zeros(1, *input_shape, device=next(module.parameters()).device))
    if not calls:
        raise ValueError("The module has neither Linear nor Conv2d layers.")
    return calls


def _products(layer, shape, memory_format):
    """One layer's two products, forward and backward to its input of this shape."""
    if isinstance(layer, torch.nn.Linear):
        return _matrix_products(layer, shape[0])
    weight = torch.randn_like(layer.weight).contiguous(memory_format=memory_format)
    x = weight.new_empty(shape).normal_().contiguous(memory_format=memory_format)
    how = (layer.stride, _padding(layer), layer.dilation, False, [0, 0], layer.groups)
    forward = partial(torch.ops.aten.convolution.default, x, weight, None, *how)
    gradient = torch.randn_like(forward()).contiguous(memory_format=memory_format)
    to_input = [True, False, False]  # not to the weights, not to the bias
    backward = torch.ops.aten.convolution_backward.default
    return forward, partial(backward, gradient, x, weight, None, *how, to_input)


def _matrix_products(layer, n):
    weight = torch.randn_like(layer.weight)
    turned = weight.t().contiguous()  # row by row in both products: the faster way, made once
    x, y = weight.new_empty(n, layer.in_features), weight.new_empty(n, layer.out_features)
    x_out, y_out = torch.empty_like(x), torch.empty_like(y)
    x.normal_(), y.normal_()
    return partial(torch.mm, x, turned, out=y_out), partial(torch.mm, y, weight, out=x_out)


def _gram_product(first, n):
    """The product that stands for the first layer's two: with its weights' (h, h) products."""
    h = first.out_features
    gram = first.weight.new_empty(h, h).normal_()
    gradient = first.weight.new_empty(n, h).normal_()
    return partial(torch.mm, gradient, gram, out=torch.empty_like(gradient))


def _padding(layer):
    """Zeros at each border; "same" as a number, which the backward product needs."""
    if layer.padding == "valid":
        return (0, 0)
    if layer.padding != "same":
        return layer.padding
    totals = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    if any(total % 2 for total in totals):
        raise ValueError('padding="same" with an even kernel pads unevenly: it is not counted.')
    return tuple(total // 2 for total in totals)
