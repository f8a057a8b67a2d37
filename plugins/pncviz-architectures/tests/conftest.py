"""What the tests share."""

import pytest
import torch

torch.set_num_threads(1)  # nets are small, and threads of several workers would spin


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same numbers, and leaves torch's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
