"""The demo page: what its JavaScript computes in a real browser is what `make_prior` computes."""

import base64
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pgkt_jax import PASCAL_PERSON, cli, nearest_poses, prior_from
from pgkt_jax.data.puppets import draw_puppet
from pgkt_jax.data.writer import PeopleWriter
from pgkt_jax.geometry import image_box
from pgkt_jax.report.demo import write_demo
from pgkt_jax.stages.refine import bank_of
from pgkt_jax.train.run_folder import save_bank

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
in_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome is installed")

SIZE = (96, 64)
PEOPLE = [draw_puppet(row, size=SIZE) for row in range(15)]
BANK, TARGETS = PEOPLE[:10], PEOPLE[10:]
K = 2

# A mean of two bytes often lies between two bytes: Python rounds it to the even one, JavaScript up.
TOLERANCE = 1.1 / 255


class Answer(http.server.BaseHTTPRequestHandler):
    """Keeps what the page sends."""

    def do_POST(self):
        self.server.answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def evaluated(page, script, folder):
    """What a function of (demo, bank) returns, run inside of a page by a browser."""
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.answer, server.timeout = None, 240
        there = f"http://127.0.0.1:{server.server_port}"
        runs = f"""<script>
          const send = (value) => fetch("{there}", {{ method: "POST", mode: "no-cors", body: JSON.stringify(value) }});
          demo.then((demo) => ({script})(demo, demo.bank)).then(send, (error) => send({{ error: error.stack }}));
        </script></body>"""
        allowed = f"; script-src 'unsafe-inline'; connect-src {there}"
        copy = folder / "test.html"
        copy.write_text(re.sub(r"; script-src '[^']*'", allowed, page.read_text()).replace("</body>", runs))
        browser = subprocess.Popen(
            [
                BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
                "--window-size=390,844", "--remote-debugging-port=0", copy.as_uri(),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            server.handle_request()
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
    assert server.answer is not None, "the browser did not answer"
    assert "error" not in server.answer, server.answer
    return server.answer


@pytest.fixture(scope="module")
def bank():
    return bank_of(BANK, PASCAL_PERSON)


@pytest.fixture(scope="module")
def page(bank, tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "demo.html"
    write_demo(path, bank)
    return path


def targets():
    """Poses as they are; one without a hip, so without a torso; one of whom only an arm is seen; excluded people."""
    for number, person in enumerate(TARGETS):
        visible = person.visible.copy()
        if number == 1:
            visible[[PASCAL_PERSON.joint("pelvis"), PASCAL_PERSON.joint("left_hip")]] = False
        if number == 2:
            visible[:] = False
            visible[[PASCAL_PERSON.joint(f"left_{name}") for name in ("shoulder", "elbow", "wrist")]] = True
        yield person.joints, visible, -1
    yield BANK[3].joints, BANK[3].visible, 3
    yield np.zeros_like(TARGETS[0].joints), np.ones_like(TARGETS[0].visible), -1  # nothing has a length


@jax.jit
def neighbours_and_prior(bank, joints, visible, exclude):
    near = nearest_poses(bank, joints, visible, k=K, exclude=exclude)
    return near, prior_from(bank, near, joints, visible, jnp.array(image_box(SIZE)), size=SIZE)


@in_browser
def test_the_browser_finds_the_same_people_and_makes_the_same_priors(bank, page, tmp_path):
    cases = list(targets())
    given = [{"joints": j.ravel().tolist(), "visible": v.astype(int).tolist(), "exclude": e} for j, v, e in cases]
    found = evaluated(
        page,
        f"""(demo, bank) => {json.dumps(given)}.map(({{joints, visible, exclude}}) => {{
          const pose = {{ joints: Float32Array.from(joints), visible: Uint8Array.from(visible) }};
          const near = nearestPoses(bank, pose, {K}, exclude);
          const prior = priorFrom(bank, near.map((one) => one.row), pose, {json.dumps(SIZE)});
          return {{ near, prior: Array.from(prior, (value) => Math.round(1e5 * value) / 1e5) }};
        }})""",
        tmp_path,
    )
    for (joints, visible, exclude), answer in zip(cases, found):
        near, prior = neighbours_and_prior(bank, jnp.asarray(joints), jnp.asarray(visible), exclude)
        valid = np.asarray(near.valid)
        assert [n["row"] for n in answer["near"]] == np.asarray(near.indices)[valid].tolist()
        distances = [n["distance"] for n in answer["near"]]
        np.testing.assert_allclose(distances, np.asarray(near.distances)[valid], atol=1e-5)
        found_prior = np.array(answer["prior"], np.float32).reshape(prior.shape)
        assert np.abs(found_prior - np.asarray(prior)).max() <= TOLERANCE
    assert sum(np.max(answer["prior"]) > 0.9 for answer in found) >= 5, "most priors have something to show"
    assert not found[-1]["near"]


@in_browser
def test_a_joint_follows_the_pointer_and_a_tap_hides_it(page, tmp_path):
    seen = evaluated(
        page,
        """async (demo, bank) => {
          const frames = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
          await frames();
          const wrist = bank.jointNames.indexOf("left_wrist");
          const [height, width] = bank.size;
          const place = () => {
            const frame = demo.stage.getBoundingClientRect(), scale = frame.width / width;
            return [frame.left + (demo.pose.joints[2 * wrist] + .5) * scale,
                    frame.top + (demo.pose.joints[2 * wrist + 1] + .5) * scale];
          };
          const inPicture = ([x, y]) => {
            const frame = demo.stage.getBoundingClientRect(), scale = frame.width / width;
            return [(x - frame.left) / scale - .5, (y - frame.top) / scale - .5];
          };
          const send = (type, [clientX, clientY]) =>
            demo.stage.dispatchEvent(new PointerEvent(type, { clientX, clientY, pointerId: 1, pointerType: "touch" }));
          const pixels = () => Array.from(
            demo.stage.getContext("2d").getImageData(0, 0, demo.stage.width, demo.stage.height).data
          ).reduce((hash, value, i) => (hash * 31 + value) | 0, 7);
          const before = { joint: Array.from(demo.pose.joints.slice(2 * wrist, 2 * wrist + 2)), pixels: pixels() };
          const [x, y] = place();
          const away = [x + (x > innerWidth / 2 ? -40 : 40), y + 30];
          const wanted = inPicture(away);  // now: the page may be laid out anew when the prior changes
          send("pointerdown", [x, y]); send("pointermove", away); send("pointerup", away);
          await frames();
          const after = { joint: Array.from(demo.pose.joints.slice(2 * wrist, 2 * wrist + 2)), pixels: pixels(),
                          wanted };
          send("pointerdown", place()); send("pointerup", place());
          await frames();
          const hidden = demo.pose.visible[wrist];
          demo.k.value = 2; demo.k.oninput();
          await frames();
          return { before, after, hidden, portraits: demo.people.children.length, status: demo.status.textContent,
                   wide: document.documentElement.scrollWidth - innerWidth };
        }""",
        tmp_path,
    )
    assert seen["before"]["joint"] != seen["after"]["joint"]
    np.testing.assert_allclose(seen["after"]["joint"], seen["after"]["wanted"], atol=1)
    assert seen["before"]["pixels"] != seen["after"]["pixels"]
    assert seen["hidden"] == 0
    assert seen["portraits"] == 2
    assert "ms a prior" in seen["status"]
    assert seen["wide"] <= 0, "on a telephone nothing sticks out"


def test_page_asks_nobody_for_anything_and_runs_its_own_script_only(page):
    text = page.read_text()
    assert not re.search(r"https?://|//cdn|@import|url\(|<link|\bsrc=|\bhref=", re.sub(r'"data":"[^"]*"', "", text))
    assert "default-src 'none'" in text
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (allowed,) = re.findall(r"script-src 'sha256-([^']*)'", text)
    assert base64.b64decode(allowed) == hashlib.sha256(script.encode()).digest()


def test_names_in_the_page_stay_data(bank, tmp_path):
    hostile = "</script><script>alert(1)"
    joints = tuple(hostile if name == "thorax" else name for name in PASCAL_PERSON.joints)
    parts = tuple(replace(part, class_name=hostile) if part.name == "head" else part for part in PASCAL_PERSON.parts)
    path = tmp_path / "demo.html"
    write_demo(path, replace(bank, skeleton=replace(PASCAL_PERSON, joints=joints, parts=parts)))
    assert hostile not in path.read_text()
    (tables,) = re.findall(r'<script type="application/json" id="bank">(.*?)</script>', path.read_text())
    assert hostile in json.loads(tables)["jointNames"]


def test_banks_that_cannot_be_shown_are_refused(bank, tmp_path):
    with pytest.raises(ValueError, match="limb frames"):
        write_demo(tmp_path / "a.html", replace(bank, frames=None))
    with pytest.raises(ValueError, match="two people"):
        write_demo(tmp_path / "a.html", replace(bank, joints=bank.joints[:1]))
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def folder(bank, tmp_path_factory):
    """A people folder of the bank's ten and two more, one with joints only; a run whose bank has two of them twice."""
    root = tmp_path_factory.mktemp("people")
    with PeopleWriter(root / "people", PASCAL_PERSON) as writer:
        for person in [replace(BANK[0], id="0", label_map=None), *BANK, TARGETS[0]]:
            writer.add(person, split="train")
    training = root / "run" / "refine-part-level"
    (training / "checkpoints").mkdir(parents=True)
    (training / "config.json").write_text("{}")
    rows = jnp.array([*range(len(BANK)), 0, 1])
    save_bank(
        training, replace(bank, label_maps=bank.label_maps[rows], joints=bank.joints[rows], visible=bank.visible[rows])
    )
    return root


@pytest.mark.parametrize("given", ["people", "run", "run/refine-part-level"])
def test_the_command_takes_the_first_people_of_a_people_folder_or_a_run(bank, folder, tmp_path, capsys, given):
    expected, out = tmp_path / "expected.html", tmp_path / "new" / "page.html"
    assert cli.main(["demo", str(folder / given), "--out", str(out), "--people", str(len(BANK))]) == 0
    assert f"{len(BANK)} people" in capsys.readouterr().out
    write_demo(expected, bank)
    assert out.read_text() == expected.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no run and no data set"),
        (["puppets", "--people", "1"], "--people 1"),
        (["puppets", "--out", "."], "is a folder"),
    ],
)
def test_wrong_usage_ends_in_one_sentence(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["demo", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("pgkt demo: ")
    assert said in error
    assert "; for instance: pgkt demo " in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
