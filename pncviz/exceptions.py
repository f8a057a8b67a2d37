"""What can go wrong, by name.

Every class is a :class:`PncvizError` *and* the built-in exception that it specialises, so code
that knows only ``ValueError`` keeps working.
"""

from __future__ import annotations

__all__ = [
    "AdapterError",
    "ChecksumError",
    "ConflictError",
    "DataError",
    "DataTypeError",
    "DatasetError",
    "LabelError",
    "ModelError",
    "ParameterError",
    "PatternWarning",
    "PluginError",
    "PluginWarning",
    "PncvizError",
    "PncvizWarning",
    "ResultError",
    "StudyError",
    "UnknownNameError",
]


class PncvizError(Exception):
    """The root of pncviz's own errors."""


class ParameterError(PncvizError, ValueError):
    """A parameter has a value that it may not have."""


class DataError(PncvizError, ValueError):
    """Samples (X) that cannot be used as they are."""


class DataTypeError(PncvizError, TypeError):
    """Samples (X) of a type that must be converted first."""


class LabelError(PncvizError, ValueError):
    """Labels (y, ``labels``, ``classes``) that do not fit the samples or the model."""


class ModelError(PncvizError, ValueError):
    """An estimator or module that pncviz cannot reach or cannot trust."""


class AdapterError(ModelError):
    """No adapter fits an estimator, or a strategy or attack needs what the model lacks."""


class PluginError(PncvizError, RuntimeError):
    """A plugin broke its contract; the message names the plugin."""


class UnknownNameError(PncvizError, ValueError, LookupError):
    """No strategy, attack, … of that name; the message lists the choices."""


class ConflictError(PncvizError, ValueError, LookupError):
    """Two distributions claim one name, so neither gets it."""


class DatasetError(PncvizError, ValueError):
    """A data file or folder that is not what it should be; names the path."""


class ChecksumError(DatasetError):
    """Data whose sum differs from the published one."""


class ResultError(PncvizError, ValueError):
    """A labelled dataset, or a file of one, that breaks the schema."""


class StudyError(PncvizError, ValueError):
    """A study file, or the folder of a study, that cannot be used; names the path or the key."""


class PncvizWarning(UserWarning):
    """The root of pncviz's own warnings."""


class PatternWarning(PncvizWarning):
    """Patterns that did not reach their class, or that mean less than they seem to."""


class PluginWarning(PncvizWarning):
    """A plugin that could not be loaded or used."""
