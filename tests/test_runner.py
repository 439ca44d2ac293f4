"""How trials are run: what a training is named by, whom it learns from, what is shared and found again."""

import dataclasses

import numpy as np
import pytest

from pgkt_jax.config import Config, DataConfig, ParseConfig, RefineConfig
from pgkt_jax.data.puppets import Puppets, draw_puppet
from pgkt_jax.experiments import runner as runner_module
from pgkt_jax.experiments.noise import noisy
from pgkt_jax.experiments.runner import Runner, subset
from pgkt_jax.experiments.trial import Trial
from pgkt_jax.nets.pretrained import safetensors
from pgkt_jax.stages.chain import Parsed
from pgkt_jax.train.identity import check_config


def test_noise_is_the_persons_own_and_as_large_as_it_says():
    person = draw_puppet(0, size=(32, 24))
    people = [dataclasses.replace(person, id=str(i)) for i in range(200)]
    worse = noisy(people, 0.1, seed=0)
    moved = np.stack([after.joints - person.joints for after in worse])
    extent = np.ptp(person.joints[person.visible], axis=0).max()
    assert moved.std() == pytest.approx(0.1 * extent, rel=0.05)
    np.testing.assert_array_equal(noisy(people[5:6], 0.1, seed=0)[0].joints, worse[5].joints)
    assert not np.array_equal(noisy(people[5:6], 0.1, seed=1)[0].joints, worse[5].joints)
    assert worse[0].image is person.image
    assert worse[0].joints.dtype == np.float32
    assert noisy(people, 0.0, seed=0)[0] is people[0]


def test_a_larger_share_holds_the_smaller_ones():
    person = draw_puppet(0, size=(32, 24))
    people = [dataclasses.replace(person, id=str(i)) for i in range(10)]
    shares = [[p.id for p in subset(people, share)] for share in (0.4, 0.7, 1.0)]
    assert [len(ids) for ids in shares] == [4, 7, 10]
    assert set(shares[0]) < set(shares[1]) < set(shares[2])
    assert shares[2] == [p.id for p in people]


def test_a_run_is_named_by_all_that_decides_it_and_by_nothing_else(seven_people, tmp_path):
    runner = Runner(tmp_path)
    base = Trial(Config(data=DataConfig(people=str(seven_people), labels=6)))
    names = dataclasses.asdict(runner.names(base))

    def differing(trial):
        return {kind for kind, name in dataclasses.asdict(runner.names(trial)).items() if name != names[kind]}

    assert differing(base.seeded(0)) == set()
    assert differing(base.seeded(1)) == {"refine", "synthesised", "parse", "last", "score"}
    assert differing(base.but(parse={"test_scales": (1.0, 0.5)})) == {"score"}
    assert differing(base.but(parse={"learning_rate": 0.5})) == {"parse", "last", "score"}
    assert differing(base.but(noise=0.1)) == {"synthesised", "parse", "last", "score"}
    assert differing(base.but(share=0.4)) == {"parse", "last", "score"}
    assert differing(base.but(refine={"k": 2})) == {"refine", "synthesised", "parse", "last", "score"}
    assert differing(base.but(refine={"outline": 3})) == {"synthesised", "parse", "last", "score"}
    assert differing(base.but(parse={"outline": 3})) == {"score"}
    refined = base.but(network="refine")
    assert differing(refined) == {"score"}
    assert runner.names(refined).score != runner.names(refined.but(refine={"outline": 3})).score
    assert differing(base.but(masks_last=0.1)) == {"last", "score"}
    assert differing(base.but(data={"labels": 7})) == {"refine", "synthesised", "parse", "last", "score"}
    full = runner.names(base.but(supervision="full"))
    assert full == dataclasses.replace(
        runner.names(base.but(supervision="full", refine={"k": 2}, noise=0.1)),
        refine=full.refine, synthesised=full.synthesised,
    )  # fmt: skip
    six, seven = (runner.names(base.but(supervision="all", masks_last=0.1, data={"labels": n})) for n in (6, 7))
    assert six.parse == seven.parse
    assert six.last != seven.last, "it goes on with those who keep their masks"


def test_pictures_of_parsings_own_name_no_refinement(seven_people, tmp_path):
    runner = Runner(tmp_path)
    base = Trial(Config(data=DataConfig(people=str(seven_people))))
    own = base.but(data={"parse_people": "puppets"})
    for before, after, kinds in (
        (base, own, {"parse", "last", "score"}),
        (base.but(network="refine"), own.but(network="refine"), {"parse", "last"}),
        (own, own.but(on_people=True), {"score"}),
        (base, base.but(on_people=True), set()),
    ):
        names = [dataclasses.asdict(runner.names(trial)) for trial in (before, after)]
        assert {kind for kind in names[0] if names[0][kind] != names[1][kind]} == kinds
    assert len(runner.tested(own).test) == Puppets().splits["test"]
    for trial in (base, own.but(network="refine"), own.but(on_people=True)):
        assert len(runner.tested(trial).test) == 3


def test_a_run_is_named_by_what_is_in_the_weights_that_it_starts_from(seven_people, tmp_path):
    base = Trial(Config(data=DataConfig(people=str(seven_people), labels=6)))
    trial = base.but(refine={"weights": str(tmp_path / "unet")}, parse={"weights": str(tmp_path / "parser")})

    def names(unet, parser):
        (tmp_path / "unet").write_bytes(unet)
        (tmp_path / "parser").write_bytes(parser)
        return Runner(tmp_path).names(trial)

    def differing(some, others):
        return {kind for kind, name in dataclasses.asdict(some).items() if name != getattr(others, kind)}

    before = names(b"a", b"b")
    assert names(b"a", b"b") == before
    assert differing(names(b"a", b"c"), before) == {"parse", "last", "score"}
    assert differing(names(b"c", b"b"), before) == {"refine", "synthesised", "parse", "last", "score"}
    (tmp_path / "parser").rename(tmp_path / "elsewhere")
    assert Runner(tmp_path).names(trial.but(parse={"weights": str(tmp_path / "elsewhere")})) == names(b"c", b"b")


class Begun(Exception):
    pass


def test_a_training_goes_on_when_its_weights_have_moved(seven_people, tmp_path, monkeypatch):
    def begin(config, people, splits, folder, *, title):
        folder.mkdir(parents=True, exist_ok=True)
        check_config(folder / "config.json", config)
        raise Begun

    monkeypatch.setattr(runner_module, "parsed", begin)
    trial = Trial(Config(DataConfig(people=str(seven_people), labels=6)), supervision="full")
    for place in ("first", "second"):
        (tmp_path / place).write_bytes(b"the same")
        with pytest.raises(Begun):
            Runner(tmp_path).score(trial.but(parse={"weights": str(tmp_path / place)}))
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_parsing_goes_on_with_the_masks_alone_from_what_it_has_learnt(seven_people, tmp_path, monkeypatch):
    begun = []

    def train(config, people, splits, folder, *, title):
        begun.append((folder.name, config.weights, config.steps, config.learning_rate, len(people)))
        if title == "parse (masks last)":
            raise Begun
        return object.__new__(Parsed)

    monkeypatch.setattr(runner_module, "parsed", train)
    config = Config(DataConfig(people=str(seven_people), labels=6), parse=ParseConfig(steps=100, learning_rate=1e-3))
    trial = Trial(config, supervision="all", masks_last=0.1)
    with pytest.raises(Begun):
        Runner(tmp_path).score(trial)
    names = Runner(tmp_path).names(trial)
    first = str(tmp_path / "runs" / names.parse)
    assert begun == [(names.parse, None, 100, 1e-3, 12), (names.last, first, 10, 2e-4, 6)]


@pytest.mark.parametrize("backbone", ["vgg", "vgg-v1"])
def test_weights_of_vgg_serve_the_one_with_an_average_pool_too(seven_people, tmp_path, backbone):
    config = Config(
        DataConfig(people=str(seven_people), labels=6),
        RefineConfig(batch=8),
        ParseConfig(backbone=backbone, head="plain", width=4, batch=8),
    )
    file = tmp_path / "weights.safetensors"
    runner = Runner(tmp_path, weights={"vgg": str(file)})
    safetensors.write(file, {"classifier.bias": np.zeros(7)})
    runner.check([Trial(config)])
    safetensors.write(file, {"classifier.bias": np.zeros(5)})
    with pytest.raises(ValueError, match=f"backbone {backbone}: .*classifier.bias has the shape"):
        runner.check([Trial(config)])
