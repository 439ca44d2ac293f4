"""From people to batches: canvases, the order of an epoch, streaming, and who of a data set has a mask."""

import dataclasses
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pgkt_jax.config import DataConfig
from pgkt_jax.data.batch import canvas_of, stack_people, take
from pgkt_jax.data.loader import stream
from pgkt_jax.data.order import batch_rows, sample_row
from pgkt_jax.data.person import Person
from pgkt_jax.data.puppet_animals import PuppetAnimals
from pgkt_jax.data.sources import open_people, read_splits, splits_of, with_parsing
from pgkt_jax.skeleton import IGNORE, PASCAL_PERSON
from pgkt_jax.train.loop import Resident

rng = np.random.default_rng(0)
JOINTS = PASCAL_PERSON.num_joints


def person(name, size=(6, 8), *, labelled=True):
    return Person(
        id=name,
        image=rng.integers(0, 256, (*size, 3), np.uint8),
        joints=rng.uniform(0, min(size), (JOINTS, 2)).astype(np.float32),
        visible=rng.random(JOINTS) < 0.8,
        label_map=rng.integers(0, PASCAL_PERSON.num_parts + 1, size, np.uint8) if labelled else None,
    )


PEOPLE = [person(str(i), (4 + i % 3, 7 - i % 2), labelled=i % 4 != 0) for i in range(11)]
CANVAS = (6, 7)


def assert_same(ours, expected):
    jax.tree.map(np.testing.assert_array_equal, ours, expected)


# --- Batches --------------------------------------------------------------------------------------


def test_a_canvas_holds_the_image_its_labels_and_no_made_up_label():
    people = stack_people(PEOPLE, canvas_of(PEOPLE), bank_rows=range(11))
    assert people.images.shape == (11, *CANVAS, 3)
    assert people.bank_rows.tolist() == list(range(11))
    for i, one in enumerate(PEOPLE):
        height, width = people.sizes[i]
        assert one.image.shape[:2] == (height, width)
        np.testing.assert_array_equal(people.images[i, :height, :width], one.image)
        np.testing.assert_array_equal(people.images[i, height:, :width], one.image[-1:].repeat(CANVAS[0] - height, 0))
        labels = np.full(one.image.shape[:2], IGNORE) if one.label_map is None else one.label_map
        np.testing.assert_array_equal(people.label_maps[i, :height, :width], labels)
        assert (people.label_maps[i, height:] == IGNORE).all()
        assert (people.label_maps[i, :, width:] == IGNORE).all()


def test_what_is_not_visible_never_reaches_a_batch():
    joints = np.full((JOINTS, 2), np.nan, np.float32)
    joints[3] = 2, 1
    hidden = Person("nan", np.zeros((2, 3, 3), np.uint8), joints, np.arange(JOINTS) == 3)
    people = stack_people([hidden], (2, 3))
    assert np.isfinite(people.joints).all()
    assert people.joints[0, 3].tolist() == [2, 1]
    assert people.bank_rows.tolist() == [-1]


def test_an_image_larger_than_the_canvas_is_refused_by_name():
    with pytest.raises(ValueError, match="person 5"):
        stack_people(PEOPLE[5:6], (5, 7))


# --- The order ------------------------------------------------------------------------------------


def test_everybody_is_seen_once_an_epoch_in_an_order_of_its_own():
    epochs = [[sample_row(epoch * 7 + i, 7, seed) for i in range(7)] for seed in (0, 1) for epoch in range(3)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)


def test_batches_are_a_function_of_the_step_and_run_across_epochs():
    samples = [sample_row(i, 7, 5) for i in range(40)]
    for step in (9, 0, 4):
        np.testing.assert_array_equal(batch_rows(step, 4, 7, 5), samples[4 * step : 4 * step + 4])
    assert batch_rows(0, 20, 7, 5).tolist() == samples[:20]  # a batch larger than the data set


# --- Streaming ------------------------------------------------------------------------------------


def streamed(**kwargs):
    settings = {"batch": 4, "canvas": CANVAS, "seed": 3, "bank_rows": range(100, 111), "steps": 7}
    return list(stream(PEOPLE, **{**settings, **kwargs}))


@pytest.mark.parametrize("first_step", [0, 5, 7])
def test_streamed_batches_are_those_of_the_resident_data_set(first_step):
    resident = Resident(stack_people(PEOPLE, CANVAS, range(100, 111)), batch=4, seed=3)
    expected = [people for people, _ in resident.feed(first_step, 7)]
    ours = streamed(first_step=first_step)
    assert len(ours) == 7 - first_step
    for batch, one in zip(ours, expected):
        assert_same(batch, one)


@pytest.mark.parametrize("processes", [2, 4])
def test_the_shares_of_the_processes_are_the_blocks_of_the_global_batches(processes):
    shares = [streamed(process=i, processes=processes) for i in range(processes)]
    for step, expected in enumerate(streamed()):
        merged = jax.tree.map(lambda *leaves: np.concatenate(leaves), *[share[step] for share in shares])
        assert_same(merged, expected)


def test_a_batch_that_the_processes_cannot_share_is_refused():
    with pytest.raises(ValueError, match=r"batch of 4 .* 3 processes"):
        streamed(processes=3)


class Counting(Sequence):
    """Counts who is read."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 1000

    def __getitem__(self, row):
        self.read.append(row)
        return PEOPLE[row % len(PEOPLE)]


def test_streaming_reads_only_what_it_needs_a_few_batches_ahead_and_leaves_no_thread():
    before, source = set(threading.enumerate()), Counting()
    batches = stream(source, batch=16, canvas=CANVAS, seed=0, first_step=2, steps=60, threads=2)
    next(batches)
    del batches
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert set(batch_rows(2, 16, 1000, 0)) <= set(source.read)
    assert len(source.read) < 6 * 16


def test_rows_are_taken_in_their_order():
    people = stack_people(PEOPLE, CANVAS)
    assert_same(take(people, jnp.array([4, 0, 4])), stack_people([PEOPLE[4], PEOPLE[0], PEOPLE[4]], CANVAS))


# --- Splits ---------------------------------------------------------------------------------------


@dataclass
class Everybody:
    """A source in memory."""

    people: dict
    skeleton = PASCAL_PERSON

    @property
    def splits(self):
        return {name: len(people) for name, people in self.people.items()}

    def split(self, name):
        return self.people[name]


def everybody(**kwargs):
    splits = {"train": PEOPLE[1:4], "poses": [PEOPLE[4], PEOPLE[8]], "val": PEOPLE[5:6], "test": PEOPLE[6:8]}
    return Everybody({**splits, **kwargs})


def ids(people):
    return [one.id for one in people]


def test_only_the_first_labels_people_keep_their_masks():
    splits = read_splits(everybody(), labels=1)
    assert ids(splits.labelled) == ["1"]
    assert ids(splits.keypoints_only) == ids(splits.hidden) == ["2", "3", "4", "8"]
    assert all(one.label_map is None for one in splits.keypoints_only)
    np.testing.assert_array_equal(splits.hidden[0].label_map, PEOPLE[2].label_map)
    np.testing.assert_array_equal(splits.keypoints_only[0].joints, PEOPLE[2].joints)
    assert (ids(splits.val), ids(splits.test)) == (["5"], ["6", "7"])


def test_without_labels_all_of_train_keep_theirs():
    splits = read_splits(everybody())
    assert ids(splits.labelled) == ["1", "2", "3"]
    assert ids(splits.keypoints_only) == ["4", "8"]


@pytest.mark.parametrize(
    ("source", "labels", "message"),
    [
        (everybody(), 4, "labels = 4: split train has 3 people"),
        (everybody(), 0, "labels = 0: split train has 3 people"),
        (everybody(train=PEOPLE[2:6]), None, "person 4: parts: a person of split train needs a label map"),
        (everybody(val=PEOPLE[8:9]), None, "person 8: parts: a person of split val needs a label map"),
    ],
)
def test_splits_that_cannot_train_are_refused_in_one_sentence(source, labels, message):
    with pytest.raises(ValueError, match=message) as error:
        read_splits(source, labels=labels)
    assert "\n" not in str(error.value)


def test_streamed_people_are_not_looked_at_before_they_are_used():
    class Unread(list):
        def __getitem__(self, row):
            assert isinstance(row, slice), "somebody was read"
            return Unread(super().__getitem__(row))

    source = everybody(train=Unread(PEOPLE[2:6]), poses=Unread(PEOPLE[6:8]))
    splits = read_splits(source, labels=3, streamed=True)
    assert (len(splits.labelled), len(splits.keypoints_only)) == (3, 3)
    with pytest.raises(AssertionError, match="somebody was read"):
        splits.labelled[0]


def test_without_split_poses_the_rest_of_train_has_keypoints_only():
    source = everybody()
    del source.people["poses"]
    assert ids(read_splits(source, labels=1).keypoints_only) == ["2", "3"]


def test_parsing_has_people_of_its_own_and_the_synthesised_labels_of_all():
    wide = [person(f"wide {i}", size=(5, 12)) for i in range(4)]
    pictures = Everybody({"train": wide[:2], "val": wide[2:3], "test": wide[3:]})
    splits = with_parsing(read_splits(everybody(), labels=2), pictures, name="pictures", max_side=9)
    assert ids(splits.labelled) == ["1", "2"]
    parsing = splits.parsing
    assert (ids(parsing.labelled), ids(parsing.val), ids(parsing.test)) == (
        ["wide 0", "wide 1"],
        ["wide 2"],
        ["wide 3"],
    )
    assert ids(parsing.keypoints_only) == ids(splits.keypoints_only) == ["3", "4", "8"]
    assert ids(parsing.hidden) == ids(splits.hidden)
    assert parsing.labelled[0].image.shape == (4, 9, 3), "reduced"
    assert all(map(np.less_equal, splits.canvas, parsing.canvas)), "the synthesised are on it, too"
    assert parsing.canvas[1] >= 9
    assert read_splits(everybody()).parsing.own_parsing is None


def test_parsing_with_people_of_another_kind_or_without_masks_is_refused():
    splits = read_splits(everybody())
    with pytest.raises(ValueError, match=r"skeleton: is 'horse', that of --data\.people 'pascal16'"):
        with_parsing(splits, PuppetAnimals(), name="animals", max_side=512)
    with pytest.raises(ValueError, match="person 4: parts: a person of split val needs a label map"):
        with_parsing(splits, everybody(val=PEOPLE[4:5]), name="more", max_side=512)
    with pytest.raises(ValueError, match=r"^more: there is nobody in split val"):
        with_parsing(splits, everybody(val=[]), name="more", max_side=512).parsing.need("val")
    with pytest.raises(ValueError, match=r"data\.labels = 3 hides masks .* data\.parse_people = puppets: set one"):
        splits_of(DataConfig(labels=3, parse_people="puppets"))


@pytest.mark.parametrize(
    ("absent", "group", "message"),
    [
        ("poses", "keypoints_only", "nobody with keypoints only: split poses is empty"),
        ("val", "val", "nobody in split val: a training is measured on it"),
        ("test", "test", "nobody in split test"),
    ],
)
def test_what_uses_an_empty_group_says_so(absent, group, message):
    source = everybody()
    del source.people[absent]
    splits = read_splits(source)
    splits.need(*{"keypoints_only", "val", "test"} - {group})
    with pytest.raises(ValueError, match=message):
        splits.need(group)


def test_a_missing_mask_beyond_labels_is_nothing_to_complain_about():
    splits = read_splits(everybody(train=PEOPLE[2:6]), labels=2)
    assert ids(splits.keypoints_only)[:2] == ["4", "5"]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"people\.json"):
        open_people(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("size", [(80, 120), (121, 67)])
def test_a_reduced_person_keeps_its_joints_on_what_they_marked(size):
    points = np.array([[20.0, 30.0], [41.0, 55.0]], np.float32)
    image, label_map = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    for i, (x, y) in enumerate(points.astype(int)):
        cv2.circle(image, (x, y), 6, (255, 0, 0) if i == 0 else (0, 255, 0), -1)
        cv2.circle(label_map, (x, y), 6, i + 1, -1)
    joints = np.zeros((JOINTS, 2), np.float32)
    joints[:2] = points
    large = Person("large", image, joints, np.ones(JOINTS, bool), label_map)
    small = read_splits(everybody(train=[large]), max_side=50).labelled[0]
    assert max(small.image.shape) == 50
    assert small.label_map.shape == small.image.shape[:2]

    def centroid(weights):
        rows, columns = np.indices(weights.shape)
        return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()

    for i in range(2):
        np.testing.assert_allclose(small.joints[i], centroid(small.image[..., i].astype(float)), atol=0.03)
        np.testing.assert_allclose(small.joints[i], centroid((small.label_map == i + 1).astype(float)), atol=0.3)


def test_a_small_person_stays_as_it_is():
    assert read_splits(everybody(), max_side=7).labelled[0] is PEOPLE[1]


def test_all_visible_takes_every_joint_of_everybody_as_visible():
    unseen = [dataclasses.replace(person, visible=np.zeros_like(person.visible)) for person in PEOPLE[2:4]]
    splits = read_splits(everybody(train=unseen), labels=1, all_visible=True)
    groups = (splits.labelled, splits.keypoints_only, splits.hidden, splits.val, splits.test)
    assert all(person.visible.all() for group in groups for person in group)
