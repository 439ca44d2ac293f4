"""From network outputs to labels, from labels to scores, from scores to a file."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from pgkt_jax.data.batch import stack_people
from pgkt_jax.data.person import Person
from pgkt_jax.data.pictures import decode_image
from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.skeleton import IGNORE, PASCAL_PERSON, Part, Skeleton
from pgkt_jax.stages.evaluate import (
    BATCH,
    SHOWN,
    both_ways,
    labels_of,
    on_canvas,
    predict,
    samples,
    score_people,
    write_results,
)
from pgkt_jax.train.metrics import confusion_matrix, score

SIZE = (32, 24)


def labels(outputs, boxes, canvas, *, masks, outline=0):
    """Of people whose photographs are black."""
    black = Person("black", np.zeros((*canvas, 3), np.uint8), np.zeros((16, 2), np.float32), np.zeros(16, bool))
    full = on_canvas(outputs, boxes, canvas)
    return labels_of(full, stack_people([black] * len(outputs), canvas), masks=masks, outline=outline)


def test_masks_count_from_a_half_and_logits_by_the_largest():
    box = jnp.array([[-0.5, -0.5, 2.5, 1.5]])
    masks = jnp.array([[[[0.5, 0.4], [0.4, 0.49], [0.6, 0.7]], [[0.0, 0.0], [0.5, 0.51], [1.0, 0.2]]]])
    expected = [[[1, 0, 2], [0, 2, 1]]]
    np.testing.assert_array_equal(labels(masks, box, (2, 3), masks=True), expected)
    logits = jnp.concatenate([jnp.full((1, 2, 3, 1), 0.45), masks], -1)
    expected = [[[1, 2, 2], [0, 2, 1]]]
    np.testing.assert_array_equal(labels(logits, box, (2, 3), masks=False), expected)


def test_masks_are_interpolated_before_they_are_decided():
    """Seen at half the size: the border between .9 and 0 lies where linear interpolation crosses .5, not half way."""
    masks = jnp.array([[[[0.9], [0.0]]]])
    found = labels(masks, jnp.array([[-0.5, -0.5, 7.5, 0.5]]), (1, 8), masks=True)
    at = (np.arange(8) + 0.5) / 4 - 0.5
    np.testing.assert_array_equal(found[0, 0], np.interp(at, [0, 1], [0.9, 0]) >= 0.5)


def test_the_outline_of_masks_follows_the_photograph_within_the_image_only():
    """A mask that ends in a light half by mistake is background there; the canvas around the image is light, too."""
    image = np.zeros((8, 12, 3), np.uint8)
    image[:, 6:] = 255
    person = Person("half", image, np.zeros((16, 2), np.float32), np.zeros(16, bool))
    people = stack_people([person], (12, 20))
    masks = np.zeros((1, 12, 20, 2), np.float32)
    masks[0, :, :7, 1], masks[0, 8:], masks[0, :, 12:] = 0.8, 1, 1
    masks += np.random.default_rng(0).normal(-0.02, 0.02, masks.shape).astype(np.float32)  # L1 keeps none in 0..1
    before, after = (
        np.asarray(labels_of(jnp.asarray(masks), people, masks=True, outline=radius))[0, :8, :12] for radius in (0, 3)
    )
    np.testing.assert_array_equal(before, np.where(np.arange(12) < 7, [[2]] * 8, 0))
    np.testing.assert_array_equal(after, np.where(np.arange(12) < 6, [[2]] * 8, 0))


@pytest.mark.parametrize("background", [True, False])
def test_a_network_tested_both_ways_has_left_and_right_in_their_places(background):
    """A left fin on the picture's right is, in the mirror, a right fin on the left."""
    fins = tuple(Part(name, ("nose", name), name) for name in ("left_fin", "right_fin"))
    fish = Skeleton("fish", ("nose", "tail", "left_fin", "right_fin"), fins, ("nose", "tail"))

    def outputs(boxes):
        mirrored = boxes[:, 0] > boxes[:, 2]
        left = jnp.where(mirrored[:, None, None], jnp.array([[0.0, 0, 0, 0]]), jnp.array([[0.0, 0, 0, 1]]))
        right = jnp.where(mirrored[:, None, None], jnp.array([[1.0, 0, 0, 0]]), jnp.array([[0.0, 0, 0, 0]]))
        return jnp.stack([0 * left, left, right][not background :], -1)

    boxes = jnp.array([[-0.5, -0.5, 3.5, 0.5]])
    np.testing.assert_array_equal(both_ways(outputs, boxes, fish, mirror=True), outputs(boxes))


def test_samples_show_photograph_labels_and_truth_of_the_first_people():
    people = stack_people([draw_puppet(row, size=SIZE) for row in range(SHOWN + 1)], (40, 40))
    truth = PASCAL_PERSON.class_lut[people.label_maps]
    sheet = decode_image(samples(truth, people, PASCAL_PERSON))
    picture = 144  # the width at a height of 192
    assert sheet.shape[1] == 4 + 3 * (picture + 4)
    photograph, labels, expected = (sheet[24:, left : left + picture].astype(int) for left in (4, 152, 300))
    np.testing.assert_array_equal(labels, expected)
    assert np.abs(labels - photograph).mean() > 1
    others = np.where(np.arange(SHOWN + 1)[:, None, None] < SHOWN, truth, 0)
    assert samples(others, people, PASCAL_PERSON) == samples(truth, people, PASCAL_PERSON)
    assert samples(np.zeros_like(truth), people, PASCAL_PERSON) != samples(truth, people, PASCAL_PERSON)
    assert samples(truth[:0], people, PASCAL_PERSON) is None


def test_predict_keeps_the_order_and_compiles_one_batch_size():
    people = stack_people([draw_puppet(row, size=SIZE) for row in range(BATCH + 1)], SIZE, range(BATCH + 1))
    assert people.size % BATCH
    sizes = set()

    def label(batch):
        sizes.add(batch.size)
        return jnp.asarray(np.broadcast_to(batch.bank_rows[:, None, None], batch.label_maps.shape).astype(np.uint8))

    labels = predict(label, people)
    assert sizes == {BATCH}
    np.testing.assert_array_equal(labels[:, 0, 0], np.arange(people.size))


def test_the_canvas_around_an_image_does_not_count():
    small, large = (
        dataclasses.replace(person, image=person.image[:h], label_map=person.label_map[:h])
        for person, h in ((draw_puppet(0, size=SIZE), 20), (draw_puppet(1, size=SIZE), 32))
    )
    people = stack_people([small, large], SIZE)
    assert (people.label_maps[0, 20:] == IGNORE).all()
    truth = PASCAL_PERSON.class_lut[people.label_maps]
    labels = np.where(truth == IGNORE, 3, truth)
    assert score_people(labels, people, PASCAL_PERSON)["miou"] == 1


def test_a_class_that_is_nowhere_is_null_in_the_results(tmp_path):
    """NaN is no JSON: other programs could not read the file."""
    classes = np.array([[0, 1, 2]], np.uint8)
    row = {"name": "x", **score([confusion_matrix(classes, classes, 4)], ("background", "a", "b", "c"))}
    write_results(tmp_path / "results.json", [row], {"size": (2, 3)})
    document = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    expected = {"name": "x", "miou": 1.0, "iou": {"background": 1.0, "a": 1.0, "b": 1.0, "c": None}}
    assert document == {"rows": [expected], "settings": {"size": [2, 3]}}
