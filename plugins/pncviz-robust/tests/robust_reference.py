"""Slow, plain re-implementations that training and inversion are compared with."""

import copy

import torch


def mixed_steps(module, batches, *, lr, epsilon, mixture):
    """Goodfellow's adversarial training with FGSM, step by step, by autograd and SGD."""
    module = copy.deepcopy(module)
    for X, y in batches:
        module.eval()
        x = X.clone().requires_grad_()
        loss = torch.nn.functional.cross_entropy(module(x), y)
        (gradient,) = torch.autograd.grad(loss, x)
        moved = X + epsilon * gradient.sign()
        module.train()
        module.zero_grad()
        clean = torch.nn.functional.cross_entropy(module(X), y) if mixture else 0.0
        apart = torch.nn.functional.cross_entropy(module(moved), y)
        (mixture * clean + (1 - mixture) * apart).backward()
        with torch.no_grad():
            for weight in module.parameters():
                weight -= lr * weight.grad
    return module


def fgsm(module, X, y, epsilon, low, high):
    """One step by the sign of the gradient, within bounds."""
    x = X.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(module(x), y), x)
    return (X + epsilon * gradient.sign()).clamp(low, high)
