"""Deterministic mode: the same bits, in a fresh process."""

import subprocess
import sys

SCRIPT = """
import hashlib, warnings
import numpy as np, torch
from pncviz import extract_patterns, load_dataset, make_attack, make_classifier, make_strategy
warnings.simplefilter("ignore")
data = load_dataset("digits")
X = data.X.reshape(len(data.X), -1)[:, :35]  # odd widths, so that vector tails are met

def digest(patterns, label):
    one = patterns.sel(label=label)
    blob = one["pattern"].values.tobytes() + one["confidence"].values.tobytes()
    return hashlib.sha256(blob + one["n_iter"].values.tobytes()).hexdigest()

def nets():
    torch.manual_seed(0)
    fc = make_classifier("fc", hidden=[33, 7], max_epochs=2).fit(X, data.y)
    cnn = make_classifier("cnn", convolutions=[9, 18], dense=[21], batch_norm=True, max_epochs=1)
    yield fc, (35,), make_strategy("noise")
    yield cnn.fit(data.X, data.y), (1, 8, 8), make_strategy("aai", n_examples=3)

attacks = ["gradient_descent", make_attack("gradient_descent", momentum=0.5, learning_rate=0.3)]
for net, shape, strategy in nets():
    for attack in attacks:
        found = {}
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for batch_size in (1, 7, 64):
                for labels in (None, [7, 3, 1], [3]):
                    patterns = extract_patterns(
                        net, input_shape=shape, strategy=strategy, attack=attack, labels=labels,
                        batch_size=batch_size, max_iter=25, min_confidence=0.9, random_state=0,
                        deterministic=True,
                    )
                    assert torch.get_num_threads() == threads
                    for label in patterns["label"].values.tolist():
                        found.setdefault(label, set()).add(digest(patterns, label))
        assert len(found) == 10
        assert all(len(digests) == 1 for digests in found.values()), found
print("same bits")
"""


def test_same_bits_for_batches_orders_subsets_and_threads():
    """Batch sizes 1, 7, 64, any order, a subset of labels, 1 and 2 threads: one set of bits."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "same bits"


def test_mode_is_recorded(digits_net):
    """The attributes say whether the mode was on, and the processor's vector unit."""
    from pncviz import extract_patterns

    patterns = extract_patterns(digits_net, image_shape=(8, 8), max_iter=30, deterministic=True)
    assert patterns.attrs["deterministic"] == 1
    assert patterns.attrs["cpu_capability"]
