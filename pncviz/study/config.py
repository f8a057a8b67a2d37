"""A study as its TOML file says it: grids of named parts, and how to train, extract, compare."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from pncviz.exceptions import StudyError
from pncviz.registry import normalize
from pncviz.study.identity import STANDARD, written
from pncviz.study.problems import problems

__all__ = [
    "AXES",
    "Comparison",
    "Extraction",
    "Grid",
    "Part",
    "Study",
    "Training",
    "load_study",
    "parse_study",
]

#: The axes of a grid, from what is given to what is drawn.
AXES = ("dataset", "architecture", "optimizer", "trainer", "strategy", "attack", "seed")
_SHARED = ("training", "extraction", "comparison")

_LONGEST = 200
_LABEL = re.compile(r"(?!\.{1,2}$)[^\s/](?:[^/]*[^\s/])?")

_Count = Annotated[int, Field(ge=1)]
_CountOrNone = Annotated[int, Field(ge=0)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, le=1)]


class _Table(BaseModel):
    """A table that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Part(_Table):
    """A named part: a string, or a table such as ``{ name = "noise", params = { scale = 0.1 } }``.

    ``as`` is what the collected results call it; by default the name with its parameters.
    """

    name: str = Field(min_length=1)
    label: str = Field(default="", alias="as")
    params: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    def model_post_init(self, _: Any) -> None:
        """Fold the name as the registry does, and fill in the label."""
        object.__setattr__(self, "label", self.label or written(self.name, self.params))
        object.__setattr__(self, "name", normalize(self.name))
        # Labels name groups and coordinates of NetCDF files, and rows of tables.
        if not _LABEL.fullmatch(self.label) or not self.label.isprintable():
            raise PydanticCustomError(
                "label",
                "a label must be printable, without / and without blanks at its ends, and neither "
                '"." nor ".."; name the part by `as`',
            )

    @property
    def config(self) -> dict[str, Any]:
        """What it is, without what a study calls it."""
        return {"name": self.name, "params": dict(self.params)}


class Training(_Table):
    """How models are trained; see :func:`~pncviz.make_classifier`."""

    max_epochs: _Count = 20
    batch_size: _Count = 64
    stop_loss: _Positive | None = None
    stop_accuracy: _Share | None = None
    device: str = "cpu"


class Extraction(_Table):
    """How patterns are extracted; see :func:`~pncviz.extract_patterns`."""

    max_iter: _Count = 1000
    max_loss: _Positive | None = None
    min_confidence: _Share | None = None
    batch_size: _Count | None = None
    precision: Literal["float32", "float64"] | None = None
    n_blocks: _CountOrNone = 20
    max_queries: _Count | None = None


class Comparison(_Table):
    """How patterns are compared with contrasts; see :func:`~pncviz.compare`."""

    metrics: list[str] = Field(default=["pearson"], min_length=1)
    normalize: Literal["minmax", "none"] = "minmax"
    null: Literal["none", "label_shuffled"] = "none"
    n_draws: _Count = 200
    n_permutations: _Count = 10_000
    n_resamples: _CountOrNone = 1000
    confidence_level: Annotated[float, Field(gt=0, lt=1)] = 0.95

    @field_validator("metrics")
    @classmethod
    def _once(cls, names: list[str]) -> list[str]:
        folded = [normalize(name) for name in names]
        if twice := sorted({name for name in folded if folded.count(name) > 1}):
            raise ValueError(f"{', '.join(twice)} stands there twice")
        return names


class Grid(_Table):
    """Every combination of its axes."""

    dataset: list[Part] = Field(min_length=1)
    architecture: list[Part] = Field(default=[Part(name="fc")], min_length=1)
    optimizer: list[Part] = Field(default=[Part(name="sgd")], min_length=1)
    trainer: list[Part] = Field(default=[Part(name=STANDARD)], min_length=1)
    strategy: list[Part] = Field(default=[Part(name="zero")], min_length=1)
    attack: list[Part] = Field(default=[Part(name="gradient_descent")], min_length=1)
    seed: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(default=[0], min_length=1)
    training: Training = Training()
    extraction: Extraction = Extraction()
    comparison: Comparison = Comparison()

    @field_validator("dataset")
    @classmethod
    def _as_groups(cls, parts: list[Part]) -> list[Part]:
        for part in parts:
            if not re.match(r"\w", part.label) or len(part.label.encode()) > _LONGEST:
                raise ValueError(
                    f"{part.label:.40} names a group of a NetCDF file, and so must begin with a "
                    f"letter or digit and have at most {_LONGEST} bytes; name it by `as`"
                )
        return parts

    @field_validator(*AXES)
    @classmethod
    def _once(cls, parts: list[Any]) -> list[Any]:
        labels = [part.label if isinstance(part, Part) else part for part in parts]
        twice = sorted({str(label) for label in labels if labels.count(label) > 1})
        if twice:
            hint = "; tell them apart by `as`" if isinstance(labels[0], str) else ""
            raise ValueError(f"{', '.join(twice)} stands there twice{hint}")
        return parts


class Study(_Table):
    """A named union of grids; what a TOML file holds.

    Attributes
    ----------
    name : str
        Of the study; lower-case letters, digits, ``-`` and ``_``.
    description : str
    grid : list of Grid
        ``training``, ``extraction`` and ``comparison`` of the file hold for every grid, except
        what a grid sets itself.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")
    description: str = ""
    training: Training = Training()
    extraction: Extraction = Extraction()
    comparison: Comparison = Comparison()
    grid: list[Grid] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _share(cls, value: Any) -> Any:
        """Give each grid what the file says for all, below what it says itself."""
        if not isinstance(value, Mapping) or not isinstance(value.get("grid"), list):
            return value
        grids = []
        for grid in value["grid"]:
            if isinstance(grid, Mapping):
                grid = dict(grid)
                for table in _SHARED:
                    mine, all_of = grid.get(table, {}), value.get(table, {})
                    if isinstance(mine, Mapping) and isinstance(all_of, Mapping):
                        grid[table] = {**all_of, **mine}
            grids.append(grid)
        return {**value, "grid": grids}


def load_study(path: str | os.PathLike[str]) -> Study:
    """Read and check a study's TOML file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Study

    Raises
    ------
    StudyError
        No such file, not TOML, a key that there is not, or a value that may not be; names the
        place, the choices, and the likeliest one.
    """
    source = Path(path)
    try:
        raw = tomllib.loads(source.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise StudyError(f"{source}: no such file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{source} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{source} is not TOML: {error}.") from error
    return parse_study(raw, source=str(source))


def parse_study(raw: Mapping[str, Any], *, source: str = "study") -> Study:
    """Check a study given as nested mappings; ``source`` is what messages call it.

    Raises
    ------
    StudyError
        As :func:`load_study`.

    Examples
    --------
    >>> study = parse_study({"name": "small", "grid": [{"dataset": ["tiling"], "seed": [0, 1]}]})
    >>> study.grid[0].architecture[0].label, study.grid[0].seed
    ('fc', [0, 1])
    """
    try:
        return Study.model_validate(dict(raw))
    except ValidationError as error:
        tables: dict[str, type[BaseModel]] = {"": Study, "grid": Grid, "training": Training}
        tables |= {"extraction": Extraction, "comparison": Comparison}
        tables |= dict.fromkeys(AXES[:-1], Part)
        told = problems([dict(one) for one in error.errors()], tables)
        more = f" (and {len(told) - 3} more)" if len(told) > 3 else ""
        raise StudyError(f"{source}: {'; '.join(told[:3])}{more}.") from error
