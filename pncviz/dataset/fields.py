"""The tables of the schema: which variables each kind of result has, and on which dimensions."""

from __future__ import annotations

from typing import NamedTuple

from pncviz.exceptions import ResultError

__all__ = [
    "FIELDS",
    "IMAGE",
    "IMAGES",
    "INDEXED",
    "KIND_NAMES",
    "LABEL_KINDS",
    "OWN",
    "Field",
    "image_dims",
]

IMAGE = "<image>"  # stands for the image dimensions in the tables below
IMAGES = (("channel", "row", "column"), ("feature",))
LABEL_KINDS = "biufU"
KIND_NAMES = {"b": "bool", "i": "integer", "u": "integer", "f": "float", "U": "string"}


class Field(NamedTuple):
    """One variable of the schema: its trailing dimensions (alternatives), dtype kinds, meaning."""

    dims: tuple[tuple[str, ...], ...]
    kinds: str
    long_name: str
    units: str = "1"
    required: bool = True
    finite: bool = False


_PER_LABEL = (("label",),)
_PER_IMAGE = (("label", IMAGE),)
_TRACE = (("label", "trace_iteration"),)
_BLOCKS = (("block", "label", IMAGE),)
_PER_METRIC = (("metric",),)
_PER_OWN = (("metric", "pattern_label"),)
_PER_SAMPLE = (("sample",),)
_PER_PAIR = (("source", "target"),)
_PER_TARGET = (("target",),)
_PER_PAIR_LABEL = (("source", "target", "label"),)
_PER_TARGET_LABEL = (("target", "label"),)

#: Variables by kind of result and name.
FIELDS: dict[str, dict[str, Field]] = {
    "patterns": {
        "pattern": Field(_PER_IMAGE, "f", "adversarial pattern", finite=True),
        "confidence": Field(_PER_LABEL, "f", "confidence in the target class, of the examples"),
        "loss": Field(_PER_LABEL, "f", "loss of the adversarial examples", "nat"),
        "n_iter": Field(_PER_LABEL, "iu", "updates made"),
        "prediction": Field(_PER_LABEL, LABEL_KINDS, "class that the examples are taken for"),
        "stop_reason": Field(_PER_LABEL, "U", "why synthesis stopped"),
        "success_rate": Field(_PER_LABEL, "f", "share of examples called the target"),
        "succeeded": Field(_PER_LABEL, "b", "whether all examples are called the target"),
        "pattern_prediction": Field(_PER_LABEL, LABEL_KINDS, "class that the pattern is taken for"),
        "pattern_confidence": Field(_PER_LABEL, "f", "confidence in the target, of the pattern"),
        "trace_loss": Field(_TRACE, "f", "loss at an iteration", "nat", required=False),
        "trace_confidence": Field(_TRACE, "f", "confidence at an iteration", required=False),
        "pattern_block": Field(
            _BLOCKS, "f", "sum of the patterns of a block of examples", required=False
        ),
        "n_block": Field((("block",),), "iu", "examples in a block", required=False),
        "n_queries": Field(
            _PER_LABEL, "iu", "inputs that the model was asked about", required=False
        ),
    },
    "contrasts": {
        "contrast": Field(_PER_IMAGE, "f", "positive-negative contrast", finite=True),
        "positive_mean": Field(_PER_IMAGE, "f", "mean of the class"),
        "negative_mean": Field(_PER_IMAGE, "f", "mean of everything else"),
        "n_positive": Field(_PER_LABEL, "iuf", "samples of the class"),
        "n_negative": Field(_PER_LABEL, "iuf", "samples of all other classes"),
        "contrast_block_sum": Field(
            _BLOCKS, "f", "sum over the samples of a block, by class", required=False
        ),
        "n_block": Field(
            (("block",), ("block", "label")), "iuf", "samples in a block", required=False
        ),
    },
    "similarities": {
        "similarity": Field(
            (("metric", "pattern_label", "contrast_label"),), "f", "similarity of two images"
        ),
        "succeeded": Field(
            (("pattern_label",),),
            "b",
            "whether the pattern reached its class",
            required=False,
        ),
        "rank": Field(_PER_OWN, "iu", "rank of the own class among all contrasts", required=False),
        "hits": Field(
            _PER_METRIC, "iu", "patterns nearest to their own class's contrast", required=False
        ),
        "identification_p": Field(
            _PER_METRIC, "f", "p of the mean own-class similarity, labels permuted", required=False
        ),
        "hits_p": Field(_PER_METRIC, "f", "p of the hits, labels permuted", required=False),
        "lower": Field(_PER_OWN, "f", "interval of the own-class similarity from", required=False),
        "upper": Field(_PER_OWN, "f", "interval of the own-class similarity to", required=False),
        "interval_over": Field(_PER_METRIC, "U", "what the interval resamples", required=False),
        "pattern_reliability": Field(
            _PER_OWN, "f", "split-half reliability of the pattern", required=False
        ),
        "contrast_reliability": Field(
            (("metric", "contrast_label"),),
            "f",
            "split-half reliability of the contrast",
            required=False,
        ),
        "ceiling": Field(
            _PER_OWN, "f", "noise ceiling of the own-class similarity", required=False
        ),
        "p": Field(_PER_OWN, "f", "p of the own-class similarity under the null", required=False),
        "q": Field(_PER_OWN, "f", "p after false discovery control over classes", required=False),
        "null_similarity": Field(
            (("draw", "metric", "pattern_label"),),
            "f",
            "own-class similarity drawn under the null",
            required=False,
        ),
    },
    "examples": {
        "label": Field(_PER_SAMPLE, LABEL_KINDS, "true class", required=False),
        "original_prediction": Field(
            _PER_SAMPLE, LABEL_KINDS, "class that the sample is taken for"
        ),
        "target": Field(_PER_SAMPLE, LABEL_KINDS, "class aimed at", required=False),
        "prediction": Field(_PER_SAMPLE, LABEL_KINDS, "class that the example is taken for"),
        "succeeded": Field(_PER_SAMPLE, "b", "whether the example is taken for what was wanted"),
        "already": Field(_PER_SAMPLE, "b", "whether the sample was so before the attack"),
        "confidence": Field(_PER_SAMPLE, "f", "probability of what was wanted, of the example"),
        "loss": Field(_PER_SAMPLE, "f", "cross-entropy that the attack lowers", "nat"),
        "n_iter": Field(_PER_SAMPLE, "iu", "updates made"),
        "stop_reason": Field(_PER_SAMPLE, "U", "why the attack stopped"),
        "l2": Field(_PER_SAMPLE, "f", "Euclidean length of the change, in units of the input"),
        "linf": Field(_PER_SAMPLE, "f", "largest change of a feature, in units of the input"),
        "n_queries": Field(
            _PER_SAMPLE, "iu", "inputs that the model was asked about", required=False
        ),
    },
    "transfer": {
        "error_rate": Field(_PER_PAIR, "f", "share of the source's examples the target gets wrong"),
        "error_lower": Field(_PER_PAIR, "f", "interval of the error rate from"),
        "error_upper": Field(_PER_PAIR, "f", "interval of the error rate to"),
        "transfer_rate": Field(_PER_PAIR, "f", "share of examples that also fool the target"),
        "transfer_lower": Field(_PER_PAIR, "f", "interval of the transfer rate from"),
        "transfer_upper": Field(_PER_PAIR, "f", "interval of the transfer rate to"),
        "n_examples": Field(_PER_PAIR, "iu", "adversarial examples"),
        "n_errors": Field(_PER_PAIR, "iu", "examples that the target gets wrong"),
        "n_fooled": Field(_PER_PAIR, "iu", "examples of samples both get right, that fool source"),
        "n_transferred": Field(_PER_PAIR, "iu", "of those, examples that also fool the target"),
        "clean_error": Field(_PER_TARGET, "f", "share of the samples that the target gets wrong"),
        "clean_lower": Field(_PER_TARGET, "f", "interval of the clean error from"),
        "clean_upper": Field(_PER_TARGET, "f", "interval of the clean error to"),
    },
    "pattern_transfer": {
        "rate": Field(_PER_PAIR_LABEL, "f", "share called the pattern's class with it added"),
        "lower": Field(_PER_PAIR_LABEL, "f", "interval of the rate from"),
        "upper": Field(_PER_PAIR_LABEL, "f", "interval of the rate to"),
        "clean_rate": Field(_PER_TARGET_LABEL, "f", "share called the class as they are"),
        "clean_lower": Field(_PER_TARGET_LABEL, "f", "interval of the clean rate from"),
        "clean_upper": Field(_PER_TARGET_LABEL, "f", "interval of the clean rate to"),
        "n_samples": Field((("label",),), "iu", "samples of other classes"),
        "overall_rate": Field(_PER_PAIR, "f", "rate over all classes"),
        "overall_lower": Field(_PER_PAIR, "f", "interval of the overall rate from"),
        "overall_upper": Field(_PER_PAIR, "f", "interval of the overall rate to"),
        "overall_clean_rate": Field(_PER_TARGET, "f", "clean rate over all classes"),
    },
    "pattern_agreement": {
        "similarity": Field(_PER_PAIR_LABEL, "f", "similarity of the patterns of one class"),
        "mean_similarity": Field(_PER_PAIR, "f", "mean over classes"),
        "rank": Field(_PER_PAIR_LABEL, "iu", "rank of the own class among the target's patterns"),
        "hits": Field(_PER_PAIR, "iu", "patterns nearest to their own class's pattern"),
        "identification_p": Field(
            _PER_PAIR, "f", "p of the mean own-class similarity, labels permuted"
        ),
        "hits_p": Field(_PER_PAIR, "f", "p of the hits, labels permuted"),
    },
}

#: Coordinates that each kind must have.
INDEXED: dict[str, tuple[str, ...]] = {
    "patterns": ("label",),
    "contrasts": ("label",),
    "similarities": ("metric", "pattern_label", "contrast_label"),
    "examples": (),
    "transfer": ("source", "target"),
    "pattern_transfer": ("source", "target", "label"),
    "pattern_agreement": ("source", "target", "label"),
}
# Dimensions with a place of their own, which therefore cannot stand in front.
OWN = {*IMAGES[0], *IMAGES[1], "label", "trace_iteration", "block"}
OWN |= {"metric", "pattern_label", "contrast_label", "sample", "source", "target"}


def image_dims(image_shape: tuple[int, ...]) -> tuple[str, ...]:
    """Name the dimensions of one image, or of one row of a table.

    Parameters
    ----------
    image_shape : tuple of int
        (channels, rows, columns) or (features,).

    Returns
    -------
    tuple of str
        ``("channel", "row", "column")`` or ``("feature",)``.

    Raises
    ------
    ResultError
        If the shape has neither three numbers nor one, or one of them is below 1.

    Examples
    --------
    >>> from pncviz.dataset import image_dims
    >>> image_dims((1, 28, 28))
    ('channel', 'row', 'column')
    """
    for dims in IMAGES:
        if len(image_shape) == len(dims) and all(size > 0 for size in image_shape):
            return dims
    raise ResultError(
        "`image_shape` must be (channels, rows, columns) or (features,), all positive; "
        f"got {image_shape!r}. Grey images keep a channel of length 1."
    )
