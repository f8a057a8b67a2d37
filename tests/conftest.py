"""What the tests share."""

import os
import signal
import threading
from pathlib import Path

import pytest
import torch

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    # Shells start background jobs deaf to Ctrl-C, which the processes of tests would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)


ROOT = Path(__file__).parent.parent

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # threads of two workers would spin against each other


@pytest.fixture(scope="session")
def mnist_folder():
    """The folder that holds mnist/ and fashion-mnist/, or a skip that says why."""
    for folder in (os.environ.get("PNCVIZ_DATA"), ROOT.parent / "shared" / "data"):
        if folder and (Path(folder) / "mnist").is_dir():
            return Path(folder)
    pytest.skip("MNIST is not here: set PNCVIZ_DATA to a folder with mnist/ and fashion-mnist/")


@pytest.fixture(scope="session")
def mnist(mnist_folder):
    """MNIST, whole."""
    from pncviz import load_dataset

    return load_dataset("mnist", folder=mnist_folder / "mnist")


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits, split."""
    from pncviz import load_dataset

    return load_dataset("digits")


@pytest.fixture(scope="session")
def digits_net(digits):
    """A trained FC on digits; tests must not change it."""
    from pncviz import make_classifier

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return make_classifier("fc", max_epochs=15).fit(digits.X, digits.y)
