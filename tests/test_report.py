"""The report: pictures are exact at the pixel, the table shows its gaps, the page loads nothing."""

import re

import numpy as np
import pytest

from pgkt_jax.report import figures
from pgkt_jax.report.charts import Chart
from pgkt_jax.report.gallery import GalleryRow
from pgkt_jax.report.page import gain_cards, write_page
from pgkt_jax.report.table import MISSING, format_table
from pgkt_jax.skeleton import IGNORE, PASCAL_PERSON

PALETTE = PASCAL_PERSON.palette
CLASSES = PASCAL_PERSON.classes
HOSTILE = '<script>alert("&")</script>'

LABELS = np.zeros((12, 20), np.uint8)
LABELS[3:9, 4:12] = 2
LABELS[:2] = IGNORE


def row(name: str, miou: float | None, **more: object) -> dict:
    return {"name": name, "miou": miou, "iou": dict.fromkeys(CLASSES, miou), **more}


ROWS = [
    row("full", 0.649),
    row("semi", 0.717, note="with joints"),
    row("all", 0.755),
    row("lost", float("nan")) | {"iou": {"head": None}},
]


def test_every_label_has_its_colour_and_ignored_pixels_are_grey() -> None:
    picture = figures.colorize(LABELS, PALETTE)
    assert picture.dtype == np.uint8
    assert picture[5, 6].tolist() == PALETTE[2].tolist()
    assert picture[0, 0].tolist() == [128, 128, 128]
    assert picture[11, 0].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"\[9\]"):
        figures.colorize(np.full((2, 3), 9, np.uint8), PALETTE)


def test_overlay_mixes_parts_lines_their_rim_and_leaves_background_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 20, 3)).astype(np.uint8)
    before = image.copy()
    picture = figures.overlay(image, LABELS, PALETTE, opacity=0.5)
    assert (image == before).all()
    assert (picture[LABELS == 0] == image[LABELS == 0]).all()
    assert picture[3, 4].tolist() == PALETTE[2].tolist()
    assert np.abs(picture[5, 7] - (image[5, 7] / 2 + PALETTE[2] / 2)).max() <= 0.5
    with pytest.raises(ValueError, match="pixels"):
        figures.overlay(image[:5], LABELS, PALETTE)


def test_sides_have_their_colours_and_what_is_not_visible_is_not_drawn() -> None:
    image = np.full((200, 100, 3), 90, np.uint8)
    joints = np.full((PASCAL_PERSON.num_joints, 2), np.nan, np.float32)
    visible = np.zeros(PASCAL_PERSON.num_joints, bool)
    limbs = {"left_knee": (10, 40), "left_ankle": (60, 40), "right_knee": (10, 120), "right_ankle": (60, 120)}
    for name, point in limbs.items():
        joints[PASCAL_PERSON.joint(name)], visible[PASCAL_PERSON.joint(name)] = point, True
    visible[PASCAL_PERSON.joint("neck")] = True  # visible but NaN: must be left out, not crash
    joints[PASCAL_PERSON.joint("left_hip")] = (10, 5)

    picture = figures.draw_joints(image, joints, visible, PASCAL_PERSON)
    assert picture[40, 35].tolist() == list(figures.LEFT_COLOR)
    assert picture[120, 35].tolist() == list(figures.RIGHT_COLOR)
    assert (picture[:30] == 90).all()
    assert (image == 90).all()


def test_prior_is_a_mix_of_colours_over_black() -> None:
    prior = np.zeros((2, 3, len(PALETTE) - 1), np.float32)
    prior[0, 0, 1] = 0.5
    prior[0, 1, :2] = 1.0  # two certain classes share the pixel
    picture = figures.prior_picture(prior, PALETTE)
    assert picture[0, 0].tolist() == np.rint(PALETTE[2] / 2).tolist()
    assert picture[0, 1].tolist() == np.rint((PALETTE[1].astype(float) + PALETTE[2]) / 2).tolist()
    assert (picture[1] == 0).all()


def test_contact_sheet_keeps_aspect_and_takes_ragged_rows() -> None:
    red = np.zeros((10, 20, 3), np.uint8) + np.uint8([255, 0, 0])
    sheet = figures.contact_sheet([[red, red], [red]], height=20, gap=2)
    assert sheet.shape == (2 + 2 * 22, 2 + 2 * 42, 3)
    assert sheet[12, 50].tolist() == [255, 0, 0]
    assert sheet[34, 50].tolist() == [255, 255, 255]
    captioned = figures.contact_sheet([[red, red]], height=20, gap=2, captions=("one", "two"))
    assert captioned[:20].min() < 255


def test_table_shows_per_cent_the_best_and_what_is_missing() -> None:
    lines = format_table(ROWS, CLASSES).splitlines()
    assert len(lines) == 1 + len(ROWS)
    assert all(name in lines[0] for name in ("mIoU", "note", *CLASSES))
    assert lines[1].split() == ["full", *["64.9"] * 8]
    assert lines[2].endswith("with joints")
    assert lines[3].split() == ["all", *["75.5*"] * 8]
    assert lines[4].split() == ["lost", *[MISSING] * 8]
    in_groups = format_table([row("a", 0.2, group="priors"), row("b", 0.1, group="priors"), ROWS[0]], CLASSES)
    assert in_groups.splitlines()[1] == "priors"
    assert "20.0*" in in_groups
    assert "64.9*" not in in_groups


def test_cards_say_what_the_joints_were_worth() -> None:
    gain, share = gain_cards(*ROWS[:3])
    assert gain.value == "+6.8 mIoU"
    assert share.value == "64 %"
    assert len(gain_cards(ROWS[2], ROWS[1], ROWS[0])) == 1, "there is no gap to close"
    assert gain_cards(ROWS[0], row("semi", None), ROWS[2])[0].value == MISSING


@pytest.fixture
def page(tmp_path) -> str:
    path = tmp_path / "new" / "report.html"
    pictures = [(HOSTILE, figures.colorize(LABELS, PALETTE)), ("truth", figures.colorize(LABELS, PALETTE))]
    write_page(
        path,
        title=HOSTILE,
        lead=f"What was done. {HOSTILE}\n\nWhat came out.",
        rows=[*ROWS, row(HOSTILE, 0.5, note=HOSTILE)],
        classes=CLASSES,
        palette=PALETTE,
        cards=gain_cards(*ROWS[:3]),
        gallery=[GalleryRow(HOSTILE, pictures)],
        settings={"refine": {"steps": 400, HOSTILE: HOSTILE}},
        notes=[HOSTILE],
        curves=[
            Chart(HOSTILE, {HOSTILE: [(0, 1.0), (1, float("nan")), (2, 0.5)], "none": []}),
            Chart("one point", {"loss": [(3e9, 0.25)]}),
            Chart("all zero", {"loss": [(0, 0.0), (1, 0.0)]}),
        ],
    )
    assert [p.name for p in path.parent.iterdir()] == ["report.html"], "a temporary file is left"
    return path.read_text(encoding="utf-8")


def test_page_asks_nobody_for_anything(page: str) -> None:
    assert not re.search(r"https?://|//cdn|@import|url\(|<link|<script", page)
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 2
    assert all(source.startswith("data:image/") for source in sources)


def test_page_holds_everything_and_escapes_it(page: str) -> None:
    for text in [*(r["name"] for r in ROWS), *CLASSES, "+6.8 mIoU", "64 %", "refine.steps", "with joints"]:
        assert text in page
    assert HOSTILE not in page
    assert page.count("&lt;script&gt;") > 10
    assert "nan" not in re.sub(r"base64,[^\"]*", "", page)


def test_a_failed_write_leaves_the_old_page_and_nothing_else(tmp_path, monkeypatch) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def full_disk(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write_page(path, title="t", lead="", rows=ROWS, classes=CLASSES, palette=PALETTE)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_page_refuses_what_it_cannot_show(tmp_path) -> None:
    good = {"title": "t", "lead": "", "rows": ROWS, "classes": CLASSES, "palette": PALETTE}
    with pytest.raises(ValueError, match="colours"):
        write_page(tmp_path / "a.html", **good | {"classes": CLASSES[1:]})
    with pytest.raises(ValueError, match="uint8"):
        write_page(tmp_path / "a.html", **good, gallery=[GalleryRow("x", [("y", np.zeros((4, 4)))])])
    assert not list(tmp_path.iterdir())
