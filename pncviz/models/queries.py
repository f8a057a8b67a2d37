"""A model that is asked only: its queries are counted, kept if wished, and shared by processes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pickle import PicklingError
from typing import Any

import joblib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pncviz.exceptions import ModelError
from pncviz.models.blackbox import ProbabilityModel
from pncviz.models.naming import identity_of, told_name
from pncviz.specs import QUERIES, Model

__all__ = ["QueriedModel"]

logger = logging.getLogger("pncviz")

#: Seconds between two lines of the log.
_TELL_EVERY = 30.0


class QueriedModel:
    """What is left of a model if it can only be asked: probabilities and labels, and a count.

    Parameters
    ----------
    model : Model
    memory : path or joblib.Memory, optional
        Where answers are kept, so that an interrupted search goes on where it was when it is
        started again: what was asked before, in the same batches, is not asked again.
    n_jobs : int, optional
        Processes that a scientific-Python classifier is asked in, as joblib counts them; None is
        one. ``joblib.parallel_config(backend="threading")`` makes them threads.

    Attributes
    ----------
    n_queries : int
        Inputs that the model was asked about; one that is asked for probabilities and for its
        label counts twice.
    n_remembered : int
        Inputs whose answers ``memory`` knew.
    batch_size : int
        The most rows to hand over at once.

    Examples
    --------
    >>> import torch
    >>> from pncviz.models import TorchModel
    >>> model = QueriedModel(TorchModel(torch.nn.Linear(4, 3), input_shape=(4,)))
    >>> with model.session():
    ...     model.labels(torch.zeros(5, 4)).shape, model.n_queries
    (torch.Size([5]), 5)
    """

    def __init__(self, model: Model, *, memory: Any = None, n_jobs: int | None = None) -> None:
        self._model = model
        self.classes, self.n_units = model.classes, model.n_units
        self.input_shape, self.device, self.dtype = model.input_shape, model.device, model.dtype
        self.capabilities = model.capabilities & QUERIES
        self.labels_by_logits: bool = getattr(model, "labels_by_logits", False)
        reason = "it may only be asked"
        self.problems = {
            "gradients": reason,
            "layers": reason,
            **getattr(model, "problems", {}),
        }
        self.n_queries = self.n_remembered = 0
        #: Called with the number of inputs after each answer.
        self.progress: Callable[[int], object] | None = None
        self._jobs = 1
        if n_jobs is not None and isinstance(model, ProbabilityModel):
            self._jobs = joblib.effective_n_jobs(n_jobs)
        self._memory = _memory(memory)
        self._name: str | None = None
        self._parallel: Any = None
        self._told, self._begun = 0.0, 0.0

    @property
    def batch_size(self) -> int:
        """The most rows to hand over at once: a batch for each process."""
        return self._model.batch_size * self._jobs

    @batch_size.setter
    def batch_size(self, rows: int) -> None:
        self._model.batch_size = max(1, rows // self._jobs)

    def tensor(self, array: Any) -> Tensor:
        """Put an array of n inputs where the model's inputs lie."""
        return self._model.tensor(array)

    def logits(self, x: Tensor) -> Tensor:
        """Ask for logits (n, n_units)."""
        return self._answers("logits", x)

    def probabilities(self, x: Tensor) -> Tensor:
        """Ask for probabilities (n, n_units)."""
        return self._answers("probabilities", x)

    def labels(self, x: Tensor) -> Tensor:
        """Ask for the unit that each input is taken for (n,)."""
        return self._answers("labels", x)

    def activations(
        self,
        x: Tensor,  # noqa: ARG002 # part of the protocol
        layers: Sequence[str],
    ) -> Mapping[str, Tensor]:
        """Raise: layers are not asked for."""
        raise ModelError(f"{self.problems['layers']} (layers {', '.join(layers)}).")

    @contextmanager
    def session(self) -> Iterator[None]:
        """Enter the model's session; processes, if any, live as long."""
        with self._model.session():
            if self._jobs == 1:
                yield
                return
            with joblib.Parallel(n_jobs=self._jobs) as self._parallel:
                try:
                    yield
                finally:
                    self._parallel = None

    def fingerprint(self) -> list[float]:
        """Sum up what an attack must not change."""
        found: list[float] = getattr(self._model, "fingerprint", list)()
        return found

    def _answers(self, method: str, x: Tensor) -> Tensor:
        before = self.n_queries
        if self._memory is None:
            answer = self._asked(method, x)
        else:
            kept = self._memory.cache(_kept, ignore=["model"], verbose=0)
            rows = x.detach().cpu().numpy()
            answer = torch.from_numpy(kept(self, self._identity(), method, rows)).to(self.device)
        if self.n_queries == before:
            self.n_remembered += len(x)
        if self.progress is not None:
            self.progress(len(x))
        return answer

    def _asked(self, method: str, x: Tensor) -> Tensor:
        """Ask, in blocks of one size whatever the number of processes."""
        begin = time.monotonic()
        blocks = torch.split(x.detach(), self._model.batch_size)
        with torch.no_grad():
            if self._parallel is None or len(blocks) == 1:
                answers = [getattr(self._model, method)(block) for block in blocks]
            else:
                answers = self._shared(method, blocks)
                answers = [torch.from_numpy(answer) for answer in answers]
        self.n_queries += len(x)
        self._tell(time.monotonic() - begin, len(x))
        return answers[0] if len(answers) == 1 else torch.cat(answers)

    def _shared(self, method: str, blocks: Sequence[Tensor]) -> list[Any]:
        """Ask in several processes."""
        try:
            found: list[Any] = self._parallel(
                joblib.delayed(_ask)(self._model, method, block.numpy()) for block in blocks
            )
        except (PicklingError, TypeError) as error:
            raise ModelError(
                f"{told_name(self._model)} cannot be sent to other processes, as `n_jobs` asks; "
                f'leave it None, or use joblib.parallel_config(backend="threading"): {error}'
            ) from error
        return found

    def _tell(self, seconds: float, n: int) -> None:
        """Say now and then how many inputs a slow model has been asked about."""
        now = time.monotonic()
        self._begun = self._begun or now - seconds
        if now - max(self._told, self._begun) >= _TELL_EVERY:
            self._told = now
            logger.info(
                "Asked about %d inputs so far, %.3g a second.",
                self.n_queries,
                n / max(seconds, 1e-9),
            )

    def _identity(self) -> str:
        """Name the model by what it is made of, so that another's answers are never taken."""
        if self._name is None:
            self._name = identity_of(self._model)
        return self._name


def _ask(model: Model, method: str, rows: NDArray[Any]) -> NDArray[Any]:
    """Ask in another process, which takes and gives arrays."""
    with torch.no_grad():
        answer: NDArray[Any] = getattr(model, method)(torch.from_numpy(np.array(rows))).numpy()
    return answer


def _kept(
    model: QueriedModel,
    identity: str,  # noqa: ARG001 # by this and what follows an answer is found again
    method: str,
    rows: NDArray[Any],
) -> NDArray[Any]:
    """Ask, unless joblib's memory knows the answer."""
    x = torch.from_numpy(rows).to(model.device)
    return model._asked(method, x).cpu().numpy()


def _memory(memory: Any) -> joblib.Memory | None:
    if memory is None or isinstance(memory, joblib.Memory):
        return memory if memory is None or memory.location is not None else None
    return joblib.Memory(memory, verbose=0)
