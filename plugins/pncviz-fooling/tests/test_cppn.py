"""CPPNs: against neat-python's own networks, symmetries, and the state of `random`."""

import copy
import random

import fooling_reference as plain
import numpy as np
import pytest

from pncviz_fooling.cppn import RATES, Networks, _copied, draw_network, grid

X, Y, DISTANCE = -1, -2, -3


def networks(shape=(1, 6, 8), hsv=False, weight_power=1.6):
    return Networks(image_shape=shape, bounds=(0.0, 1.0), weight_power=weight_power, hsv=hsv)


def grown(nets, n=12, generations=30, seed=0):
    """Mutate again and again, without selection."""
    genomes = nets.first(n, np.random.default_rng(seed))
    for generation in range(1, generations + 1):
        rng = np.random.default_rng([seed, generation])
        genomes = nets.children(genomes, generation, rng)
    return genomes


@pytest.mark.parametrize("shape", [(1, 5, 7), (3, 4, 4)])
def test_drawing_equals_neat_pixel_by_pixel(shape):
    """All pixels at once give what neat-python's network gives for each."""
    nets = networks(shape)
    for genome in grown(nets):
        fast = draw_network(genome, nets.config, nets.grid)
        assert fast == pytest.approx(plain.plain_drawing(genome, nets.config, nets.grid), abs=1e-12)


def test_networks_begin_bare_and_grow():
    """The first have no hidden nodes and one link from each input; later ones have both more."""
    nets = networks()
    first = nets.first(5, np.random.default_rng(0))
    assert all(set(g.nodes) == {0} and len(g.connections) == 3 for g in first)
    later = grown(nets)
    assert np.mean([len(g.nodes) for g in later]) > 3
    assert all(abs(link.weight) <= 10 for g in later for link in g.connections.values())
    used = {node.activation for g in later for node in g.nodes.values()}
    assert used == {"sin", "sigmoid", "gauss", "identity"}


def test_rates_are_those_of_the_authors():
    """The published settings, as neat-python names them."""
    config = networks().config
    assert {name: getattr(config, name) for name in RATES} == RATES
    assert (RATES["node_add_prob"], RATES["conn_delete_prob"]) == (0.5, 0.3)


@pytest.mark.parametrize("seed", range(3))
def test_symmetric_inputs_give_symmetric_images(seed):
    """A network that is blind to the column draws mirror images of themselves, to the bit."""
    nets = networks()
    genomes = grown(nets, seed=seed)
    for genome in genomes:
        for key, link in genome.connections.items():
            if key[0] == X:
                link.enabled = False
    images = nets.images(genomes)
    assert np.array_equal(images, images[..., ::-1])
    assert not np.array_equal(images, images[..., ::-1, :])
    for genome in genomes:
        for key, link in genome.connections.items():
            if key[0] == Y:
                link.enabled = False
    round_ones = nets.images(genomes)
    assert np.array_equal(round_ones, round_ones[..., ::-1, :])
    assert np.ptp(round_ones, axis=(-2, -1)).max() > 0


def test_mirrored_weights_give_the_mirrored_image():
    """Turning the sign of every weight of the column turns the image over."""
    nets = networks()
    genomes = grown(nets, seed=4)
    straight = nets.images(genomes)
    for genome in genomes:
        for key, link in genome.connections.items():
            if key[0] == X:
                link.weight = -link.weight
    assert nets.images(genomes) == pytest.approx(straight[..., ::-1], abs=1e-12)


def test_grid():
    """Columns, rows and distances of a picture of two rows and three columns."""
    x, y, distance = grid(2, 3)
    assert x.tolist() == [-1, 0, 1, -1, 0, 1]
    assert y.tolist() == [-1, -1, -1, 1, 1, 1]
    assert distance == pytest.approx(np.sqrt([2, 1, 2, 2, 1, 2]))


def test_images_lie_within_bounds():
    """Outputs are cut to 0..1 by size, and stretched to the bounds."""
    nets = networks()
    genomes = grown(nets)
    images = nets.images(genomes)
    assert images.min() >= 0
    assert images.max() <= 1
    raw = np.stack([draw_network(g, nets.config, nets.grid) for g in genomes])
    assert images.reshape(raw.shape) == pytest.approx(np.minimum(np.abs(raw), 1))
    nets.bounds = (-2.0, 3.0)
    assert nets.images(genomes) == pytest.approx(5 * images - 2)


def test_colours_are_hue_saturation_value():
    """Three outputs are turned into red, green and blue as the standard library does."""
    nets = networks((3, 4, 4))
    genomes = grown(nets)
    hsv = nets.images(genomes).reshape(len(genomes), 3, 16)
    nets.hsv = True
    colours = nets.images(genomes).reshape(len(genomes), 3, 16)
    wanted = np.stack([plain.plain_rgb(image) for image in hsv])
    assert colours == pytest.approx(wanted, abs=1e-12)
    assert np.abs(colours - hsv).max() > 0.1


def test_global_random_state_is_neither_used_nor_changed():
    """What others drew from `random` changes nothing, and their next draw is as it would be."""
    random.seed(1)
    first = grown(networks())
    random.seed(2)
    expected = random.Random(2).random()
    second = grown(networks())
    assert [str(g) for g in first] == [str(g) for g in second]
    assert random.random() == expected


def test_random_state_is_put_back_after_an_exception():
    """A network that cannot be changed leaves the state of `random` as it was."""
    nets = networks()
    before = random.getstate()
    parent = nets.first(1, np.random.default_rng(0))[0]
    parent.nodes[0].bias = None
    nets.config.bias_mutate_rate = 1.0
    with pytest.raises(TypeError, match="NoneType"):
        nets.children([parent], 1, np.random.default_rng(0))
    assert random.getstate() == before


def test_children_differ_and_parents_stay():
    """Each child is changed by itself; its parent is as it was."""
    nets = networks()
    parent = grown(nets)[0]
    kept = copy.deepcopy(parent)
    children = nets.children([parent] * 6, 1, np.random.default_rng(0))
    assert str(parent) == str(kept)
    assert len({str(child) for child in children}) > 3
    assert str(_copied(parent)) == str(parent)


def test_generations_draw_what_their_generator_says():
    """Two generators make different populations, one the same."""
    one, same, other = (
        [str(g) for g in networks().first(3, np.random.default_rng(seed))] for seed in (0, 0, 1)
    )
    assert one == same != other


@pytest.mark.parametrize("power", [0.1, 1.0])
def test_weights_begin_and_change_by_normal_draws(power):
    """First weights have a standard deviation of 1; a tenth of them changes, by that asked for."""
    nets = networks(weight_power=power)
    genomes = nets.first(800, np.random.default_rng(0))
    weights = np.array([[link.weight for link in g.connections.values()] for g in genomes])
    assert weights.std() == pytest.approx(1, rel=0.1)
    assert weights.mean() == pytest.approx(0, abs=0.1)
    for name in ("conn_add_prob", "conn_delete_prob", "node_add_prob", "node_delete_prob"):
        setattr(nets.config, name, 0.0)
    children = nets.children(genomes, 1, np.random.default_rng(1))
    steps = np.array([[link.weight for link in g.connections.values()] for g in children]) - weights
    assert (steps != 0).mean() == pytest.approx(0.1, abs=0.03)
    assert steps[steps != 0].std() == pytest.approx(power, rel=0.2)


def test_disabled_links_and_dead_ends_draw_nothing():
    """A link that is switched off, and a node that leads nowhere, leave the image as it is."""
    nets = networks()
    (genome,) = nets.first(1, np.random.default_rng(3))
    image = nets.images([genome])
    genome.add_connection(nets.config, X, 7, 1.0, True)
    genome.nodes[7] = genome.create_node(nets.config, 7)
    assert np.array_equal(nets.images([genome]), image)
    for link in genome.connections.values():
        link.enabled = False
    flat = nets.images([genome])
    assert np.ptp(flat) == 0
    assert flat == pytest.approx(
        np.minimum(np.abs(plain.plain_drawing(genome, nets.config, nets.grid)), 1).reshape(
            flat.shape
        )
    )


def test_innovations_are_forgotten():
    """What neat-python keeps of one generation does not pile up over generations."""
    nets = networks()
    genomes = grown(nets)
    nets.children(genomes[:1], 31, np.random.default_rng(0))
    assert len(nets.config.innovation_tracker.generation_innovations) <= 3


def test_long_chains_stay_finite():
    """Hundreds of linear nodes in a row, each ten times the last, draw an image all the same."""
    nets = networks()
    (genome,) = nets.first(1, np.random.default_rng(0))
    for link in genome.connections.values():
        link.enabled = False
    for node in range(1, 400):
        genome.nodes[node] = genome.create_node(nets.config, node)
        genome.nodes[node].activation = "identity"
        genome.add_connection(nets.config, X if node == 1 else node - 1, node, 10.0, True)
    for sign in (10.0, -10.0):
        genome.add_connection(nets.config, 398 if sign > 0 else 399, 0, sign, True)
    assert np.isfinite(nets.images([genome])).all()
