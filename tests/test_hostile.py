"""Files from elsewhere: whatever is wrong with them is said in a sentence of ours, and nothing else happens."""

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from hostile import corpus
from hostile_forms import SOUND
from jaxtyping import TypeCheckError

import pgkt_jax
from pgkt_jax.data.person import Person
from pgkt_jax.data.readers.poses import Pose
from pgkt_jax.skeleton import IGNORE

PACKAGE = Path(pgkt_jax.__file__).parent
CASES = list(corpus())


def laid_out(form, folder):
    for name, data in SOUND[form].files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def contents(folder):
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in, one that is nobody's business, and two minutes."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").write_bytes(SOUND["people"].files["images/a.jpg"])
    monkeypatch.chdir(tmp_path)

    def too_long(*_):
        raise TimeoutError("two minutes are over")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(120)
    yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("form", SOUND)
def test_what_is_sound_is_read(place, form):
    """Else everything below would be refused for the wrong reason."""
    found = SOUND[form].read(laid_out(form, place / "here"))
    assert found
    assert_sound(found)


def assert_sound(found):
    """What a reader gives has the shapes and values that it promises."""
    for thing in found if isinstance(found, list) else ():
        assert isinstance(thing, Person | Pose)
        assert thing.joints.dtype == np.float32
        assert np.isfinite(thing.joints[thing.visible]).all()
        if isinstance(thing, Pose):
            assert thing.image not in ("", ".", "..")
            assert not set(thing.image) & set("/\\")
        else:
            assert thing.image.dtype == np.uint8
            if thing.label_map is not None:
                assert thing.label_map.shape == thing.image.shape[:2]
                assert set(np.unique(thing.label_map)) <= {*range(13), IGNORE}


def assert_ours(error):
    """The package itself raised it, and it is no book."""
    assert isinstance(error, ValueError)
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    assert Path(trace.tb_frame.f_code.co_filename).is_relative_to(PACKAGE), f"a library's own error: {error}"
    assert 10 < len(str(error)) < 6000


MAY_BE_READ = (" = ", "name ")
"""A changed value or name may be as good as the one before; then what is read must be sound."""


def test_there_are_many_cases():
    assert len(CASES) >= 200
    assert {form for form, _, _ in CASES} == set(SOUND)


@pytest.mark.parametrize("form", SOUND)
def test_broken_files_end_in_a_sentence(place, form):
    """One test a form: a test a case would cost more than the cases."""
    failures = []
    for row, (what, edit) in enumerate((what, edit) for name, what, edit in CASES if name == form):
        folder = laid_out(form, place / str(row) / "here")
        shutil.copytree(place / "outside", place / str(row) / "outside")
        try:
            assert_refused_or_sound(form, what, edit, folder)
        except Exception as error:
            failures.append(f"{what}: {type(error).__name__}: {error}"[:500])
    assert not failures, "\n".join(failures)


def assert_refused_or_sound(form, what, edit, folder):
    edit(folder)
    before = contents(folder.parent)
    try:
        found = SOUND[form].read(folder)
    except (ValueError, TypeCheckError) as error:
        # Beartype looks at an item of a sequence that it checks, and so reads people before they are asked for.
        while isinstance(error, TypeCheckError):
            error = error.__cause__
        assert_ours(error)
    else:
        assert any(mark in what for mark in MAY_BE_READ), f"was read: {found}"
        assert_sound(found)
    assert contents(folder.parent) == before
