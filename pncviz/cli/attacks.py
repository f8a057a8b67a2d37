"""The commands that attack data: adversarial examples, and whom else they fool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pncviz.cli.common import parse_params, shaped

__all__ = ["attack", "transfer"]

_Output = Annotated[Path, typer.Option("--output", "-o", help="A .nc file.")]
_Attack = Annotated[str, typer.Option("--attack", help="See `pncviz plugins list`.")]
_AttackParam = Annotated[
    list[str], typer.Option("--attack-param", help="NAME=VALUE, such as epsilon=.25")
]
_Target = Annotated[
    str | None,
    typer.Option(help="A class, random, least_likely or runner_up. [default: away from the own]"),
]
_Limit = Annotated[int | None, typer.Option(min=1, help="The first so many test samples.")]
_MaxIter = Annotated[int, typer.Option(min=1)]
_MaxLoss = Annotated[float | None, typer.Option(help="In nats.")]
_MinConfidence = Annotated[float | None, typer.Option(help="In (0, 1].")]
_BatchSize = Annotated[int | None, typer.Option(min=1)]
_MaxQueries = Annotated[
    int | None, typer.Option(min=1, help="For one example, of attacks that only ask.")
]
_Seed = Annotated[int | None, typer.Option(min=0, help="Of attacks and targets that draw.")]
_DatasetParam = Annotated[
    list[str], typer.Option("--dataset-param", help="NAME=VALUE of the dataset, such as folder=…")
]


def attack(
    model: Annotated[Path, typer.Argument(help="A file of `pncviz train`.")],
    dataset: Annotated[str, typer.Argument(help="Its name; see `pncviz datasets list`.")],
    output: _Output,
    name: _Attack = "gradient_descent",
    attack_param: _AttackParam = [],  # noqa: B006 # typer copies it
    target: _Target = None,
    limit: _Limit = None,
    images: Annotated[
        Path | None, typer.Option(help="A .npy file for the examples themselves.")
    ] = None,
    max_iter: _MaxIter = 100,
    max_loss: _MaxLoss = None,
    min_confidence: _MinConfidence = None,
    batch_size: _BatchSize = None,
    max_queries: _MaxQueries = None,
    seed: _Seed = None,
    dataset_param: _DatasetParam = [],  # noqa: B006
    device: str = "cpu",
) -> None:
    """Make adversarial examples of a dataset's test samples."""
    from pncviz.dataset import check_writable

    check_writable(output)
    _check_images(images)
    from sklearn.frozen import FrozenEstimator

    from pncviz import AdversarialExampleGenerator, load_classifier, make_attack, save, summary

    means = make_attack(name, **parse_params(attack_param, "--attack-param"))
    net = load_classifier(model, device=device)
    data, X, y = _samples(dataset, dataset_param, limit, net)
    generator = AdversarialExampleGenerator(
        FrozenEstimator(net),
        attack=means,
        target=_target(target, net.classes_),
        max_iter=max_iter,
        max_loss=max_loss,
        min_confidence=min_confidence,
        batch_size=batch_size,
        max_queries=max_queries,
        random_state=seed,
        verbose=1,
    )
    generator.fit(shaped(data.X, dataset, net), data.y)
    with _image_file(images, X) as out:
        generator.generate(X, y, out=out)
    save(generator.examples_, output)
    typer.echo(summary(generator.examples_))
    typer.echo(_verdict(generator.examples_))


def transfer(
    arguments: Annotated[
        list[str],
        typer.Argument(metavar="MODEL... DATASET", help="Files of `pncviz train`, and a name."),
    ],
    output: _Output,
    name: _Attack = "gradient_descent",
    attack_param: _AttackParam = [],  # noqa: B006
    target: _Target = None,
    limit: _Limit = None,
    max_iter: _MaxIter = 100,
    max_loss: _MaxLoss = None,
    min_confidence: _MinConfidence = None,
    batch_size: _BatchSize = None,
    max_queries: _MaxQueries = None,
    seed: _Seed = None,
    dataset_param: _DatasetParam = [],  # noqa: B006
    device: str = "cpu",
) -> None:
    """Put the adversarial examples of each model to every model."""
    from pncviz.dataset import check_writable

    check_writable(output)
    if len(arguments) < 2:
        raise typer.BadParameter("Give at least one model file, and the dataset's name.")
    *files, dataset = arguments
    from pncviz import load_classifier, make_attack, save, summary, transfer_matrix

    means = make_attack(name, **parse_params(attack_param, "--attack-param"))
    nets = {key: load_classifier(file, device=device) for key, file in _named(files).items()}
    first = next(iter(nets.values()))
    _, X, y = _samples(dataset, dataset_param, limit, first)
    found = transfer_matrix(
        nets,
        X,
        y,
        attack=means,
        target=_target(target, first.classes_),
        max_iter=max_iter,
        max_loss=max_loss,
        min_confidence=min_confidence,
        batch_size=batch_size,
        max_queries=max_queries,
        random_state=seed,
        verbose=1,
    )
    save(found, output)
    typer.echo(summary(found))


def _named(files: list[str]) -> dict[str, str]:
    """Name models by their files, by as much of the path as tells them apart."""
    stems = [Path(file).stem for file in files]
    names = stems if len(set(stems)) == len(stems) else files
    if len(set(names)) < len(names):
        raise typer.BadParameter("A model is given twice.")
    return dict(zip(names, files, strict=True))


def _samples(dataset: str, params: list[str], limit: int | None, net: Any) -> tuple[Any, Any, Any]:
    """Load a dataset, and take the test samples, or all where it has none for testing."""
    from pncviz import load_dataset

    data = load_dataset(dataset, **parse_params(params, "--dataset-param"))
    X, y = (data.X_test, data.y_test) if len(data.X_test) else (data.X, data.y)
    return data, shaped(X[:limit], dataset, net), y[:limit]


def _target(text: str | None, classes: Any) -> Any:
    """Turn command-line text into one of the model's own labels, or a word for a choice."""
    from pncviz.examples.aims import AIMS

    names = {str(label): label for label in classes.tolist()}
    if text is None or text in names:
        return names.get(text or "")
    if text not in AIMS:
        raise typer.BadParameter(
            f"{text}: choose {', '.join(AIMS)} or one of the model's classes, {', '.join(names)}.",
            param_hint="--target",
        )
    return text


def _check_images(path: Path | None) -> None:
    from pncviz.dataset.atomic import check_folder

    if path is None:
        return
    if path.suffix != ".npy":
        raise typer.BadParameter(f"{path} must end in .npy.", param_hint="--images")
    check_folder(path.absolute())


@contextmanager
def _image_file(path: Path | None, like: Any) -> Iterator[Any]:
    """Give an array in a file, which is whole or not there at all; None for no path."""
    if path is None:
        yield None
        return
    from numpy.lib.format import open_memmap

    from pncviz.dataset.atomic import replacing

    with replacing(path.absolute()) as temporary:
        out = open_memmap(temporary, mode="w+", dtype=like.dtype, shape=like.shape)
        yield out
        out.flush()


def _verdict(examples: Any) -> str:
    """Say in words how many examples are what was wanted."""
    from pncviz.inference import proportion_interval

    n, hits = examples.sizes["sample"], int(examples["succeeded"].sum())
    before = int(examples["already"].sum())
    low, high = (100 * float(end) for end in proportion_interval(hits, n))
    what = "are called the target" if "target" in examples else "are called another class"
    return (
        f"{hits} of {n} examples {what}: {100 * hits / n:.1f} % ({low:.1f} to {high:.1f}); "
        f"{before} samples were so before."
    )
