/* The map that is painted: its two layers, the tools that change them, and what was before.

   A label a pixel, and the number of its object: where two numbers meet in one class is an edge. */

const { width, height } = dataOfPage;
const UNLABELLED = 255;
const MOST_STEPS = 200; // that can be undone
const board = {
  labels: new Uint8Array(width * height),
  objects: new Uint16Array(width * height),
  name: "painted",
  place: null, // in the split; null of what is no map of the dataset
  isChanged: false,
  version: 0,
  changedAt: 0, // when the newest version was made, in milliseconds of the page
  byStroke: false, // whether a stroke made it
  undo: [],
  redo: [],
  stroke: null,
};
const listeners = []; // called after every change

/** Say that other images are wanted: by a stroke, or since the map or the style is another. */
function changed(byStroke = false) {
  board.version += 1;
  board.byStroke = byStroke;
  board.changedAt = performance.now();
  told();
}

function told() {
  for (const listener of listeners) listener();
}

/** Put another map in the place of all; what was before cannot be undone. */
function replaceBoard(labels, objects, name, place) {
  Object.assign(board, { labels, objects, name, place, isChanged: false, undo: [], redo: [], stroke: null });
  changed();
}

/** Begin a stroke of a class; `isObject` gives it a number that no other has. */
function beginStroke(label, isObject) {
  board.stroke = {
    label,
    object: isObject ? freshObject() : label,
    labels: board.labels.slice(),
    objects: board.objects.slice(),
  };
}

function freshObject() {
  const used = new Set(board.objects);
  let number = 256; // below are those of classes
  while (used.has(number)) number += 1;
  return number & 0xffff;
}

/** Paint one pixel in the stroke's class. */
function paintPixel(place) {
  board.labels[place] = board.stroke.label;
  board.objects[place] = board.stroke.object;
}

/** Paint a disc of that diameter around (x, y), in pixels of the map. */
function stamp(x, y, size) {
  const radius = Math.max(size / 2, 0.5);
  const [top, bottom] = [Math.max(0, Math.floor(y - radius)), Math.min(height - 1, Math.ceil(y + radius))];
  const [left, right] = [Math.max(0, Math.floor(x - radius)), Math.min(width - 1, Math.ceil(x + radius))];
  for (let row = top; row <= bottom; row += 1) {
    for (let column = left; column <= right; column += 1) {
      if ((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2 <= radius ** 2) paintPixel(row * width + column);
    }
  }
  if (size <= 1) paintPixel(cellOf(x, y));
}

/** The pixel that holds a point; points outside belong to the border. */
function cellOf(x, y) {
  const column = Math.min(Math.max(Math.floor(x), 0), width - 1);
  return Math.min(Math.max(Math.floor(y), 0), height - 1) * width + column;
}

/** Paint a line of discs; they lie half a pixel apart at most. */
function drawLine([fromX, fromY], [toX, toY], size) {
  const steps = Math.max(1, Math.ceil(2 * Math.hypot(toX - fromX, toY - fromY)));
  for (let step = 0; step <= steps; step += 1) {
    stamp(fromX + ((toX - fromX) * step) / steps, fromY + ((toY - fromY) * step) / steps, size);
  }
}

/** Paint all pixels between two corners; what the stroke painted before is taken back. */
function drawRectangle([fromX, fromY], [toX, toY]) {
  board.labels.set(board.stroke.labels);
  board.objects.set(board.stroke.objects);
  const [first, last] = [cellOf(Math.min(fromX, toX), Math.min(fromY, toY)), cellOf(Math.max(fromX, toX), Math.max(fromY, toY))];
  for (let row = Math.floor(first / width); row <= Math.floor(last / width); row += 1) {
    for (let column = first % width; column <= last % width; column += 1) paintPixel(row * width + column);
  }
}

/** Paint the area around a point that has its label and its object, sides touching. */
function drawFill(x, y) {
  const start = cellOf(x, y);
  const [label, object] = [board.labels[start], board.objects[start]];
  const seen = new Uint8Array(width * height);
  const waiting = [start];
  seen[start] = 1;
  while (waiting.length) {
    const place = waiting.pop();
    paintPixel(place);
    const column = place % width;
    const around = [place - width, place + width, column > 0 ? place - 1 : -1, column < width - 1 ? place + 1 : -1];
    for (const next of around) {
      if (next < 0 || next >= seen.length || seen[next]) continue;
      if (board.stroke.labels[next] !== label || board.stroke.objects[next] !== object) continue;
      seen[next] = 1;
      waiting.push(next);
    }
  }
}

/** End a stroke, whose pixels were told of: what it changed can be undone. */
function endStroke() {
  const { stroke } = board;
  board.stroke = null;
  if (!stroke) return;
  const places = [];
  for (let place = 0; place < board.labels.length; place += 1) {
    if (stroke.labels[place] !== board.labels[place] || stroke.objects[place] !== board.objects[place]) places.push(place);
  }
  if (!places.length) return;
  const taken = (layer) => places.map((place) => layer[place]);
  board.undo.push({
    places: Uint32Array.from(places),
    before: [taken(stroke.labels), taken(stroke.objects)],
    after: [taken(board.labels), taken(board.objects)],
  });
  if (board.undo.length > MOST_STEPS) board.undo.shift();
  board.redo = [];
  board.isChanged = true;
  told();
}

/** Take the last stroke back, or paint it again. */
function stepBack(isRedo = false) {
  if (board.stroke) return;
  const step = (isRedo ? board.redo : board.undo).pop();
  if (!step) return;
  (isRedo ? board.undo : board.redo).push(step);
  const [labels, objects] = isRedo ? step.after : step.before;
  step.places.forEach((place, order) => {
    board.labels[place] = labels[order];
    board.objects[place] = objects[order];
  });
  changed();
}

/** Share of the map of every label that it holds, the largest first. */
function sharesOfLabels() {
  const counts = new Map();
  for (const label of board.labels) counts.set(label, (counts.get(label) || 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([label, count]) => [label, count / board.labels.length]);
}
