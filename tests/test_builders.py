"""What readers read is written as ArrayRecord or as a people folder, and trainings take either."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from annotations import STANDING, boxes, csv_row, put, put_image, put_labels

from pgkt_jax import cli
from pgkt_jax.commands.build_data import READERS
from pgkt_jax.config import DataConfig
from pgkt_jax.data.builders.array_record import ArrayRecordPeople, write_array_record
from pgkt_jax.data.folder import read_people_folder
from pgkt_jax.data.loader import stream
from pgkt_jax.data.puppet_animals import PuppetAnimals, draw_animal
from pgkt_jax.data.puppets import Puppets, draw_puppet
from pgkt_jax.data.sources import open_people, splits_of
from pgkt_jax.data.writer import write_people_folder
from pgkt_jax.skeleton import HORSE, PASCAL_PERSON


def same(a, b) -> bool:
    if (a.id, a.label_map is None) != (b.id, b.label_map is None):
        return False
    names = ["image", "joints", "visible"] + ["label_map"] * (a.label_map is not None)
    pairs = [(getattr(a, name), getattr(b, name)) for name in names]
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)


# --- ArrayRecord ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def animals():
    return PuppetAnimals(size=(48, 64), train=12, val=2, test=3, poses=2)


@pytest.fixture(scope="module")
def written(animals, tmp_path_factory):
    """The animals as ArrayRecord; those of split poses have lost their label maps."""
    root = tmp_path_factory.mktemp("built")
    splits = {name: list(animals.split(name)) for name in animals.splits}
    splits["poses"] = [replace(animal, label_map=None) for animal in splits["poses"]]
    write_array_record("animals", HORSE, splits, root)
    return root


def test_array_record_gives_back_everybody_in_order(animals, written):
    people = ArrayRecordPeople(written)
    assert (people.skeleton, people.splits) == (HORSE, {"train": 12, "val": 2, "test": 3, "poses": 2})
    for read, drawn in zip(people.split("train"), animals.split("train"), strict=True):
        assert same(read, drawn)
    last = people.split("poses")[-1]
    assert same(last, replace(animals.split("poses")[-1], label_map=None))


def test_trainings_take_array_record(written):
    splits = splits_of(DataConfig(people=str(written), labels=5, streamed=True, max_side=64))
    assert (len(splits.labelled), len(splits.keypoints_only), splits.skeleton) == (5, 9, HORSE)
    assert not splits.all_have_masks
    assert splits.labelled[0].id == "animal_00000"


def test_people_with_keypoints_only_come_from_other_data_sets_too(written, animals):
    config = DataConfig(people=str(written), poses=("puppet_animals", str(written)), streamed=True, max_side=128)
    splits = splits_of(config)
    assert len(splits.keypoints_only) == 2 + PuppetAnimals().train + PuppetAnimals().poses + 160 + 19
    assert splits.keypoints_only[2].label_map is None
    with pytest.raises(ValueError, match=r"puppets: skeleton: is 'pascal16', that of .* 'horse'"):
        splits_of(DataConfig(people=str(written), poses=("puppets",)))


def test_array_record_as_people_folder(written, tmp_path):
    write_people_folder(ArrayRecordPeople(written), tmp_path)
    folder = read_people_folder(tmp_path)
    assert folder.skeleton is HORSE
    assert all(map(same, folder.split("poses"), ArrayRecordPeople(written).split("poses")))


def test_a_people_folder_goes_on_and_another_data_set_is_refused(tmp_path):
    def herd(**counts):
        return PuppetAnimals(size=(48, 64), **{"train": 2, "val": 1, "test": 1, "poses": 1, **counts})

    def contents():
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    write_people_folder(herd(), tmp_path)
    before = contents()
    next((tmp_path / "people").iterdir()).unlink()
    (tmp_path / "people.json").unlink()
    write_people_folder(herd(), tmp_path)
    assert contents() == before
    with pytest.raises(ValueError, match=r"person '.*' is another there: delete the folder or choose another"):
        write_people_folder(PuppetAnimals(1, size=(48, 64), train=2, val=1, test=1, poses=1), tmp_path)
    with pytest.raises(ValueError, match=r"holds 1 people of another data set, '.*' for one: delete it or choose"):
        write_people_folder(herd(poses=0), tmp_path)
    assert contents() == before


def test_a_data_set_is_not_overwritten(written):
    with pytest.raises(ValueError, match="holds a data set already: delete it or choose another folder"):
        write_array_record("other", HORSE, {"train": []}, written)


@pytest.mark.parametrize(
    ("people", "problem"),
    [
        ([draw_puppet(1), draw_puppet(1)], "person 'puppet_00001': id: is that of another person already"),
        ([replace(draw_puppet(1), label_map=np.full((128, 64), 11, np.uint8))], "has unknown part ids 11"),
        ([replace(draw_puppet(1), joints=np.full((16, 2), np.nan, np.float32))], "joints: right_ankle is at"),
    ],
)
def test_bad_people_are_not_written(tmp_path, people, problem):
    with pytest.raises(ValueError, match=problem):
        write_array_record("people", PASCAL_PERSON, {"train": people}, tmp_path)
    assert not list(tmp_path.rglob("dataset_info.json"))


def test_unknown_split_and_empty_folder(written, tmp_path):
    with pytest.raises(ValueError, match="nobody in a split 'tests'; the splits are: train, val, test, poses"):
        ArrayRecordPeople(written).split("tests")
    with pytest.raises(ValueError, match="holds no ArrayRecord data set"):
        ArrayRecordPeople(tmp_path)


def test_a_record_that_breaks_while_a_training_reads_it_is_named_and_skipped(written, tmp_path, capsys):
    """Who stands in is a function of who is broken: a training that is resumed sees the same batches."""
    copy = Path(shutil.copytree(written, tmp_path / "copy"))
    people = open_people(str(copy)).split("train")
    (record,) = copy.rglob("*train*array_record*")
    data, place = record.read_bytes(), 20_000  # in a record, and not in a header between blocks of 64 KiB
    record.write_bytes(data[:place] + bytes(64) + data[place + 64 :])
    broken = [row for row in range(len(people)) if not _is_readable(people, row)]
    assert len(broken) == 1
    with pytest.raises(ValueError, match=rf"animals/1\.0\.0: split train, row {broken[0]}: cannot be read"):
        people[broken[0]]

    def seen(first_step):
        options = {"batch": 4, "canvas": (96, 128), "seed": 0, "bank_rows": range(12), "steps": 6}
        return np.array([batch.bank_rows for batch in stream(people, first_step=first_step, **options)])

    rows = seen(0)
    assert broken[0] not in rows
    assert set(rows[:3].ravel()) == set(range(12)) - set(broken)
    np.testing.assert_array_equal(seen(2), rows[2:])
    assert f"row {broken[0]} is skipped (1, at most 1)" in capsys.readouterr().err


def _is_readable(people, row):
    try:
        people[row]
    except ValueError:
        return False
    return True


def test_damaged_array_record_ends_in_one_sentence(written, tmp_path):
    copy = Path(shutil.copytree(written, tmp_path / "copy"))
    next(copy.rglob("features.json")).write_text("{")
    with pytest.raises(ValueError, match=r"copy.*: cannot be read as a data set of TFDS"):
        open_people(str(copy))


def test_neither_tensorflow_nor_tfds_is_loaded_before_it_is_needed(tmp_path):
    code = """
        import sys
        import pgkt_jax.commands.build_data
        assert "tensorflow_datasets" not in sys.modules
        import pgkt_jax.data.builders.array_record
        assert "tensorflow" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", "\n".join(map(str.strip, code.splitlines()))], check=True)


# --- pgkt build-data ------------------------------------------------------------------------------------


@pytest.fixture
def manual(tmp_path):
    """A photograph with joints and label map, as two of the readers want it."""
    put_image(tmp_path / "manual" / "images" / "a.jpg")
    put_labels(tmp_path / "manual" / "labels" / "a.png", boxes(arm=3, torso=2, head=1))
    put(tmp_path / "manual" / "train.txt", "images/a.jpg labels/a.png")
    put(tmp_path / "manual" / "poses.csv", csv_row("a.jpg", STANDING))
    return tmp_path / "manual"


@pytest.mark.parametrize("options", [[], ["--people-folder"]], ids=["ArrayRecord", "folder"])
@pytest.mark.parametrize(("name", "split"), [("label_list", "train"), ("mpii", "poses")])
def test_build_data(manual, tmp_path, capsys, name, split, options):
    out = tmp_path / "out"
    assert cli.main(["build-data", name, "--manual-dir", str(manual), "--out", str(out), *options]) == 0
    assert f"{name}: {split} 1; train with --data.people {out}" in capsys.readouterr().out
    people = open_people(str(out))
    assert people.splits == {split: 1}
    assert same(people.split(split)[0], READERS[name](manual).split(split)[0])


def test_options_are_those_of_the_reader(manual, tmp_path):
    (manual / "poses.csv").rename(manual / "poses.json")
    put(manual / "poses.json", '[{"image_id": "a.jpg", "keypoints": [' + ", ".join(["40, 20, 0.9"] * 17) + "]}]")
    arguments = ["build-data", "coco_poses", "--manual-dir", str(manual), "--out", str(tmp_path / "out")]
    assert cli.main([*arguments, "--body", "upper", "--upright"]) == 0
    assert cli.main([*arguments, "--body", "left"]) == 2
    assert cli.main(["build-data", "mpii", "--out", "out", "--body", "upper"]) == 2
    (manual / "train.txt").rename(manual / "voc.txt")
    arguments = ["build-data", "label_list", "--manual-dir", str(manual), "--out", str(tmp_path / "lists")]
    assert cli.main([*arguments, "--test", "voc.txt"]) == 0
    assert open_people(str(tmp_path / "lists")).splits == {"test": 1}


@pytest.mark.parametrize("name", ["pascal_person_part", "mpii", "coco_poses", "horse_cow", "lip", "label_list"])
def test_one_message_says_what_to_get_and_what_is_missing(tmp_path, capsys, name):
    assert cli.main(["build-data", name, "--manual-dir", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert f"pgkt build-data: under {tmp_path}, or up to two folders below it, is missing" in message
    assert f"{name} wants, under --manual-dir" in message
    assert not (tmp_path / "out").exists()


def test_nobody_with_enough_joints_is_said(manual, tmp_path, capsys):
    put(manual / "poses.csv", csv_row("a.jpg", STANDING - 1000))
    assert cli.main(["build-data", "mpii", "--manual-dir", str(manual), "--out", str(tmp_path / "out")]) == 2
    assert "nobody in mpii has what a record needs" in capsys.readouterr().err


# --- drawn animals --------------------------------------------------------------------------------------


def test_animals_are_the_same_for_the_same_arguments():
    assert same(draw_animal(3), draw_animal(3))
    assert not np.array_equal(draw_animal(3).image, draw_animal(3, seed=1).image)
    assert open_people("puppet_animals").split("train")[0].image.shape == (96, 128, 3)
    assert isinstance(open_people("puppets"), Puppets)
    with pytest.raises(ValueError, match="negative"):
        draw_animal(-1)


@pytest.fixture(scope="module")
def herd():
    return [draw_animal(index, seed=5, size=(48, 64)) for index in range(30)]


def test_every_part_of_an_animal_is_frequent(herd):
    maps = np.stack([animal.label_map for animal in herd])
    assert set(np.unique(maps)) == set(range(HORSE.num_parts + 1))
    assert np.stack([(maps == part).any(axis=(1, 2)).mean() for part in range(1, 13)]).min() > 0.8


def test_left_and_right_of_an_animal(herd):
    """Seen facing right an animal shows its right side: there the right legs hide the left ones."""
    left, right = ([id for id, part in enumerate(HORSE.parts, 1) if part.name.startswith(s)] for s in ("left", "right"))
    near, far = 0, 0
    for animal in herd:
        forward = animal.joints[HORSE.joint("withers"), 0] > animal.joints[HORSE.joint("tail_base"), 0]
        near += np.isin(animal.label_map, right if forward else left).sum()
        far += np.isin(animal.label_map, left if forward else right).sum()
    assert near > 1.1 * far


def test_joints_of_an_animal_lie_on_its_parts(herd):
    hits, seen = 0, 0
    for animal in herd:
        for id, (start, end) in enumerate(HORSE.limbs[:-1], start=1):
            if animal.visible[[start, end]].all():
                column, row = np.round(animal.joints[[start, end]].mean(axis=0)).astype(int)
                hits, seen = hits + (animal.label_map[row, column] == id), seen + 1
    assert hits / seen > 0.7  # the rest is hidden by nearer parts
