/* Images of the painted map: asked for after every change, the newest map first; how each is read.

   One request is under way at a time. What was painted meanwhile is one request, not many. */

const MOST_TIMES = 50; // of which the medians are
const panels = []; // one a model: what it shows and how long it took
const asking = { isBusy: false, shown: "pixels" };

const bytesOf = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

function textOf(array) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = "";
  for (let start = 0; start < bytes.length; start += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(text);
}

/** Ask this page's server; an `Error` with its line where it refuses. */
async function ask(path, fields) {
  const posted = fields === undefined ? {} : {
    method: "POST", body: JSON.stringify(fields), headers: { "Content-Type": "application/json" },
  };
  let answer;
  try {
    answer = await fetch(path, posted);
  } catch {
    throw new Error("spade-eval paint does not answer: start it again, then load the page again");
  }
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer;
}

/** Say at the top what went wrong; an empty text takes away what the same kind of work said. */
function complain(text, of) {
  const place = document.getElementById("problem");
  if (!text && place.dataset.of !== of) return;
  place.dataset.of = of;
  place.textContent = text;
  place.hidden = !text;
}

/** Do what may be refused; return whether it was not. */
async function guarded(work, of = "file") {
  try {
    await work();
    complain("", of);
    return true;
  } catch (error) {
    complain(error.message, of);
    return false;
  }
}

/** Ask for images until every panel shows the newest map. */
async function keepUp() {
  if (asking.isBusy) return;
  asking.isBusy = true;
  let panel;
  while ((panel = oldestPanel())) {
    const { version, changedAt, byStroke } = board;
    panel.version = version; // also of a request that fails: it is not sent again and again
    panel.figure.classList.add("waiting");
    await guarded(() => fillPanel(panel, changedAt, byStroke), "image");
    panel.figure.classList.remove("waiting");
  }
  asking.isBusy = false;
}

/** The panel whose map is oldest; none where all show the newest. */
function oldestPanel() {
  const behind = panels.filter((panel) => panel.version !== board.version);
  return behind.sort((a, b) => a.version - b.version)[0];
}

async function fillPanel(panel, changedAt, byStroke) {
  const model = dataOfPage.models[panel.place];
  const answer = await ask("image", {
    model: panel.place,
    labels: textOf(board.labels),
    objects: model.hasEdges ? textOf(board.objects) : null,
    ...askedStyle(model),
  });
  panel.made = await answer.json();
  panel.pixels = bytesOf(panel.made.pixels);
  drawPanel(panel);
  const taken = { whole: performance.now() - changedAt, network: panel.made.milliseconds, cpu: panel.made.cpuMilliseconds };
  panel.caption.textContent = inMilliseconds(taken.whole);
  if (byStroke) panel.times.push(taken);
  if (panel.times.length > MOST_TIMES) panel.times.shift();
  showTimes();
  showScores();
}

/** Draw the image, or what is read in it. */
function drawPanel(panel) {
  if (!panel.made) return;
  const { reading } = panel.made;
  if (asking.shown === "labels" && reading) {
    drawLabels(panel.canvas, bytesOf(reading.labels));
    return;
  }
  const picture = new ImageData(width, height);
  const { data } = picture;
  for (let from = 0, to = 0; to < data.length; to += 4) {
    data[to] = panel.pixels[from++];
    data[to + 1] = panel.pixels[from++];
    data[to + 2] = panel.pixels[from++];
    data[to + 3] = 255;
  }
  panel.canvas.getContext("2d").putImageData(picture, 0, 0);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const inMilliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")} ms`;

/** Medians of what strokes took. */
function showTimes() {
  const rows = panels.filter((panel) => panel.times.length).map((panel) => {
    const of = (name) => inMilliseconds(median(panel.times.map((taken) => taken[name])));
    return element("div", {}, element("dt", {}, dataOfPage.models[panel.place].title),
      element("dd", {}, `${of("whole")} from a stroke to its image; the network ${of("network")}, `
        + `${of("cpu")} of all cores (medians of ${panel.times.length})`));
  });
  document.getElementById("times").replaceChildren(...rows);
}

const percent = (value) => (value === null || value === undefined ? "-" : (100 * value).toFixed(1));

/** IoU of every class of the map, by model, the largest class first. */
function showScores() {
  const readings = panels.map((panel) => panel.made?.reading).filter(Boolean);
  document.getElementById("reading").hidden = !dataOfPage.segmenter;
  if (!readings.length) return;
  const titles = panels.map((panel) => dataOfPage.models[panel.place].title);
  const heading = (text, className = "number") => element("th", { scope: "col", className }, element("span", { className: "sort" }, text));
  const head = element("tr", {}, heading("class", "text"), heading("share, %"), ...titles.map((title) => heading(title)));
  const cell = (value) => {
    const bar = element("span", { className: "meter" });
    bar.style.setProperty("--share", `${100 * (value || 0)}%`);
    return element("td", { className: "number" }, bar, percent(value));
  };
  const row = (name, share, values, className = "") => element("tr", { className },
    element("th", { scope: "row" }, ...name), element("td", { className: "number" }, share), ...values.map(cell));
  const rows = sharesOfLabels().map(([label, share]) => row(
    named(nameOf(label), label === UNLABELLED ? null : dataOfPage.classes[label][1]), percent(share),
    readings.map((reading) => reading.iou[label])));
  const whole = [["mean of the classes", "miou"], ["accuracy", "accuracy"]].map(([name, key]) =>
    row([name], "", readings.map((reading) => reading[key]), "reference"));
  document.getElementById("scores").replaceChildren(
    element("thead", {}, head), element("tbody", {}, ...rows, ...whole));
}

function toggleShown() {
  showAs(asking.shown === "pixels" && dataOfPage.segmenter ? "labels" : "pixels");
}

function showAs(what) {
  asking.shown = what;
  document.querySelector(`#shown [value=${what}]`).checked = true;
  panels.forEach(drawPanel);
}

function panelOf(model, place) {
  const picture = element("canvas", { width, height, role: "img" });
  picture.setAttribute("aria-label", `Image by ${model.title}`);
  const caption = element("span", { className: "quiet" });
  const save = element("button", { type: "button" }, "Save");
  save.setAttribute("aria-label", `Save the image by ${model.title}`);
  const figure = element("figure", { className: "sheet" }, picture,
    element("figcaption", {}, element("b", { title: model.title }, model.title), caption, save));
  const panel = { place, figure, caption, canvas: picture, version: -1, made: null, pixels: null, times: [] };
  save.addEventListener("click", () => saveImage(panel));
  return panel;
}

function enableImages() {
  dataOfPage.models.forEach((model, place) => panels.push(panelOf(model, place)));
  const box = document.getElementById("images");
  box.classList.toggle("several", panels.length > 1);
  box.replaceChildren(...panels.map((panel) => panel.figure));
  document.getElementById("shown").addEventListener("change", (event) => showAs(event.target.value));
  document.getElementById("reading-lead").textContent = dataOfPage.segmenter
    ? `What the ${dataOfPage.segmenter} sees in the image, against the painted map: IoU in per cent, of this `
      + "image alone. It is no score of the model."
    : "";
  document.getElementById("reading").hidden = !dataOfPage.segmenter;
  listeners.push(keepUp);
}
