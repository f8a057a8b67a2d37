"""Others' ways of doing the same work: x ← x − lr · d loss / d x, towards a class, n_iter times.

The loss is the cross-entropy of the wanted class, summed over the rows; no clipping, no random
start. Each rival is made ready by ``prepare_…(module, n_iter, input_shape, n_classes)``, outside of
what is timed, on a copy of the module, and gives ``run(start, codes)``: from a float32 tensor
(n, *input_shape) and the wanted classes (n,), on the module's device, to the final examples.

`PLAIN` do just that step, in PyTorch. `RIVALS` (extra ``bench``) come from libraries that know no
unclipped descent with the gradient as it is: their projected descents, with bounds out of reach,
divide each row's gradient by its L2 norm in their own way. Their examples thus differ from ours;
the forward and backward passes, nearly all of the cost, are the same in number and size.
torchattacks moreover clips to [0, 1] and cannot be told not to: one more cheap pointwise operation.
"""

# ruff: noqa: ARG001 # one signature for all of them

import contextlib
import copy
import importlib
import importlib.metadata
import io
import math
import warnings

import torch

FAR = 1e9  # a radius, or a bound, that no descent here reaches
PACKAGES = {  # rival: what is imported, what is installed
    "ART": ("art", "adversarial-robustness-toolbox"),
    "foolbox": ("foolbox", "foolbox"),
    "torchattacks": ("torchattacks", "torchattacks"),
}


def one_at_a_time(module, start, codes, n_iter, learning_rate=1.0):
    """As in the paper: each row by itself."""
    run = prepare_one_at_a_time(module, n_iter, start.shape[1:], None, learning_rate)
    return run(start, codes)


def plain_batched(module, start, codes, n_iter, learning_rate=1.0):
    """All rows as one batch."""
    run = prepare_plain_batched(module, n_iter, start.shape[1:], None, learning_rate)
    return run(start, codes)


def prepare_one_at_a_time(module, n_iter, input_shape, n_classes, learning_rate=1.0):
    """As in the paper: each row by itself; frozen parameters, the gradient to the input alone."""
    batched = prepare_plain_batched(module, n_iter, input_shape, n_classes, learning_rate)

    def run(start, codes):
        rows = zip(start.split(1), codes.split(1), strict=True)
        return torch.cat([batched(x, code) for x, code in rows])

    return run


def prepare_plain_batched(module, n_iter, input_shape, n_classes, learning_rate=1.0):
    """All rows as one batch; frozen parameters, the gradient to the input alone."""
    module = _copy(module)

    def run(start, codes):
        x = start.detach()
        for _ in range(n_iter):
            x.requires_grad_()
            loss = torch.nn.functional.cross_entropy(module(x), codes, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, x)
            x = (x - learning_rate * gradient).detach()
        return x

    return run


def prepare_art(module, n_iter, input_shape, n_classes, frozen=True):
    """ProjectedGradientDescentPyTorch of ART, norm 2, all rows as one batch."""
    import numpy as np
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    module = _copy(module, frozen)
    device = _device(module)
    classifier = PyTorchClassifier(
        module,
        torch.nn.CrossEntropyLoss(),
        tuple(input_shape),
        n_classes,
        device_type="cpu" if device.type == "cpu" else "gpu",
    )
    attack = ProjectedGradientDescentPyTorch(
        classifier,
        norm=2,
        eps=FAR,
        eps_step=1.0,
        max_iter=n_iter,
        targeted=True,
        num_random_init=0,
        verbose=False,
    )

    def run(start, codes):
        attack.set_params(batch_size=len(start))
        wanted = np.eye(n_classes, dtype=np.float32)[codes.cpu().numpy()]
        return torch.from_numpy(attack.generate(start.cpu().numpy(), wanted)).to(device)

    return run


def prepare_foolbox(module, n_iter, input_shape, n_classes, frozen=True):
    """L2ProjectedGradientDescentAttack of foolbox."""
    foolbox = _import("foolbox")
    module = _copy(module, frozen)
    model = foolbox.PyTorchModel(module, bounds=(-FAR, FAR), device=_device(module))
    attack = foolbox.attacks.L2ProjectedGradientDescentAttack(
        steps=n_iter, abs_stepsize=1.0, random_start=False
    )

    def run(start, codes):
        wanted = foolbox.criteria.TargetedMisclassification(codes)
        return attack.run(model, start, wanted, epsilon=FAR)

    return run


def prepare_torchattacks(module, n_iter, input_shape, n_classes, frozen=True):
    """PGDL2 of torchattacks, which takes images: other input is given to it as a row of pixels."""
    torchattacks = _import("torchattacks")
    images = tuple(input_shape) if len(input_shape) == 3 else (1, 1, math.prod(input_shape))
    # It flattens the gradient by view(), which fails where the weights are in channels_last.
    module = _copy(module, frozen).to(memory_format=torch.contiguous_format)
    attack = torchattacks.PGDL2(
        _Reshaped(module, input_shape).eval(),
        eps=FAR,
        alpha=1.0,
        steps=n_iter,
        random_start=False,
    )
    # Both 3.3 and 3.5 know this way of naming the wanted classes; 3.3 prints a line at it.
    with contextlib.redirect_stdout(io.StringIO()):
        attack.set_mode_targeted_by_function(lambda _, codes: codes)

    def run(start, codes):
        return attack(start.reshape(-1, *images), codes).reshape(start.shape)

    return run


PLAIN = {"one at a time": prepare_one_at_a_time, "plain batched": prepare_plain_batched}
RIVALS = {
    "ART": prepare_art,
    "foolbox": prepare_foolbox,
    "torchattacks": prepare_torchattacks,
}


def available():
    """The rivals whose library imports here, with its version."""
    versions = {}
    for rival, (package, distribution) in PACKAGES.items():
        with contextlib.suppress(ImportError):
            _import(package)
            versions[rival] = importlib.metadata.version(distribution)
    return versions


class _Reshaped(torch.nn.Module):
    """A module behind images of another shape."""

    def __init__(self, module, input_shape):
        super().__init__()
        self.module = module
        self.input_shape = tuple(input_shape)

    def forward(self, images):
        return self.module(images.reshape(-1, *self.input_shape))


def _copy(module, frozen=True):
    """A copy in evaluation mode; frozen unless a library is to be seen as its guide shows it."""
    return copy.deepcopy(module).eval().requires_grad_(not frozen)


def _device(module):
    return next(module.parameters()).device


def _import(package):
    """Import a package; what it warns about its own imports is not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(package)
