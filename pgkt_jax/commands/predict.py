"""`pgkt predict PHOTOS... --run RUN [--poses POSES] [--out DIR]`: part labels of real photographs.

With poses, everybody is cut out and labelled by the run's refinement network; without, photographs are labelled whole
by its parsing network.
"""

import colorsys
import io
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pgkt_jax.commands.arguments import Arguments
from pgkt_jax.data import files, pictures
from pgkt_jax.report.figures import draw_joints, overlay
from pgkt_jax.skeleton import PASCAL_PERSON, Skeleton
from pgkt_jax.stages.evaluate import BATCH
from pgkt_jax.stages.photographs import (
    MAX_PEOPLE,
    Found,
    Photograph,
    Scene,
    Unreadable,
    find_photographs,
    parsed,
    refined,
    with_poses,
)
from pgkt_jax.stages.predict import Parser, Refiner
from pgkt_jax.train.log import Progress

EXAMPLE = "pgkt predict holiday/*.jpg --run runs/quickstart"
GUIDE = f"""\
what is written to --out, for a photograph NAME.jpg
  NAME.labels.png         class ids, as indices of a palette: 0 background, the others are named at the end
  NAME.overlay.jpg        the labels, and the poses, over the photograph
  NAME.instances.png      whose pixel it is, 1 the first person (with --poses)
  NAME.probabilities.npz  float16[H, W, C] of all classes (with --probabilities)
  people.jsonl            as each photograph is done, a line a person: id, image, instance, joints, box, pixels and
                          confidence of every class; without --poses a line a photograph: image, pixels, confidence

A photograph that cannot be decoded is named and left out; the others are labelled, and the status is 2.

examples
  {EXAMPLE}
  pgkt predict holiday --run runs/quickstart --poses alphapose-results.json --out labelled
"""


def main(arguments: Sequence[str]) -> None:
    """Labels photographs.

    Raises:
        ValueError: a photograph, the poses or the run are missing or wrong, said before anything is labelled; or
            photographs could not be decoded, said when all others are labelled.
    """
    parser = Arguments("pgkt predict", description=__doc__, guide=GUIDE, example=EXAMPLE)
    parser.add_argument("photographs", nargs="+", help="JPEG or PNG files, folders of them, or globs")
    parser.add_argument(
        "--run", "--checkpoint", type=Path, required=True, help="the folder of a run, or of one training in it"
    )
    parser.add_argument("--poses", type=Path, help="COCO, AlphaPose, OpenPose (a folder), MediaPipe or CSV")
    parser.add_argument("--out", type=Path, default=Path("predicted"), help="where results go (default: predicted)")
    parser.add_argument("--probabilities", action="store_true", help="write those of all classes, too")
    parser.add_argument("--upright", action="store_true", help="turn photographs by their EXIF orientation")
    chosen = parser.parse_args(arguments)
    paths = find_photographs(chosen.photographs)
    options = {"upright": chosen.upright, "probabilities": chosen.probabilities}
    if chosen.poses is None:
        photographs = [Photograph(path, ()) for path in paths]
        by_pixels = Parser.from_checkpoint(chosen.run, batch=min(BATCH, len(paths)))
        scenes, skeleton = parsed(photographs, by_pixels, **options), by_pixels.skeleton
    else:
        photographs = with_poses(paths, chosen.poses, upright=chosen.upright)
        people = sum(len(photograph.poses) for photograph in photographs)
        by_joints = Refiner.from_checkpoint(chosen.run, batch=min(BATCH, people))
        scenes, skeleton = refined(photographs, by_joints, **options), by_joints.skeleton
        if skeleton.joints != PASCAL_PERSON.joints:
            raise ValueError(f"{chosen.run}: is of skeleton {skeleton.name}, --poses of {PASCAL_PERSON.name}")
    _write(scenes, photographs, skeleton, chosen.out, posed=chosen.poses is not None)


def _write(
    scenes: Iterator[Scene | Unreadable],
    photographs: Sequence[Photograph],
    skeleton: Skeleton,
    folder: Path,
    *,
    posed: bool,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    total = sum(len(photograph.poses) for photograph in photographs) if posed else len(photographs)
    progress = Progress("predict", total, unit="people" if posed else "photographs")
    done = people = empty = left_out = 0
    with (folder / "people.jsonl").open("w") as file:
        for scene in scenes:
            if isinstance(scene, Unreadable):
                left_out += 1
                print(f"{scene.reason}: left out", file=sys.stderr)
            else:
                lines = records(scene, skeleton) if posed else [whole_record(scene, skeleton)]
                write_scene(scene, skeleton, folder)
                file.writelines(json.dumps(line) + "\n" for line in lines)
                file.flush()  # what is done is there, whatever becomes of the rest
                people += len(lines)
                empty += not lines
            done += len(scene.photograph.poses) if posed else 1
            progress.show(done)
    print(f"{folder}: {len(photographs) - left_out} photographs" + (f", {people} people" if posed else ""))
    print("classes: " + ", ".join(f"{row} {name}" for row, name in enumerate(skeleton.classes)))
    if empty:
        print(f"{empty} of the photographs have no pose: their label maps are empty")
    if left_out:
        raise ValueError(f"{left_out} of {len(photographs)} photographs cannot be decoded and are left out")


def write_scene(scene: Scene, skeleton: Skeleton, folder: Path) -> None:
    """Writes the files of one photograph, each whole or not at all (see `GUIDE`)."""
    stem = folder / scene.photograph.path.stem
    written = {
        "labels.png": pictures.encode_indexed_png(scene.label_map, skeleton.palette),
        "overlay.jpg": pictures.encode_jpeg(_drawn(scene, skeleton)),
    }
    if scene.people:
        written["instances.png"] = pictures.encode_indexed_png(scene.instances, _instance_colours())
    if scene.probabilities is not None:
        written["probabilities.npz"] = _npz(scene.probabilities.astype(np.float16), skeleton)
    for end, data in written.items():
        files.write_atomically(stem.with_name(f"{stem.name}.{end}"), data)


def records(scene: Scene, skeleton: Skeleton) -> list[dict[str, Any]]:
    """The lines of people.jsonl about the people of a photograph: `skipped` says why nothing was labelled.

    Boxes are (x0, y0, x1, y1) in pixels, ends left out; joints [x, y, visible] in pixels, null where unknown; pixels
    and confidence (the mean probability of a class where it was chosen) by class, of what the person won.
    """
    return [_record(scene, number, found, skeleton) for number, found in enumerate(scene.people, start=1)]


def whole_record(scene: Scene, skeleton: Skeleton) -> dict[str, Any]:
    """The line of people.jsonl about a photograph that was labelled whole."""
    return {"image": scene.photograph.path.name, **_by_class(scene.label_map, scene.evidence, skeleton)}


def _record(scene: Scene, number: int, found: Found, skeleton: Skeleton) -> dict[str, Any]:
    rows = zip(found.pose.joints.tolist(), found.pose.visible.tolist())
    line: dict[str, Any] = {
        "id": found.pose.id,
        "image": scene.photograph.path.name,
        "instance": number,
        "joints": [[*(round(n, 2) if np.isfinite(n) else None for n in xy), int(seen)] for xy, seen in rows],
    }
    if found.box is None:
        return {**line, "skipped": found.reason}
    x0, y0, x1, y1 = found.box
    mine = scene.instances[y0:y1, x0:x1] == number
    labels, evidence = scene.label_map[y0:y1, x0:x1][mine], scene.evidence[y0:y1, x0:x1][mine]
    return {**line, "box": list(found.box), **_by_class(labels, evidence, skeleton)}


def _by_class(labels: np.ndarray, evidence: np.ndarray, skeleton: Skeleton) -> dict[str, dict[str, float]]:
    """Pixels and confidence of every class that was chosen, of uint8 labels and float evidence of one shape."""
    labels, evidence = labels.ravel(), evidence.ravel()
    pixels = np.bincount(labels, minlength=skeleton.num_classes).tolist()
    sums = np.bincount(labels, weights=evidence, minlength=skeleton.num_classes)
    shown = [(name, i) for i, name in enumerate(skeleton.classes) if i and pixels[i]]
    return {
        "pixels": {name: pixels[i] for name, i in shown},
        "confidence": {name: round(float(sums[i]) / pixels[i], 4) for name, i in shown},
    }


def _drawn(scene: Scene, skeleton: Skeleton) -> np.ndarray:
    """uint8[H, W, 3]: the labels over the photograph, and the poses, with sticks as thick as suits each person."""
    drawn = overlay(scene.image, scene.label_map, skeleton.palette)
    for found in scene.people:
        if found.box is not None:
            x0, y0, x1, y1 = found.box
            joints = found.pose.joints - np.array([x0, y0], np.float32)
            drawn[y0:y1, x0:x1] = draw_joints(drawn[y0:y1, x0:x1], joints, found.pose.visible, skeleton)
    return drawn


def _instance_colours() -> np.ndarray:
    """uint8[256, 3]: black for nobody, then hues that lie far from those before them, light and dark by turns."""
    hues = (row * (math.sqrt(5) - 1) / 2 % 1 for row in range(MAX_PEOPLE))
    colours = [colorsys.hsv_to_rgb(hue, 0.8, 0.95 if row % 2 else 0.65) for row, hue in enumerate(hues)]
    return np.rint(np.array([(0, 0, 0), *colours]) * 255).astype(np.uint8)


def _npz(probabilities: np.ndarray, skeleton: Skeleton) -> bytes:
    data = io.BytesIO()
    np.savez_compressed(data, probabilities=probabilities, classes=np.array(skeleton.classes))
    return data.getvalue()
