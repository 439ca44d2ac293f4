"""Pages in front of readers: on a phone and a projector in a real browser, and in the eyes of the colour-blind."""

import json
import re
import shutil
import subprocess
from itertools import combinations

import cv2
import numpy as np
import pytest

from pgkt_jax.report import figures
from pgkt_jax.report.charts import Chart
from pgkt_jax.report.gallery import Chapter, GalleryRow, write_chapters
from pgkt_jax.report.page import gain_cards, write_page
from pgkt_jax.skeleton import HORSE, PASCAL_PERSON

CLASSES, PALETTE = PASCAL_PERSON.classes, PASCAL_PERSON.palette
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE, PROJECTOR = 375, 1920

# What is asked of a page in a frame of each width: nothing that a reader sees may lie beyond the frame, and scrolled to
# its end the page still has its legend on top.
ASK = """
<!doctype html><body><pre id="answer"></pre><script>
const pages = %s, widths = [375, 1920], answers = [];
async function ask(html, width) {
  const frame = document.createElement("iframe");
  frame.width = width; frame.height = 700; frame.style.border = 0;
  const loaded = new Promise(done => frame.onload = done);
  frame.srcdoc = html;
  document.body.append(frame);
  await loaded;
  const page = frame.contentDocument, root = page.documentElement, legend = page.querySelector(".legend");
  frame.contentWindow.scrollTo(0, root.scrollHeight);
  const box = legend.getBoundingClientRect();
  return {
    width, wide: root.scrollWidth, scrolled: frame.contentWindow.scrollY, top: box.top, legend: box.height,
    fetched: frame.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name.slice(0, 5)),
    broken: [...page.images].filter(image => !image.naturalWidth).length, images: page.images.length,
    smallest: Math.min(...[...page.querySelectorAll("p, li, td, th, figcaption")].map(
      part => parseFloat(frame.contentWindow.getComputedStyle(part).fontSize))),
  };
}
(async () => {
  for (const html of pages) for (const width of widths) answers.push(await ask(html, width));
  document.getElementById("answer").textContent = JSON.stringify(answers);
})();
</script></body>
"""


def written(folder):
    """The report, and a page of chapters, with long names and wide pictures."""
    rows = [{"name": f"parsing, {name}", "miou": 0.5, "iou": dict.fromkeys(CLASSES, 0.5)} for name in ("full", "semi")]
    wide, tall = np.full((90, 400, 3), 90, np.uint8), np.full((256, 60, 3), 90, np.uint8)
    write_page(
        folder / "report.html", title="Keypoints to part labels", lead="What was done. " * 20, rows=rows,
        classes=CLASSES, palette=PALETTE, cards=gain_cards(*rows), notes=["a note " * 30],
        gallery=[GalleryRow("person_" * 12, [("photograph", wide)] * 3 + [("prior", tall)] * 6)],
        settings={"data": {"people": "a/very/long/path/" * 12}},
        curves=[Chart("Refinement", {"part-level": [(0, 0.1), (9, 0.5)]}), Chart("Parsing", {"semi": [(0, 0.2)]})],
    )  # fmt: skip
    chapters = [Chapter(f"Split {n}", "30 people.", [("train/0\n" + "id_" * 40, wide), ("b", tall)] * 5) for n in "ab"]
    parts = zip((part.name for part in PASCAL_PERSON.parts), figures.side_palette(PASCAL_PERSON)[1:])
    lead = "How to read. " * 20
    write_chapters(folder / "view.html", title="a_folder/" * 12, lead=lead, colors=parts, chapters=chapters)
    return [(folder / name).read_text(encoding="utf-8") for name in ("report.html", "view.html")]


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")
def test_pages_fit_phone_and_projector_and_keep_their_legend(tmp_path):
    pages = written(tmp_path)
    (tmp_path / "ask.html").write_text(ASK % json.dumps(pages).replace("</", "<\\/"), encoding="utf-8")
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    arguments += ["--virtual-time-budget=20000", "--dump-dom", (tmp_path / "ask.html").as_uri()]
    done = subprocess.run([BROWSER, *arguments], capture_output=True, text=True, timeout=300, check=True)
    answers = json.loads(re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)[1])
    assert [answer["width"] for answer in answers] == [PHONE, PROJECTOR] * 2
    for answer in answers:
        assert answer["wide"] <= answer["width"], "the page scrolls sideways"
        assert answer["scrolled"] > 0
        assert answer["top"] == 0, "the legend is out of sight"
        assert answer["legend"] < 0.25 * 700, "the legend hides the page"
        assert answer["smallest"] >= 12
        assert answer["images"] >= 9
        assert not answer["broken"]
        assert set(answer["fetched"]) <= {"data:"}


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
BLIND = {
    "nobody": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


def least_difference(colors, matrix):
    """The smallest distance in CIELAB of two colours uint8[C, 3] as somebody sees them; 2.3 is just noticeable."""
    share = np.asarray(colors, np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.asarray(matrix).T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(seen[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    return min(np.linalg.norm(a - b) for a, b in combinations(lab, 2))


@pytest.mark.parametrize("eyes", BLIND)
def test_colours_differ_for_everybody(eyes):
    sides = [np.unique(figures.side_palette(skeleton), axis=0) for skeleton in (PASCAL_PERSON, HORSE)]
    limbs = [figures.LEFT_COLOR, figures.RIGHT_COLOR, figures.MIDDLE_COLOR]
    for colors in (PALETTE, HORSE.palette, *sides, limbs):
        assert least_difference(colors, BLIND[eyes]) > 15


def test_red_and_green_of_one_lightness_do_not():
    assert least_difference([(200, 60, 60), (90, 130, 60)], BLIND["deuteranopia"]) < 10
