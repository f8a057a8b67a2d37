"""The commands that do the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from pncviz.cli.common import parse_params, parse_shape, shaped, steps, table

__all__ = ["contrast", "demo", "extract", "train"]

_Output = Annotated[Path, typer.Option("--output", "-o", help="A .nc file.")]
_DatasetParam = Annotated[
    list[str], typer.Option("--dataset-param", help="NAME=VALUE of the dataset, such as folder=…")
]


def demo(
    out: Annotated[Path, typer.Option(help="Where results go.")] = Path("pncviz-demo"),
    dataset: Annotated[
        list[str], typer.Option(help="A dataset; may be repeated. [default: the three small ones]")
    ] = [],  # noqa: B006 # typer copies it
    seed: Annotated[int, typer.Option(min=0, help="Of training and starts.")] = 0,
) -> None:
    """Train small nets, extract patterns by three strategies, compare them with the contrasts."""
    with steps(1) as step:
        step("loading torch")
        from pncviz.demo import DATASETS, HEAD, STEPS, run_demo, write_summary
    names = list(dict.fromkeys(dataset)) or list(DATASETS)
    with steps(STEPS * len(names)) as step:
        outcomes = run_demo(out, names, seed=seed, step=step)
    summary = write_summary(outcomes, out / "summary.md")
    rows = [row for outcome in outcomes for row in outcome.rows()]
    table(HEAD, rows)
    for outcome in outcomes:
        for _, strategy, _, nearest, _ in outcome.rows():
            typer.echo(
                f"{outcome.dataset}, {strategy}: {nearest} patterns are nearest to their own "
                "class's contrast."
            )
    typer.echo(f"Pictures and files: {summary}")
    for outcome in outcomes:
        typer.echo(f"Page: {outcome.folder / 'report.html'}")


def train(
    dataset: Annotated[str, typer.Argument(help="Its name; see `pncviz datasets list`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model's file, .safetensors.")],
    architecture: Annotated[str, typer.Option(help="Such as fc or cnn.")] = "fc",
    optimizer: Annotated[str, typer.Option(help="sgd or adam.")] = "sgd",
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    weight_decay: Annotated[float, typer.Option(help="L2 penalty.")] = 0.0,
    max_epochs: Annotated[int, typer.Option(min=1)] = 20,
    batch_size: Annotated[int, typer.Option(min=1)] = 64,
    stop_loss: Annotated[float | None, typer.Option(help="Stop at this training loss.")] = None,
    stop_accuracy: Annotated[
        float | None, typer.Option(help="Stop at this training accuracy.")
    ] = None,
    architecture_param: Annotated[
        list[str], typer.Option("--architecture-param", help="NAME=VALUE, such as hidden=[100]")
    ] = [],  # noqa: B006
    trainer: Annotated[str, typer.Option(help="standard, or of a plugin.")] = "standard",
    trainer_param: Annotated[
        list[str], typer.Option("--trainer-param", help="NAME=VALUE, such as mixture=.5")
    ] = [],  # noqa: B006
    dataset_param: _DatasetParam = [],  # noqa: B006
    device: str = "cpu",
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Train a classifier on a dataset, and keep it."""
    import torch

    from pncviz import load_dataset, make_classifier, save_classifier
    from pncviz.dataset.atomic import check_folder
    from pncviz.interrupts import interrupts_noticed

    check_folder(out.absolute())
    data = load_dataset(dataset, **parse_params(dataset_param, "--dataset-param"))
    net = make_classifier(
        architecture,
        optimizer=optimizer,
        lr=lr,
        weight_decay=weight_decay,
        max_epochs=max_epochs,
        batch_size=batch_size,
        stop_loss=stop_loss,
        stop_accuracy=stop_accuracy,
        device=device,
        trainer=trainer,
        trainer_params=parse_params(trainer_param, "--trainer-param"),
        **parse_params(architecture_param, "--architecture-param"),
    )
    from pncviz.data import encode_labels

    classes, codes = encode_labels(data.y)
    net.set_params(module__n_classes=len(classes))
    with steps(1) as step:
        step(f"training {architecture} on {dataset}")
        torch.manual_seed(seed)
        with interrupts_noticed():
            net.fit(data.X, codes)
    info = {"dataset": dataset, "image_shape": data.image_shape, "seed": seed}
    save_classifier(net, out, labels=classes, **info)
    test = f"{len(data.X_test)} test samples"
    if len(data.X_test):
        _, test_codes = encode_labels(data.y_test, classes)
        test = f"test accuracy {net.score(data.X_test, test_codes):.4f}"
    typer.echo(f"{out}: {len(net.history)} epochs, {test}")


def extract(
    model: Annotated[Path, typer.Argument(help="A file of `pncviz train`.")],
    output: _Output,
    strategy: Annotated[str, typer.Option(help="Such as zero, noise or aai.")] = "zero",
    strategy_param: Annotated[
        list[str], typer.Option("--strategy-param", help="NAME=VALUE, such as scale=.1")
    ] = [],  # noqa: B006
    attack: Annotated[str, typer.Option()] = "gradient_descent",
    attack_param: Annotated[
        list[str], typer.Option("--attack-param", help="NAME=VALUE, such as learning_rate=.1")
    ] = [],  # noqa: B006
    max_iter: Annotated[int, typer.Option(min=1)] = 1000,
    max_loss: Annotated[float | None, typer.Option(help="In nats.")] = None,
    min_confidence: Annotated[float | None, typer.Option(help="In (0, 1].")] = None,
    label: Annotated[
        list[str], typer.Option("--label", help="A class; may be repeated. [default: all]")
    ] = [],  # noqa: B006
    image_shape: Annotated[str | None, typer.Option(help="Such as 28x28.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Same bits for any batch size and threads.")
    ] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the starts.")] = None,
    blocks: Annotated[
        int, typer.Option(min=0, help="Of examples, kept for intervals; 20 will do for aai.")
    ] = 0,
    data: Annotated[
        str | None, typer.Option(help="A dataset, for strategies and attacks that learn from one.")
    ] = None,
    dataset_param: _DatasetParam = [],  # noqa: B006
    max_queries: Annotated[
        int | None, typer.Option(min=1, help="Of attacks and strategies that only ask.")
    ] = None,
    memory: Annotated[
        Path | None, typer.Option(help="A folder for answers, to go on after an interruption.")
    ] = None,
    device: str = "cpu",
) -> None:
    """Extract a model's class patterns."""
    from pncviz.dataset import check_writable

    check_writable(output)
    from pncviz import extract_patterns, load_classifier, make_attack, make_strategy, save, summary

    part = make_strategy(strategy, **parse_params(strategy_param, "--strategy-param"))
    means = make_attack(attack, **parse_params(attack_param, "--attack-param"))
    net = load_classifier(model, device=device)
    shape = parse_shape(image_shape, "--image-shape") or net.info_.get("image_shape")
    taken = tuple(net.info_["params"]["input_shape"])
    X, y = _training_samples(data, parse_params(dataset_param, "--dataset-param"), net)
    patterns = extract_patterns(
        net,
        X=X,
        y=y,
        input_shape=taken,
        image_shape=shape,
        labels=_labels(label, net.classes_),
        strategy=part,
        attack=means,
        max_iter=max_iter,
        max_loss=max_loss,
        min_confidence=min_confidence,
        batch_size=batch_size,
        deterministic=deterministic,
        n_blocks=blocks,
        max_queries=max_queries,
        memory=memory,
        random_state=seed,
        verbose=1,
    )
    save(patterns, output)
    typer.echo(summary(patterns))


def _training_samples(name: str | None, params: dict[str, Any], net: Any) -> tuple[Any, Any]:
    """Give a dataset's training samples as the model takes them, or none."""
    if name is None:
        return None, None
    from pncviz import load_dataset

    found = load_dataset(name, **params)
    return shaped(found.X, name, net), found.y


def _labels(given: list[str], classes: Any) -> list[Any] | None:
    """Turn command-line text into the model's own labels."""
    names = {str(label): label for label in classes.tolist()}
    unknown = [text for text in given if text not in names]
    if unknown:
        raise typer.BadParameter(
            f"{', '.join(unknown)}: the model's classes are {', '.join(names)}.",
            param_hint="--label",
        )
    return [names[text] for text in given] or None


def contrast(
    dataset: Annotated[str, typer.Argument(help="Its name; see `pncviz datasets list`.")],
    output: _Output,
    normalize: Annotated[str, typer.Option(help="minmax or none.")] = "minmax",
    shuffles: Annotated[
        int, typer.Option(min=0, help="Of the labels: so many contrasts, a null for compare.")
    ] = 0,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the shuffles.")] = None,
    dataset_param: _DatasetParam = [],  # noqa: B006
) -> None:
    """Contrast each class's mean image with the mean of all the others."""
    from pncviz.dataset import check_writable

    check_writable(output)
    from pncviz import load_dataset, positive_negative_contrast, save, summary

    data = load_dataset(dataset, **parse_params(dataset_param, "--dataset-param"))
    rule = None if normalize.lower() == "none" else normalize
    if shuffles:
        from pncviz import label_shuffled_contrasts

        drawn = label_shuffled_contrasts(
            data.X, data.y, shuffles, normalize=rule, random_state=seed
        )
        save(drawn, output)
        typer.echo(f"{output}: the contrasts of {shuffles} shuffles of the labels")
        return
    contrasts = positive_negative_contrast(data.X, data.y, normalize=rule)
    save(contrasts, output)
    typer.echo(summary(contrasts))
