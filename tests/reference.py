"""Slow, plain re-implementations that numerical methods are compared with."""

import math

import numpy as np
import torch


def descend_one(module, start, unit, *, learning_rate, max_iter, momentum=0.0):
    """One pattern, one update after the other, straight from the formula."""
    x, velocity = start.clone(), torch.zeros_like(start)
    for _ in range(max_iter):
        x.requires_grad_()
        logits = module(x[None])[0]
        loss = torch.logsumexp(logits, 0) - logits[unit]
        (gradient,) = torch.autograd.grad(loss, x)
        velocity = momentum * velocity + gradient
        x = (x - learning_rate * velocity).detach()
    return x


def contrast(X, y, label, *, minmax):
    """Positive mean minus negative mean, sample by sample."""
    positive = np.mean([x for x, target in zip(X, y, strict=True) if target == label], axis=0)
    negative = np.mean([x for x, target in zip(X, y, strict=True) if target != label], axis=0)
    if minmax:
        positive = (positive - positive.min()) / (positive.max() - positive.min())
        negative = (negative - negative.min()) / (negative.max() - negative.min())
    return positive - negative


def pearson(a, b):
    """Pearson's r, term by term."""
    a, b = list(np.ravel(a)), list(np.ravel(b))
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    top = sum((p - mean_a) * (q - mean_b) for p, q in zip(a, b, strict=True))
    left = math.sqrt(sum((p - mean_a) ** 2 for p in a))
    right = math.sqrt(sum((q - mean_b) ** 2 for q in b))
    return top / (left * right)


def cosine(a, b):
    """Cosine of the angle, term by term."""
    a, b = list(np.ravel(a)), list(np.ravel(b))
    top = sum(p * q for p, q in zip(a, b, strict=True))
    return top / math.sqrt(sum(p * p for p in a) * sum(q * q for q in b))


def spearman(a, b):
    """Pearson's r of ranks, for values without ties."""
    ranks = [[sorted(np.ravel(v)).index(value) for value in np.ravel(v)] for v in (a, b)]
    return pearson(*ranks)


def ssim(a, b, window=7):
    """Mean structural similarity of one-channel images in 0..1, window by window (Wang 2004)."""
    c1, c2, values = 0.01**2, 0.03**2, []
    for i in range(a.shape[0] - window + 1):
        for j in range(a.shape[1] - window + 1):
            p, q = (v[i : i + window, j : j + window].ravel() for v in (a, b))
            cov = np.cov(p, q)
            top = (2 * p.mean() * q.mean() + c1) * (2 * cov[0, 1] + c2)
            bottom = (p.mean() ** 2 + q.mean() ** 2 + c1) * (cov[0, 0] + cov[1, 1] + c2)
            values.append(top / bottom)
    return float(np.mean(values))


def identification_p(scores):
    """Share of all assignments whose mean own-class score is at least the observed one."""
    import itertools

    n = len(scores)
    observed = sum(scores[i][i] for i in range(n))
    sums = [
        sum(scores[i][order[i]] for i in range(n)) for order in itertools.permutations(range(n))
    ]
    return sum(total >= observed - 1e-9 for total in sums) / len(sums)


def phase_randomized(image, phases):
    """Turn every frequency of a one-channel image by a phase, coefficient by coefficient."""
    spectrum = np.fft.fft2(image)
    rows, columns = image.shape
    for i in range(rows):
        for j in range(columns):
            spectrum[i, j] *= phases[i, j]
    out = np.fft.ifft2(spectrum)
    assert np.abs(out.imag).max() < 1e-9
    return out.real


def benjamini_hochberg(p):
    """Adjusted p-values, straight from the step-up rule."""
    order = sorted(range(len(p)), key=lambda i: p[i], reverse=True)
    q, smallest = [0.0] * len(p), 1.0
    for place, i in enumerate(order):
        smallest = min(smallest, p[i] * len(p) / (len(p) - place))
        q[i] = smallest
    return q


def band_passed(image, low, high):
    """The part of (channels, rows, columns) whose frequencies lie in low < radius ≤ high."""
    found = np.zeros(image.shape)
    for c, channel in enumerate(image):
        transform = np.fft.fft2(channel)
        rows, columns = channel.shape
        for i in range(rows):
            for j in range(columns):
                u, v = min(i, rows - i) / rows, min(j, columns - j) / columns
                if not low < math.sqrt(u * u + v * v) <= high:
                    transform[i, j] = 0
        found[c] = np.fft.ifft2(transform).real
    return found


def partial_similarities(blocks, image):
    """Pearson's r of the first block, the first two, … with an image; blocks (n, *image)."""
    return [pearson(sum(blocks[1 : n + 1], blocks[0]), image) for n in range(len(blocks))]


def activation_pattern(coef, X, *, joint):
    """Haufe's patterns by the whole covariance."""
    cov = np.cov(X, rowvar=False)
    if joint:
        return (cov @ coef.T @ np.linalg.pinv(np.cov(X @ coef.T, rowvar=False), rcond=1e-10)).T
    return np.stack([cov @ w / np.var(X @ w, ddof=1) for w in coef])


def template_hits(images, labels, X, y):
    """How many samples correlate most with the image of their own class, one by one."""
    hits = 0
    for x, target in zip(X, y, strict=True):
        r = {label: pearson(x, image) for label, image in zip(labels, images, strict=True)}
        hits += max(r, key=r.get) == target
    return hits


def plain_smallest_change(model, start, direction, code, targeted, clip):
    """Search one row's line step by step: growth by a root of 2, then eight halvings."""
    limit = 1024.0 if clip is None else 16 * (clip[1] - clip[0])
    unit = direction / direction.abs().max()

    def at(magnitude):
        x = start + magnitude * unit
        return x if clip is None else x.clamp(*clip)

    def there(x):
        return (int(model.labels(x[None])) == code) == targeted

    def share(x):
        p = float(model.probabilities(x[None])[0, code])
        return p if targeted else 1 - p

    if there(start):
        return start, True
    best, low = start, 0.0
    for step in range(24, -1, -1):
        magnitude = limit * math.sqrt(2) ** -step
        x = at(magnitude)
        if there(x):
            break
        low = magnitude
        if share(x) > share(best):
            best = x
    else:
        return best, False
    for _ in range(8):
        middle = (low + magnitude) / 2
        if there(at(middle)):
            x, magnitude = at(middle), middle
        else:
            low = middle
    return x, True


def layer_output(module, layer, X):
    """What a forward hook sees come out of a layer, one sample at a time."""
    seen, was = [], module.training
    part = dict(module.named_modules())[layer]
    hook = part.register_forward_hook(lambda *call: seen.append(call[2].detach().clone()))
    dtype = next(module.parameters()).dtype
    with torch.no_grad():
        for x in X:
            module.eval()(torch.as_tensor(np.array(x)[None], dtype=dtype))
    hook.remove()
    module.train(was)
    return torch.cat(seen).numpy()


def sign_example(module, x, unit, *, epsilon, targeted, low=None, high=None):
    """One sample and one signed gradient step, away from a unit or towards it."""
    x = torch.as_tensor(x).clone().requires_grad_()
    logits = module(x[None])[0]
    loss = torch.logsumexp(logits, 0) - logits[unit]
    (gradient,) = torch.autograd.grad(loss, x)
    made = x.detach() + (-1 if targeted else 1) * epsilon * gradient.sign()
    return made if low is None else made.clamp(low, high)


def wilson(hits, n, z=1.959963984540054):
    """Wilson's interval of a share, from the closed formula."""
    p = hits / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def plain_range_scale(deviation, mean, low, high, tolerance):
    """The largest factor, by trying every pixel's own limit, largest first."""
    limits = []
    for d, m in zip(deviation, mean, strict=True):
        if d:
            limits.append(((m - low) if d < 0 else (high - m)) / abs(d))
    total = sum(d * d for d in deviation)
    for factor in sorted(limits, reverse=True):
        out = 0.0
        for d, m in zip(deviation, mean, strict=True):
            moved = m + factor * d
            if moved < low - 1e-12 or moved > high + 1e-12:
                out += d * d
        if out <= tolerance * total + 1e-12:
            return factor
    return 0.0


def dense_wiener(pattern, covariance, log_ratios):
    """Wiener's filter by full matrices: the likeliest signal and noise over a grid of ratios."""
    n, best = len(pattern), None
    unit = np.linalg.eigvalsh(covariance)[-1]
    for log_ratio in log_ratios:
        noise = unit * np.exp(log_ratio)
        whole = covariance + noise * np.eye(n)
        size = pattern @ np.linalg.solve(whole, pattern) / n
        surprise = np.linalg.slogdet(whole)[1] + n * np.log(size)
        if best is None or surprise < best[0]:
            best = (surprise, covariance @ np.linalg.solve(whole, pattern), noise)
    share = n * best[2] / (np.trace(covariance) + n * best[2])
    return best[1], share


def plain_psnr(a, b, peak):
    """Peak signal-to-noise ratio in dB, pixel by pixel."""
    squares = [(x - y) ** 2 for x, y in zip(np.ravel(a), np.ravel(b), strict=True)]
    return 10 * math.log10(peak**2 / (sum(squares) / len(squares)))
