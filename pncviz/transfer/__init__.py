"""What one model's adversarial examples and patterns do to another."""

from pncviz.transfer.agreement import pattern_agreement
from pncviz.transfer.examples import transfer_matrix
from pncviz.transfer.patterns import pattern_transfer
from pncviz.transfer.rubbish import rubbish_error

__all__ = ["pattern_agreement", "pattern_transfer", "rubbish_error", "transfer_matrix"]
