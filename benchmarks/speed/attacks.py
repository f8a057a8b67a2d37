"""FGSM and PGD on a test set of MNIST's size: against bare passes, and against torchattacks.

``python -m benchmarks.speed.attacks`` (extra ``bench``, and ``plugins/pncviz-attacks`` installed or
on the path). The net is Caffe's LeNet with random weights, the images are noise: what the
arithmetic costs does not depend on either, as long as no gradient vanishes.

A pass is a forward and a backward pass of the module by autograd, for the gradient to the input
alone. All ways get the images in the same batches, those that pncviz itself would choose.
"""

import importlib.util
import statistics
import sys
import warnings

import numpy as np
import torch

from benchmarks.speed.rivals import available
from benchmarks.speed.timing import in_turn, quotient
from pncviz.models import TorchModel
from pncviz.specs import Stop, Target

N_IMAGES, SHAPE, STEPS = 10_000, (1, 28, 28), 40
EPSILON, STEP_SIZE = 0.25, 0.01
AT_MOST = {"pass": 1.3, "torchattacks": 1.0}
HEAD = ["attack", "pncviz, s", "against", "s", "ratio", "wanted", "reached"]


def present():
    """Whether the plugin can be imported here."""
    return importlib.util.find_spec("pncviz_attacks") is not None


def lenet():
    """Caffe's LeNet, not trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(1, 20, 5),
            torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(20, 50, 5),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(800, 500),
            torch.nn.ReLU(),
            torch.nn.Linear(500, 10),
        ).eval()


def batches(n_images, size):
    """Noise and units to get away from, a batch at a time."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n_images, *SHAPE, generator=generator)
    codes = torch.randint(10, (n_images,), generator=generator)
    return list(zip(images.split(size), codes.split(size), strict=True))


def passes(net, parts, n):
    """Forward and backward passes of the bare module, n for each image."""
    net.requires_grad_(False)

    def work():
        for images, codes in parts:
            for _ in range(n):
                x = images.clone().requires_grad_()
                loss = torch.nn.functional.cross_entropy(net(x), codes, reduction="sum")
                torch.autograd.grad(loss, x)

    return work


def ours(attack, model, parts):
    """An attack of the plugin, untargeted."""
    streams = [np.random.default_rng(row) for row in range(model.batch_size)]

    def work():
        with model.session():
            for images, codes in parts:
                rngs = streams[: len(images)]
                target = Target(codes=codes, targeted=False)
                attack.run(model, images, target, Stop(), rngs)

    return work


def theirs(name, net, parts, **params):
    """The attack of torchattacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchattacks

    attack = getattr(torchattacks, name)(net, eps=EPSILON, **params)

    def work():
        for images, codes in parts:
            attack(images, codes)

    return work


def measure_one(name, n_images, repeats):
    """Medians of the seconds, and of the ratios of each round."""
    from pncviz_attacks import FGSM, PGD

    net = lenet()
    model = TorchModel(net, input_shape=SHAPE, output="logits")
    parts = batches(n_images, model.batch_size)
    settings = {"alpha": STEP_SIZE, "steps": STEPS, "random_start": True}
    attack, n, params = {
        "FGSM": (FGSM(EPSILON, clip=(0, 1)), 1, {}),
        "PGD": (PGD(EPSILON, step_size=STEP_SIZE, n_steps=STEPS, clip=(0, 1)), STEPS, settings),
    }[name]
    works = {"ours": ours(attack, model, parts), "pass": passes(net, parts, n)}
    if "torchattacks" in available():
        works["torchattacks"] = theirs(name, net, parts, **params)
    seconds = in_turn(works, repeats)
    return [
        {
            "attack": name if n == 1 else f"{name}, {n} steps",
            "images": n_images,
            "ours_s": statistics.median(seconds["ours"]),
            "against": other if other != "pass" else f"{n} forward and backward",
            "other_s": statistics.median(seconds[other]),
            "ratio": quotient(seconds, "ours", other),
            "at_most": AT_MOST[other],
        }
        for other in list(works)[1:]
    ]


def measure(n_images=N_IMAGES, repeats=(5, 1)):
    """Both attacks; PGD in fewer rounds, since each takes minutes."""
    return measure_one("FGSM", n_images, repeats[0]) + measure_one("PGD", n_images, repeats[1])


def rows(found):
    """The lines of a table under HEAD."""
    return [
        [
            row["attack"],
            f"{row['ours_s']:.2f}",
            row["against"],
            f"{row['other_s']:.2f}",
            f"**{row['ratio']:.2f}**",
            f"at most {row['at_most']} ×",
            "yes" if row["ratio"] <= row["at_most"] else "**no**",
        ]
        for row in found
    ]


def main():
    n_images = int(sys.argv[1]) if len(sys.argv) > 1 else N_IMAGES
    print(f"{n_images} images, {torch.get_num_threads()} threads")
    for row in rows(measure(n_images)):
        print(" | ".join(row))


if __name__ == "__main__":
    main()
