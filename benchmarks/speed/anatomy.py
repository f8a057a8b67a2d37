"""Where the time of a descent goes: products, other operations, and Python between them.

``python -m benchmarks.speed.anatomy``
"""

import time
import warnings

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.speed.patterns import WORKS, network
from pncviz import make_attack
from pncviz.models import TorchModel
from pncviz.specs import Stop, Target

#: By the beginning of ATen's names.
GROUPS = {
    "products and convolutions": (
        "aten::mm",
        "aten::addmm",
        "aten::bmm",
        "aten::mkldnn_conv",
        "aten::convolution",
    ),
    "activations and their slopes": (
        "aten::relu",
        "aten::clamp",
        "aten::sign",
        "aten::mul",
        "aten::threshold",
    ),
    "pooling": ("aten::max_pool",),
    "softmax and loss": ("aten::_softmax", "aten::softmax", "aten::sub_"),
    "the step": ("aten::sub",),
    "memory": (
        "aten::empty",
        "aten::resize",
        "aten::copy",
        "aten::fill",
        "aten::zero",
        "aten::clone",
    ),
}
PYTHON, REST = "Python, and the profiler", "other operations"


def measure(work):
    """Shares of the time that each group takes, the profiler's own time counted as Python's."""
    net, shape = network(work)
    model = TorchModel(net.module_, input_shape=shape)
    start = torch.zeros(min(work.n, model.batch_size), *shape)
    target = Target(codes=torch.arange(len(start)) % work.n_classes)
    attack, stop = make_attack("gradient_descent"), Stop(max_iter=min(work.n_iter, 300))
    with model.session(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attack.run(model, start, target, stop, [])
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            begin = time.perf_counter()
            attack.run(model, start, target, stop, [])
            whole = time.perf_counter() - begin
    shares = dict.fromkeys([*GROUPS, REST], 0.0)
    for event in seen.key_averages():
        group = next((g for g, names in GROUPS.items() if event.key.startswith(names)), REST)
        if event.key.startswith("aten::"):
            shares[group] += event.self_cpu_time_total * 1e-6 / whole
    return shares | {PYTHON: 1 - sum(shares.values())}


def measure_all():
    """The shares for each row of the table but the largest."""
    return {work.name: measure(work) for work in WORKS if work.n < 10_000}


def main():
    for name, shares in measure_all().items():
        print(name)
        for group, share in shares.items():
            print(f"  {group:32s} {share:6.1%}")


if __name__ == "__main__":
    main()
