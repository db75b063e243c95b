/* The label map as it is seen and painted on: by mouse, pen and touch, or by keys alone.

   Points are in pixels of the map. The keyboard has a point of its own; Space is its button. */

const STEP = 8; // pixels that an arrow moves with Shift
const canvas = document.getElementById("canvas");
const marks = document.getElementById("marks");
const hand = {
  tool: "brush", size: 1, label: 0,
  at: null, // where the pointer or the keyboard is; null: nowhere
  from: null, // where the stroke began
  last: null, // where it was last
  key: [width / 2, height / 2],
  isKeyed: false, // whether the keyboard moved it last
};
const colors = new Uint32Array(256).fill(colorOf([0, 0, 0]));
dataOfPage.classes.forEach(([, color], label) => { colors[label] = colorOf(color); });

/** A colour as a canvas holds it. */
function colorOf([red, green, blue]) {
  return new Uint32Array(Uint8ClampedArray.of(red, green, blue, 255).buffer)[0];
}

const nameOf = (label) => (label === UNLABELLED ? "unlabelled" : dataOfPage.classes[label][0]);

/** Draw labels in their colours. */
function drawLabels(target, labels) {
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let place = 0; place < labels.length; place += 1) pixels[place] = colors[labels[place]];
  target.getContext("2d").putImageData(picture, 0, 0);
}

/** Draw edges of objects, and where the hand is. */
function drawMarks() {
  const box = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  marks.width = Math.round(box.width * ratio);
  marks.height = Math.round(box.height * ratio);
  const pen = marks.getContext("2d");
  pen.scale(marks.width / width, marks.height / height);
  const thin = width / box.width;
  if (dataOfPage.models.some((model) => model.hasEdges)) drawEdges(pen, thin);
  if (!hand.at) return;
  pen.beginPath();
  outlineHand(pen);
  for (const [color, factor] of [["#000", 3], ["#fff", 1.25]]) {
    pen.strokeStyle = color;
    pen.lineWidth = factor * thin;
    pen.stroke();
  }
}

/** Lines between objects of one class; between classes the colours show them. */
function drawEdges(pen, thin) {
  const { labels, objects } = board;
  pen.beginPath();
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const place = row * width + column;
      const splits = (other) => labels[place] === labels[other] && objects[place] !== objects[other];
      if (column + 1 < width && splits(place + 1)) { pen.moveTo(column + 1, row); pen.lineTo(column + 1, row + 1); }
      if (row + 1 < height && splits(place + width)) { pen.moveTo(column, row + 1); pen.lineTo(column + 1, row + 1); }
    }
  }
  pen.strokeStyle = "rgb(255 255 255 / 75%)";
  pen.lineWidth = 1.5 * thin;
  pen.stroke();
}

function outlineHand(pen) {
  const [x, y] = hand.at;
  if (hand.tool === "rectangle" && hand.from) {
    const [fromX, fromY] = hand.from;
    pen.rect(Math.min(x, fromX), Math.min(y, fromY), Math.abs(x - fromX), Math.abs(y - fromY));
  } else if (hand.tool === "brush") {
    pen.arc(x, y, Math.max(hand.size / 2, 0.5), 0, 2 * Math.PI);
  }
  if (hand.tool !== "brush" || hand.isKeyed) {
    const arm = Math.max(width, height) / 40;
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(x + dx * arm * 0.35, y + dy * arm * 0.35);
      pen.lineTo(x + dx * arm, y + dy * arm);
    }
  }
}

/** Put the hand down at a point: a stroke begins. */
function handDown(point) {
  beginStroke(hand.label, document.getElementById("objects").checked);
  hand.from = hand.last = point;
  if (hand.tool === "fill") {
    drawFill(...point);
    changed(true);
    handUp();
    return;
  }
  handOver(point);
}

/** Move the hand that is down. */
function handOver(point) {
  if (!board.stroke) return;
  if (hand.tool === "brush") drawLine(hand.last, point, hand.size);
  else drawRectangle(hand.from, point);
  hand.last = point;
  changed(true);
}

function handUp() {
  hand.from = null;
  endStroke();
  drawMarks();
}

/** Take a stroke back that is not at its end. */
function handAway() {
  if (!board.stroke) return;
  board.labels.set(board.stroke.labels);
  board.objects.set(board.stroke.objects);
  board.stroke = hand.from = null;
  changed();
}

function pickAt(point) {
  chooseClass(board.labels[cellOf(...point)]);
}

function showUnder() {
  const shown = document.getElementById("under");
  if (!hand.at) {
    shown.textContent = `${board.name}${board.isChanged ? ", painted" : ""}`;
    return;
  }
  const [column, row] = hand.at.map(Math.floor);
  const label = board.labels[cellOf(...hand.at)];
  shown.textContent = `${nameOf(label)} at ${column}, ${row}`;
}

function pointOf(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
}

function enablePointers() {
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    const point = pointOf(event);
    if (event.altKey) { pickAt(point); return; }
    canvas.setPointerCapture(event.pointerId);
    hand.at = point;
    handDown(point);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!event.isPrimary) return;
    const passed = event.getCoalescedEvents?.() || [];
    for (const one of passed.length ? passed : [event]) if (hand.from) handOver(pointOf(one));
    hand.at = pointOf(event);
    hand.isKeyed = false;
    seen();
  });
  canvas.addEventListener("pointerup", handUp);
  canvas.addEventListener("pointercancel", handAway);
  canvas.addEventListener("pointerleave", () => { if (!hand.isKeyed) hand.at = null; seen(); });
}

function seen() {
  showUnder();
  drawMarks();
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Keys on the map itself. */
function onMapKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const by = ARROWS[event.key];
  if (by) {
    const step = event.shiftKey ? STEP : 1;
    const within = (value, most) => Math.min(Math.max(value, 0.5), most - 0.5);
    const [x, y] = hand.key.map((value) => Math.floor(value) + 0.5);
    hand.key = [within(x + by[0] * step, width), within(y + by[1] * step, height)];
    hand.at = hand.key;
    hand.isKeyed = true;
    if (hand.from) handOver(hand.key);
  } else if (event.key === " ") {
    if (!event.repeat && !hand.from) { hand.at = hand.key; handDown(hand.key); }
  } else if (event.key === "Escape") handAway();
  else return;
  event.preventDefault();
  seen();
}

function enableMapKeys() {
  canvas.addEventListener("keydown", onMapKey);
  canvas.addEventListener("keyup", (event) => { if (event.key === " ") handUp(); });
  canvas.addEventListener("focus", () => {
    if (canvas.matches(":focus-visible")) { hand.at = hand.key; hand.isKeyed = true; }
    seen();
  });
  canvas.addEventListener("blur", () => { if (hand.from) handUp(); hand.at = null; seen(); });
}

const TOOL_OF_KEY = { b: "brush", f: "fill", r: "rectangle" };

function chooseTool(tool) {
  hand.tool = tool;
  document.querySelector(`#tool [value=${tool}]`).checked = true;
  document.getElementById("size").disabled = tool !== "brush";
  seen();
}

function chooseSize(size) {
  const slider = document.getElementById("size");
  slider.value = size;
  hand.size = Number(slider.value);
  document.getElementById("size-shown").textContent = slider.value;
  seen();
}

/** Keys that work anywhere on the page but where text is typed. */
function onPageKey(event) {
  const isTyped = event.target.matches("input:not([type=radio], [type=checkbox], [type=range]), select, textarea");
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && !event.altKey && (key === "z" || key === "y") && !isTyped) {
    event.preventDefault();
    stepBack(key === "y" || event.shiftKey);
  }
  if (isTyped || event.ctrlKey || event.metaKey || event.altKey) return;
  const actions = {
    "[": () => chooseSize(hand.size - 1), "]": () => chooseSize(hand.size + 1),
    ",": () => stepClass(-1), ".": () => stepClass(1), "/": () => document.getElementById("find").focus(),
    i: () => pickAt(hand.at || hand.key), v: toggleShown,
  };
  if (TOOL_OF_KEY[key]) chooseTool(TOOL_OF_KEY[key]);
  else if (/^[1-9]$/.test(key)) chooseNth(Number(key));
  else if (actions[key]) actions[key]();
  else return;
  event.preventDefault();
}

function enableCanvas() {
  document.body.classList.add("painting");
  document.body.style.setProperty("--ratio", width / height);
  enablePointers();
  enableMapKeys();
  document.addEventListener("keydown", onPageKey);
  document.getElementById("tool").addEventListener("change", (event) => chooseTool(event.target.value));
  document.getElementById("size").addEventListener("input", (event) => chooseSize(event.target.value));
  document.getElementById("undo").addEventListener("click", () => stepBack());
  document.getElementById("redo").addEventListener("click", () => stepBack(true));
  document.getElementById("fill-all").addEventListener("click", () => {
    beginStroke(hand.label, false);
    drawRectangle([0, 0], [width, height]);
    changed(true);
    endStroke();
  });
  document.getElementById("objects-tick").hidden = !dataOfPage.models.some((model) => model.hasEdges);
  new ResizeObserver(drawMarks).observe(canvas);
  listeners.push(() => {
    drawLabels(canvas, board.labels);
    document.getElementById("undo").disabled = !board.undo.length;
    document.getElementById("redo").disabled = !board.redo.length;
    seen();
  });
  chooseSize(document.getElementById("size").value);
}
