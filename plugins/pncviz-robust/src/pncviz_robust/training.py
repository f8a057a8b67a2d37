"""Adversarial training: learn from clean and adversarial batches at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from skorch.dataset import unpack_data
from skorch.utils import to_tensor
from torch import Tensor
from torch.utils.data import Subset

from pncviz import Attack, make_attack
from pncviz.exceptions import ParameterError
from pncviz.synthesis import check_clip, check_count, check_number
from pncviz.training import Classifier
from pncviz_robust.adversary import Adversary

__all__ = ["AdversarialClassifier"]


class AdversarialClassifier(Classifier):
    r"""A classifier that learns from adversarial examples, made from its weights at each step.

    The loss is ``mixture`` times that of the clean batch plus ``1 - mixture`` times that of the
    batch after an untargeted attack. The attack sees the module in evaluation mode; gradients of
    weights, statistics of batch normalisation and torch's random state are what they would be
    without it. The two batches are passed one after the other.

    Parameters
    ----------
    *args, **kwargs
        Of :class:`~pncviz.training.Classifier`; :func:`~pncviz.make_classifier` gives them.
    attack : str or Attack, default="fgsm"
        A registered name or an instance. A net that was trained with an instance cannot be kept
        in a file: give the name, and ``attack_params``.
    attack_params : mapping, optional
        Of an attack given by name, such as ``{"epsilon": 0.25}``.
    mixture : float, default=0.5
        Weight of the clean loss: 0.5 in Goodfellow et al., 0 in Madry et al., 1 leaves the attack
        out.
    max_iter : int, default=40
        The most steps of the attack, which may take fewer by itself.
    clip : (low, high), optional
        Bounds of adversarial examples; the attack gets them, too, if it has a ``clip`` of its own
        that is not given.

    Notes
    -----
    An attack that learns from data does so again at the beginning of each epoch, from the part
    that is trained on. Chance in the attack follows torch's seed. ``train_acc`` in the history is
    of the clean batch, or with ``mixture=0`` of the adversarial one; so is the accuracy that a stop
    rule looks at.

    References
    ----------
    goodfellow2015explaining, section 6; madry2018towards, section 2.

    Examples
    --------
    >>> from pncviz import load_dataset, make_classifier
    >>> data = load_dataset("digits")
    >>> net = make_classifier(
    ...     "fc",
    ...     hidden=[16],
    ...     max_epochs=1,
    ...     trainer="adversarial",
    ...     trainer_params={"attack_params": {"epsilon": 0.1}, "clip": (0, 1)},
    ... )
    >>> net.fit(data.X, data.y).predict(data.X).shape
    (1347,)
    """

    _adversary: Adversary | None = None

    def __init__(
        self,
        *args: Any,
        attack: str | Attack = "fgsm",
        attack_params: Mapping[str, Any] | None = None,
        mixture: float = 0.5,
        max_iter: int = 40,
        clip: tuple[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.attack = attack
        self.attack_params = attack_params
        self.mixture = mixture
        self.max_iter = max_iter
        self.clip = clip

    def validate(self) -> None:
        """Raise for a bad parameter, or for an attack that there is not."""
        check_number("mixture", self.mixture, low=0, high=1)
        check_count("max_iter", self.max_iter)
        check_clip(self.clip)
        self._made_attack()

    def fit_loop(self, X: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train for some epochs; the model that the attack sees is made once for all of them."""
        self._adversary = self._made_adversary(X, y) if self.mixture < 1 else None
        try:
            return super().fit_loop(X, y, *args, **kwargs)
        finally:
            del self._adversary

    def on_epoch_begin(
        self, net: Any, dataset_train: Any = None, dataset_valid: Any = None, **kwargs: Any
    ) -> None:
        """Let an attack that learns from data learn again: from what is trained on, by now."""
        super().on_epoch_begin(
            net, dataset_train=dataset_train, dataset_valid=dataset_valid, **kwargs
        )
        if self._adversary is not None and self._adversary.prepares:
            rows: Any = slice(None)
            while isinstance(dataset_train, Subset):
                inner = np.asarray(dataset_train.indices)
                rows = inner if isinstance(rows, slice) else inner[rows]
                dataset_train = dataset_train.dataset
            self._adversary.renew(
                np.asarray(dataset_train.X)[rows], np.asarray(dataset_train.y)[rows]
            )

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Take the gradient of the mixed loss of one batch.

        Parameters
        ----------
        batch : pair of samples and labels
        **fit_params
            Of the module's ``forward``.

        Returns
        -------
        dict
            ``loss``, and ``y_pred`` of the clean batch if that has any weight.
        """
        if self.mixture == 1:
            step: dict[str, Tensor] = super().train_step_single(batch, **fit_params)
            return step
        X, y = unpack_data(batch)
        # Outside of fit there is none, as when a single step is taken by hand.
        adversary = self._adversary or self._made_adversary(X, y)
        moved = adversary(to_tensor(X, device=self.device), to_tensor(y, device=self.device))
        self._set_training(True)
        if self.mixture == 0:
            answer = self.infer(moved, **fit_params)
            loss = self.get_loss(answer, y, X=moved, training=True)
        else:
            answer = self.infer(X, **fit_params)
            clean = self.get_loss(answer, y, X=X, training=True)
            apart = self.get_loss(self.infer(moved, **fit_params), y, X=moved, training=True)
            loss = self.mixture * clean + (1 - self.mixture) * apart
        loss.backward()
        return {"loss": loss, "y_pred": answer}

    # ---------------------------------------------------------------------- inside

    def _made_attack(self) -> Attack:
        """Make the attack of its name, or take a copy of the given one."""
        if not isinstance(self.attack_params, Mapping | None):
            raise ParameterError(
                "`attack_params` must be None or a mapping of parameters, got "
                f"{self.attack_params!r:.80}."
            )
        given = dict(self.attack_params or {})
        if isinstance(self.attack, str):
            attack = make_attack(self.attack, **given)
        elif isinstance(self.attack, Attack) and not given:
            attack = clone(self.attack)
        else:
            raise ParameterError(
                "`attack` must be the name of an attack with its `attack_params`, or an attack "
                f"without, got {self.attack!r:.80} with {given!r:.80}."
            )
        if self.clip is not None and getattr(attack, "clip", 0) is None:
            attack.set_params(clip=tuple(self.clip))
        attack.validate()
        return attack

    def _made_adversary(self, X: Any, y: Any) -> Adversary:
        usual = isinstance(self.criterion_, torch.nn.CrossEntropyLoss)
        return Adversary(
            self._made_attack(),
            self.module_,
            X,
            y,
            max_iter=self.max_iter,
            clip=self.clip,
            output="logits" if usual else "auto",
        )
