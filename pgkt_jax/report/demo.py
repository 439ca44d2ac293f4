"""A page on which a figure's joints are dragged and the part-level prior follows; it needs no server and no network.

The bank's patches (`limb_frames.py`), already bytes, travel with its poses in one gzipped block inside the page;
`demo.js` finds the nearest people there and pulls their patches, as `make_prior` does with `method="limb_frames"`.
"""

import base64
import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from pgkt_jax.prior import PoseBank
from pgkt_jax.report.figures import LEFT_COLOR, MIDDLE_COLOR, RIGHT_COLOR
from pgkt_jax.report.gallery import legend
from pgkt_jax.report.html import write_html

LONG_SIDE = 320
"""Of the picture that the page computes, in pixels."""

MOST_NEIGHBOURS = 8
"""Up to which k can be chosen."""


def write_demo(path: str | os.PathLike[str], bank: PoseBank) -> None:
    """Writes the page, all of it or nothing; its folder is made, an older file replaced.

    Args:
        path: of the HTML file.
        bank: whose people are the neighbours, and whose poses are those to start from. A person with ten parts takes
            5 to 8 kB of the page.

    Raises:
        ValueError: the bank has no limb frames, or fewer than two people.
    """
    if bank.frames is None:
        raise ValueError("a demo page wants a bank with limb frames: PoseBank.create makes them of label maps")
    if bank.size < 2:
        raise ValueError("a demo page wants a bank of two people at least: one to start from, one for the prior")
    most = min(MOST_NEIGHBOURS, bank.size - 1)
    colours = legend(zip(bank.skeleton.classes, bank.skeleton.palette))
    body = _BODY.format(people=bank.size, k=min(3, most), most=most, legend=colours)
    # A name with "<" in it could end the script element.
    tables = json.dumps(_tables(bank), separators=(",", ":")).replace("<", "\\u003c")
    data = f'<script type="application/json" id="bank">{tables}</script>'
    script = Path(__file__).with_name("demo.js").read_text("utf-8")
    write_html(path, "Drag a joint", [_STYLE, body, data], script=script)


def _tables(bank: PoseBank) -> dict[str, Any]:
    """What `readBank` of demo.js reads."""
    skeleton, frames = bank.skeleton, bank.frames
    arrays = {
        "joints": bank.joints,
        "meanPose": bank.mean_pose,
        "shared": frames.shared,
        "reach": frames.reach,
        "own": frames.own,
        # Arrays of words come first, so that each begins at a whole word.
        "visible": np.asarray(bank.visible, np.uint8),
        "patches": frames.patches,
        "ownPatches": _unpacked(np.asarray(frames.own_taps)),
    }
    stored = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    block = b"".join(array.tobytes() for array in stored.values())
    return {
        "people": bank.size,
        "size": _stage(bank),
        "side": frames.patches.shape[-1],
        "jointNames": skeleton.joints,
        "limbs": skeleton.limbs.tolist(),
        "partClasses": skeleton.part_classes.tolist(),
        "classes": skeleton.classes,
        "torso": skeleton.torso_joints,
        "colours": {
            "classes": skeleton.palette.tolist(), "left": LEFT_COLOR, "right": RIGHT_COLOR, "middle": MIDDLE_COLOR
        },
        "arrays": [(name, array.dtype.name, array.size) for name, array in stored.items()],
        "data": base64.b64encode(gzip.compress(block, mtime=0)).decode(),
    }  # fmt: skip


def _unpacked(taps: np.ndarray) -> np.ndarray:
    """uint8[M, R, R], the patches of which `pack_taps` made uint32[M, (R + 1)^2]."""
    side = round(taps.shape[1] ** 0.5)
    return (taps.reshape(-1, side, side)[:, 1:, 1:] & 255).astype(np.uint8)


def _stage(bank: PoseBank) -> tuple[int, int]:
    """(H, W) of the picture, in which most of the bank's poses fill the height or the width."""
    seen = np.asarray(bank.visible)[..., None]
    high = np.where(seen, bank.joints, -np.inf).max(1)
    spans = high - np.where(seen, bank.joints, np.inf).min(1)
    width, height = np.maximum(np.median(spans[np.isfinite(spans).all(1)], axis=0), 1)
    ratio = float(np.clip(width / height, 3 / 4, 4 / 3))
    return (LONG_SIDE, round(LONG_SIDE * ratio)) if ratio <= 1 else (round(LONG_SIDE / ratio), LONG_SIDE)


_BODY = """
<header>
<h1>Drag a joint</h1>
<p class="lead">The part-level prior follows: among {people} people with part masks those in the most similar pose are
found, and their parts are moved, limb by limb, onto your figure and averaged. All of it happens in this page.</p>
</header>
<div class="demo">
<section>
<canvas id="stage" width="1" height="1" role="img" aria-label="The figure, and its part-level prior"></canvas>
<p class="hint">Tap a joint to hide it, and the dashed ring to show it again.</p>
</section>
<section>
<p class="controls">
<label>k, people averaged <output id="kValue">{k}</output>
<input id="k" type="range" min="1" max="{most}" value="{k}"></label>
<label><input id="labels" type="checkbox"> labels in place of shares</label>
<button id="next" type="button">another pose</button>
</p>
{legend}
<h2>Nearest people</h2>
<div id="people"></div>
<p class="hint" id="status" role="status">Reading the bank.</p>
</section>
</div>
<noscript><p>This page needs JavaScript.</p></noscript>
"""

_STYLE = """<style>
.demo { display: grid; gap: 0 32px; grid-template-columns: minmax(0, auto) minmax(0, 1fr); align-items: start; }
#stage { display: block; height: min(78vh, 800px); max-width: 100%; border-radius: 6px; background: #000; }
.controls { display: flex; flex-wrap: wrap; gap: .5em 1.5em; align-items: center; margin: 0 0 .6em; }
.controls label { display: inline-flex; align-items: center; gap: .5em; }
.controls output { font-weight: 700; min-width: 1em; }
.controls input { accent-color: var(--bar); min-height: 1.6em; }
.controls button { font: inherit; padding: .35em 1em; }
.demo h2 { margin: 1em 0 .4em; }
.demo .legend { position: static; }
#people { display: flex; flex-wrap: wrap; gap: 12px; }
#people figure { width: 132px; }
#people canvas { display: block; width: 100%; border-radius: 4px; background: #000; }
#people figcaption { line-height: 1.3; font-variant-numeric: tabular-nums; }
@media (max-width: 760px) {
  .demo { grid-template-columns: minmax(0, 1fr); }
  #stage { height: auto; width: min(100%, 62vh); margin: 0 auto; }
  #people figure { width: calc((100% - 24px) / 3); }
}
</style>"""
