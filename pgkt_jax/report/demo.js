"use strict";
// The part-level prior in plain JavaScript, and a figure whose joints can be dragged. `demo.py` puts this and a pose
// bank into one page. What is computed here is what make_prior(..., method="limb_frames") computes: see retrieval.py,
// limb_frames.py and tiles.py for the reasons. Points are (x, y) in pixels, y down, pixel centres at integers.

const MIN_LIMB = 0.5; // pixels; geometry.py
const MIN_SHARED = 3; // joints; retrieval.py

// ---- the bank -------------------------------------------------------------------------------------------------------

const KINDS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array };

/** The bank of the page: its tables, and its arrays cut out of one gzipped, base64-coded block. */
async function readBank(text) {
  const { data, arrays, ...bank } = JSON.parse(text);
  const packed = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(unpacked).arrayBuffer();
  let start = 0;
  for (const [name, kind, length] of arrays) {
    bank[name] = new KINDS[kind](buffer, start, length);
    start += bank[name].byteLength;
  }
  const poses = Array.from({ length: bank.people }, (_, row) => normalizePose(bank, poseOf(bank, row)));
  return { ...bank, poses };
}

/** The joints of a person of the bank, flat (x, y, x, y, ...), and which of them are visible. */
function poseOf(bank, row) {
  const count = bank.jointNames.length;
  return {
    joints: bank.joints.slice(2 * row * count, 2 * (row + 1) * count),
    visible: bank.visible.slice(row * count, (row + 1) * count),
  };
}

// ---- retrieval ------------------------------------------------------------------------------------------------------

/** A pose with its torso's origin at (0, 0) and a torso of length 1, or else laid over the mean pose. */
function normalizePose({ torso: [origin, end], meanPose }, { joints, visible }) {
  const length = Math.hypot(joints[2 * end] - joints[2 * origin], joints[2 * end + 1] - joints[2 * origin + 1]);
  if (visible[origin] && visible[end] && length >= MIN_LIMB) {
    return { joints: joints.map((w, i) => (w - joints[2 * origin + (i % 2)]) / length), visible, usable: true };
  }
  const [own, mean] = [centred(joints, visible), centred(meanPose, visible)];
  const scale = mean.size / Math.max(own.size, MIN_LIMB);
  return {
    joints: joints.map((w, i) => (w - own.centre[i % 2]) * scale + mean.centre[i % 2]),
    visible,
    usable: own.size >= MIN_LIMB && mean.size > 0,
  };
}

/** The centre of the visible joints and their root-mean-square distance from it. */
function centred(joints, visible) {
  const count = Math.max(sum(visible), 1);
  const mean = (value) => sum(Array.from(visible, (seen, j) => (seen ? value(j) : 0))) / count;
  const [x, y] = [mean((j) => joints[2 * j]), mean((j) => joints[2 * j + 1])];
  return { centre: [x, y], size: Math.sqrt(mean((j) => (joints[2 * j] - x) ** 2 + (joints[2 * j + 1] - y) ** 2)) };
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

/** The k people of the bank in the most similar pose, nearest first; fewer where fewer can be compared. */
function nearestPoses(bank, pose, k, exclude = -1) {
  const target = normalizePose(bank, pose);
  const needed = Math.max(Math.min(MIN_SHARED, pose.visible.length), sum(pose.visible) / 2);
  const found = [];
  for (let row = 0; target.usable && row < bank.people; row++) {
    const [shared, total] = compare(target, bank.poses[row]);
    if (bank.poses[row].usable && row !== exclude && shared >= needed) {
      found.push({ row, distance: total / Math.max(shared, 1) });
    }
  }
  return found.sort((a, b) => a.distance - b.distance || a.row - b.row).slice(0, k);
}

/** How many joints two normalised poses share, and the sum of their squared distances. */
function compare(one, other) {
  let [shared, total] = [0, 0];
  for (let j = 0; j < one.visible.length; j++) {
    if (one.visible[j] && other.visible[j]) {
      const [x, y] = [one.joints[2 * j] - other.joints[2 * j], one.joints[2 * j + 1] - other.joints[2 * j + 1]];
      total += x * x + y * y;
      shared++;
    }
  }
  return [shared, total];
}

// ---- the prior ------------------------------------------------------------------------------------------------------

/** The two ends of a part's limb, [ax, ay, bx, by], or null where one is unseen or they lie together. */
function limbOf(bank, { joints, visible }, part) {
  const [a, b] = bank.limbs[part];
  const limb = [joints[2 * a], joints[2 * a + 1], joints[2 * b], joints[2 * b + 1]];
  return visible[a] && visible[b] && Math.hypot(limb[2] - limb[0], limb[3] - limb[1]) >= MIN_LIMB ? limb : null;
}

/**
 * The people's parts averaged in the frames of their limbs, moved onto the pose, merged by max within a class.
 * Returns Float32Array[height * width * classes] in 0..1, background left out.
 */
function priorFrom(bank, rows, pose, [height, width]) {
  const depth = bank.classes.length - 1;
  const image = { height, width, depth, values: new Float32Array(height * width * depth) };
  const own = [];
  const mean = new Float32Array(bank.side ** 2);
  for (let part = 0; part < bank.limbs.length; part++) {
    const limb = limbOf(bank, pose, part);
    if (!limb) continue;
    let reach = null;
    mean.fill(0);
    for (const row of rows) {
      const at = row * bank.limbs.length + part;
      const extent = bank.reach.subarray(4 * at, 4 * at + 4); // of no area where the person lacks the limb
      if (bank.own[at] >= 0) {
        own.push({ part, limb, extent, patch: patchAt(bank, bank.ownPatches, bank.own[at]) });
      } else if (extent[2] > extent[0]) {
        const patch = patchAt(bank, bank.patches, at);
        for (let i = 0; i < mean.length; i++) mean[i] += patch[i];
        reach = reach ? extent.map((edge, i) => (i < 2 ? Math.min : Math.max)(edge, reach[i])) : extent;
      }
    }
    if (!reach) continue;
    const patch = mean.map((value) => Math.round(value / rows.length));
    const shared = bank.shared.subarray(4 * part, 4 * part + 4);
    pull(image, bank.partClasses[part] - 1, padded(bank, patch), shared, reach, limb, Math.max);
  }
  // Patches that the shared extent does not hold are pulled by themselves and added.
  for (const { part, limb, extent, patch } of own) {
    const add = (before, value) => Math.min(before + value / rows.length, 1);
    pull(image, bank.partClasses[part] - 1, padded(bank, patch), extent, extent, limb, add);
  }
  return image.values;
}

function patchAt(bank, patches, row) {
  return patches.subarray(row * bank.side ** 2, (row + 1) * bank.side ** 2);
}

/** A patch with a border of zeros, so that looking between samples needs no cases. */
function padded({ side }, patch) {
  const stride = side + 2;
  const values = new Float32Array(stride * stride);
  for (let i = 0; i < side; i++) values.set(patch.subarray(i * side, (i + 1) * side), (i + 1) * stride + 1);
  return { values, side, stride };
}

/** Moves one padded patch, which covers `extent` in the frame of its limb, onto a limb of the image. */
function pull(image, channel, patch, extent, reach, [ax, ay, bx, by], merge) {
  const { values, side, stride } = patch;
  const [dx, dy] = [bx - ax, by - ay];
  const squared = dx * dx + dy * dy;
  const [across, down] = [0, 1].map((i) => side / Math.max(extent[i + 2] - extent[i], 1e-6));
  // The image's pixel (x, y) shows the patch's column c0 + cx x + cy y, row alike.
  const [cx, cy] = [(across * dx) / squared, (across * dy) / squared];
  const [rx, ry] = [(-down * dy) / squared, (down * dx) / squared];
  const [c0, r0] = [-cx * ax - cy * ay - across * extent[0] - 0.5, -rx * ax - ry * ay - down * extent[1] - 0.5];
  const columns = sampled(across, extent[0], reach[0], reach[2], side);
  const rows = sampled(down, extent[1], reach[1], reach[3], side);
  for (let y = 0; y < image.height; y++) {
    const c = c0 + cy * y;
    const r = r0 + ry * y;
    const [[left, right], [above, below]] = [between(c, cx, columns), between(r, rx, rows)];
    const last = Math.min(right, below, image.width - 1);
    for (let x = Math.ceil(Math.max(left, above, 0)); x <= last; x++) {
      // Truncation, of columns and rows that the border has made positive.
      const column = c + cx * x + 1;
      const row = r + rx * x + 1;
      const at = (row | 0) * stride + (column | 0);
      const u = column - (column | 0);
      const v = row - (row | 0);
      const top = values[at] + u * (values[at + 1] - values[at]);
      const bottom = values[at + stride] + u * (values[at + stride + 1] - values[at + stride]);
      const pixel = (y * image.width + x) * image.depth + channel;
      image.values[pixel] = merge(image.values[pixel], (top + v * (bottom - top)) / 255);
    }
  }
}

/** The columns (or rows) of a patch, inside its border, between which it can be other than zero. */
function sampled(steps, edge, low, high, side) {
  // A sample covers half a step, looking between samples spreads it over one more.
  return [Math.max(steps * (low - edge) - 2, -1 + 1e-9), Math.min(steps * (high - edge) + 1, side - 1e-9)];
}

/** From which x to which `constant + slope * x` lies between two values. */
function between(constant, slope, [low, high]) {
  if (Math.abs(slope) < 1e-12) return constant >= low && constant <= high ? [-Infinity, Infinity] : [1, 0];
  const ends = [(low - constant) / slope, (high - constant) / slope];
  return slope > 0 ? ends : ends.reverse();
}

// ---- pictures -------------------------------------------------------------------------------------------------------

/** Class colours mixed by the prior, over black; with `labels`, the likeliest class where it reaches a half. */
function picture(bank, prior, [height, width], labels) {
  const image = new ImageData(width, height);
  const { data } = image;
  const colours = bank.colours.classes.slice(1);
  for (let at = 0, pixel = 0; at < prior.length; at += colours.length, pixel += 4) {
    data[pixel + 3] = 255;
    let total = 0;
    let best = 0;
    for (let i = 0; i < colours.length; i++) {
      total += prior[at + i];
      if (prior[at + i] > prior[at + best]) best = i;
    }
    if (total === 0 || (labels && prior[at + best] < 0.5)) continue;
    for (let channel = 0; channel < 3; channel++) {
      let mixed = 0;
      for (let i = 0; i < colours.length; i++) mixed += prior[at + i] * colours[i][channel];
      data[pixel + channel] = labels ? colours[best][channel] : mixed / Math.max(total, 1);
    }
  }
  return image;
}

/** Draws a prior over the whole of a canvas, and the pose's sticks upon it. */
function show(canvas, bank, prior, size, pose, { labels = false, chosen = -1, handles = false } = {}) {
  const small = document.createElement("canvas");
  [small.height, small.width] = size;
  small.getContext("2d").putImageData(picture(bank, prior, size, labels), 0, 0);
  const context = canvas.getContext("2d");
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  const scale = canvas.width / size[1];
  const at = (j) => [(pose.joints[2 * j] + 0.5) * scale, (pose.joints[2 * j + 1] + 0.5) * scale];
  const width = Math.max(2, Math.min(...size) / 75) * scale;
  for (const rim of [true, false]) sticks(context, bank, pose, at, width, rim);
  if (!handles) return;
  for (let j = 0; j < pose.visible.length; j++) {
    if (j !== chosen && pose.visible[j]) continue;
    context.setLineDash(j === chosen ? [] : [width, width]);
    context.lineWidth = width / 2;
    context.strokeStyle = colour(sideColour(bank, j));
    context.beginPath();
    context.arc(...at(j), 2.2 * width, 0, 2 * Math.PI);
    context.stroke();
  }
  context.setLineDash([]);
}

/** The pose of figures.draw_joints: limbs in the colour of their side; first their dark rims. */
function sticks(context, bank, pose, at, width, rim) {
  const grown = rim ? width * 0.6 : 0;
  context.lineCap = "round";
  context.lineWidth = width + grown;
  for (const [a, b] of bank.limbs) {
    if (!pose.visible[a] || !pose.visible[b]) continue;
    const [one, other] = [sideColour(bank, a), sideColour(bank, b)];
    context.strokeStyle = rim ? "#000" : colour(one === other ? one : bank.colours.middle);
    context.beginPath();
    context.moveTo(...at(a));
    context.lineTo(...at(b));
    context.stroke();
  }
  for (let j = 0; j < pose.visible.length; j++) {
    if (!pose.visible[j]) continue;
    context.fillStyle = rim ? "#000" : colour(sideColour(bank, j));
    context.beginPath();
    context.arc(...at(j), 0.95 * width + grown / 2, 0, 2 * Math.PI);
    context.fill();
  }
}

function sideColour(bank, joint) {
  return bank.colours[bank.jointNames[joint].split("_")[0]] ?? bank.colours.middle;
}

function colour(rgb) {
  return `rgb(${rgb.join(",")})`;
}

/** A pose moved and scaled into the middle of an image. */
function fitted({ joints, visible }, [height, width]) {
  const span = [0, 1].map((axis) => {
    const seen = joints.filter((_, i) => i % 2 === axis && visible[(i - axis) / 2]);
    return [Math.min(...seen), Math.max(...seen)];
  });
  const room = [width, height].map((side, axis) => (0.72 * side) / Math.max(span[axis][1] - span[axis][0], 1));
  const scale = Math.min(...room);
  const shift = [width, height].map((side, axis) => (side - 1) / 2 - (scale * (span[axis][0] + span[axis][1])) / 2);
  return { joints: joints.map((w, i) => scale * w + shift[i % 2]), visible: visible.slice() };
}

// ---- the page -------------------------------------------------------------------------------------------------------

const TAP = 5; // CSS pixels: what moves less is a tap
const GRASP = { mouse: 18, pen: 24, touch: 36 }; // CSS pixels around a joint

class Demo {
  constructor(bank) {
    this.bank = bank;
    for (const id of ["stage", "people", "k", "labels", "next", "status"]) this[id] = document.getElementById(id);
    this.chosen = -1;
    this.shown = "";
    this.times = [];
    this.start(0);
    this.next.onclick = () => this.start((this.self + 1) % bank.people);
    this.k.oninput = this.labels.onchange = () => this.later();
    this.stage.onpointerdown = (event) => this.grasp(event);
    this.stage.onpointermove = (event) => this.drag(event);
    this.stage.onpointerup = (event) => this.release(event);
    this.stage.onpointercancel = () => this.release(null);
    // A finger on a joint drags it; anywhere else it scrolls the page.
    const hold = (event) => event.cancelable && this.jointAt(event.touches[0], "touch") >= 0 && event.preventDefault();
    this.stage.addEventListener("touchstart", hold, { passive: false });
    new ResizeObserver(() => this.later()).observe(this.stage);
  }

  /** Starts from a pose of the bank, whose owner is then no neighbour of himself. */
  start(row) {
    this.self = row;
    this.pose = fitted(poseOf(this.bank, row), this.bank.size);
    this.later();
  }

  /** A place of the page in pixels of the stage. */
  place({ clientX, clientY }) {
    const frame = this.stage.getBoundingClientRect();
    const [height, width] = this.bank.size;
    const scale = width / frame.width;
    const inside = (w, side) => Math.min(Math.max(w, 0), side - 1);
    const [x, y] = [(clientX - frame.left) * scale - 0.5, (clientY - frame.top) * scale - 0.5];
    return [inside(x, width), inside(y, height), scale];
  }

  /** The joint at a place of the page, -1 for none; the nearest of those within reach. */
  jointAt(where, pointer) {
    const [x, y, scale] = this.place(where);
    const { joints } = this.pose;
    const far = Array.from(this.pose.visible, (_, j) => Math.hypot(joints[2 * j] - x, joints[2 * j + 1] - y));
    const nearest = Math.min(...far);
    return nearest <= (GRASP[pointer] ?? GRASP.touch) * scale ? far.indexOf(nearest) : -1;
  }

  grasp(event) {
    this.chosen = this.jointAt(event, event.pointerType);
    if (this.chosen < 0) return;
    this.from = [event.clientX, event.clientY];
    this.moved = false;
    if (event.isTrusted) this.stage.setPointerCapture(event.pointerId);
    this.later();
  }

  drag(event) {
    if (this.chosen < 0) {
      this.stage.style.cursor = this.jointAt(event, event.pointerType) < 0 ? "" : "grab";
      return;
    }
    this.moved ||= Math.hypot(event.clientX - this.from[0], event.clientY - this.from[1]) > TAP;
    if (!this.moved) return;
    this.pose.joints.set(this.place(event).slice(0, 2), 2 * this.chosen);
    this.later();
  }

  release(event) {
    // A tap hides a joint, or shows it again.
    if (event && this.chosen >= 0 && !this.moved) this.pose.visible[this.chosen] ^= 1;
    this.chosen = -1;
    this.later();
  }

  /** Draws before the next picture of the screen, once, however much has changed until then. */
  later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  draw() {
    const { bank, pose, stage } = this;
    const before = performance.now();
    const neighbours = nearestPoses(bank, pose, Number(this.k.value), this.self);
    const prior = priorFrom(bank, neighbours.map(({ row }) => row), pose, bank.size);
    this.times = [...this.times.slice(-29), performance.now() - before];
    fit(stage, bank.size);
    show(stage, bank, prior, bank.size, pose, { labels: this.labels.checked, chosen: this.chosen, handles: true });
    document.getElementById("kValue").value = this.k.value;
    this.present(neighbours);
    const median = this.times.toSorted((a, b) => a - b)[this.times.length >> 1];
    const [height, width] = bank.size;
    this.status.textContent = neighbours.length
      ? `${median.toFixed(1)} ms a prior of ${height} x ${width} pixels, search among ${bank.people} people included`
      : "Nobody shares enough joints with this pose: show some again, by tapping them.";
  }

  /** The neighbours: their own parts under their own sticks. Canvases change only when the people do. */
  present(neighbours) {
    const rows = neighbours.map(({ row }) => row);
    if (this.shown !== String(rows)) {
      this.shown = String(rows);
      this.people.replaceChildren(...rows.map((row) => this.portrait(row)));
    }
    neighbours.forEach(({ row, distance }, i) => {
      this.people.children[i].lastChild.textContent = `person ${row + 1}, distance ${distance.toFixed(3)}`;
    });
  }

  portrait(row) {
    const [figure, canvas] = ["figure", "canvas"].map((name) => document.createElement(name));
    const size = this.bank.size.map((side) => Math.round(side / 2));
    const pose = fitted(poseOf(this.bank, row), size);
    [canvas.height, canvas.width] = size.map((side) => 2 * side);
    show(canvas, this.bank, priorFrom(this.bank, [row], pose, size), size, pose);
    figure.append(canvas, document.createElement("figcaption"));
    return figure;
  }
}

/** As many pixels in a canvas as the screen has for it. */
function fit(canvas, [height, width]) {
  const wide = Math.round(canvas.clientWidth * devicePixelRatio) || width;
  if (canvas.width !== wide) [canvas.width, canvas.height] = [wide, Math.round((wide * height) / width)];
}

globalThis.demo = readBank(document.getElementById("bank").textContent).then((bank) => new Demo(bank));
globalThis.demo.catch((error) => {
  document.getElementById("status").textContent = `This browser cannot read the page: ${error.message}`;
});
