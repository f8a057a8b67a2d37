"""Ten zero patterns of an FC [784, 200, 30, 10], 1000 iterations, against a plain batched loop.

``python -m benchmarks.speed.bench_extract``
"""

import warnings

import torch

from benchmarks.speed.timing import ratio, report
from pncviz import extract_patterns, make_classifier
from pncviz.exceptions import PatternWarning
from pncviz.models import TorchModel
from pncviz.registry import make_attack
from pncviz.specs import Stop, Target


def plain_loop(module, n_iter=1000, learning_rate=1.0):
    """The rival: frozen parameters, the gradient to the input alone, nothing else."""
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    x, codes = torch.zeros(10, 784), torch.arange(10)
    for _ in range(n_iter):
        x.requires_grad_()
        loss = torch.nn.functional.cross_entropy(module(x), codes, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, x)
        x = (x - learning_rate * gradient).detach()
    return x


def main():
    warnings.simplefilter("ignore", PatternWarning)  # the net is not trained; speed alone counts
    torch.manual_seed(0)
    net = make_classifier("fc").set_params(
        module__input_shape=(784,), module__n_classes=10, classes=list(range(10))
    )
    net.initialize()
    found = extract_patterns(net, input_shape=(784,))["pattern"].values
    plain = plain_loop(net.module_).numpy()
    print(f"largest difference of the two: {abs(found - plain).max():.1e}")
    figures = ratio(
        lambda: extract_patterns(net, input_shape=(784,)), lambda: plain_loop(net.module_)
    )
    report("extract_patterns, 10 zero patterns × 1000 iterations", figures, 1.2)

    model = TorchModel(net.module_, input_shape=(784,))
    attack, stop = make_attack("gradient_descent"), Stop(max_iter=1000)

    def descent():
        with model.session():
            attack.run(model, torch.zeros(10, 784), Target(codes=torch.arange(10)), stop, [])

    report("  of which the descent", ratio(descent, lambda: plain_loop(net.module_)), 1.2)

    for strategy, repeats in (("zero", 5), ("aai", 3)):
        mine, other, quotient = ratio(
            lambda strategy=strategy: extract_patterns(
                net, input_shape=(784,), strategy=strategy, random_state=0, deterministic=True
            ),
            lambda strategy=strategy: extract_patterns(
                net, input_shape=(784,), strategy=strategy, random_state=0
            ),
            repeats,
        )
        print(
            f"deterministic=True, {strategy}: {mine:.2f} s against {other:.2f} s, {quotient:.1f} ×"
        )


if __name__ == "__main__":
    main()
