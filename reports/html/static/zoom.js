/* One image large: every source side by side, zoomed and moved together, with its classes. */

const LARGEST_ZOOM = 16;
const zoom = { image: 0, factor: 1, x: 0, y: 0, alone: null, drag: null, moved: false };

function openScene(image) {
  zoom.image = image;
  zoom.alone = null;
  const dialog = document.getElementById("zoom");
  drawScene();
  if (!dialog.open) dialog.showModal();
}

function drawScene() {
  const { gallery, order } = view;
  document.getElementById("zoom-title").textContent = gallery.names[zoom.image];
  const place = order.indexOf(zoom.image) + 1;
  document.getElementById("zoom-paint").replaceChildren(paintLink(gallery.names[zoom.image]));
  document.getElementById("zoom-place").textContent = place ? `${place} / ${order.length}` : "";
  const panels = gallery.columns.map((column, index) => {
    if (view.hidden.has(index) || (zoom.alone !== null && zoom.alone !== index)) return null;
    return panelOf(column, index);
  }).filter(Boolean);
  const box = document.getElementById("panels");
  box.classList.toggle("alone", zoom.alone !== null);
  box.replaceChildren(...panels);
  setZoom(1, 0, 0);
  document.getElementById("legend").replaceChildren(...legendOf());
}

function panelOf(column, index) {
  const score = scoreOf(column, zoom.image);
  const caption = element("span", { className: "caption" }, element("span", { className: "name" }, column.title));
  if (score !== null) caption.append(element("span", { className: "score" }, score.toFixed(1)));
  const panel = element("button", { type: "button", className: "panel" }, pictureOf(column, zoom.image, false), caption);
  panel.setAttribute("aria-pressed", zoom.alone === index);
  panel.addEventListener("click", () => {
    if (zoom.moved) return; // the end of a drag
    zoom.alone = zoom.alone === index ? null : index;
    drawScene();
    const shown = [...document.querySelectorAll("#panels .panel")];
    (shown.length > 1 ? shown[index] || shown[0] : shown[0]).focus();
  });
  return panel;
}

/** Classes of the image with their colours and every source's IoU. */
function legendOf() {
  const { gallery } = view;
  const labels = gallery.labels[zoom.image];
  if (!labels.length) return [];
  const columns = gallery.columns.filter((column, index) => column.miou && !view.hidden.has(index));
  const head = element("tr", {}, element("th", { scope: "col" }, "class"),
    ...columns.map((column) => element("th", { scope: "col", className: "number" }, column.title)));
  const rows = labels.map((label) => element("tr", {}, element("th", { scope: "row" }, ...classOf(label)),
    ...columns.map((column) => scoreCell(scoreOf(column, zoom.image, label)))));
  const whole = [["mean of the classes", "miou"], ["accuracy", "accuracy"]].map(([name, key]) =>
    element("tr", { className: "reference" }, element("th", { scope: "row" }, name),
      ...columns.map((column) => scoreCell(hundredth(column[key][zoom.image])))));
  const table = element("table", {}, element("caption", {}, "Classes of this image and their IoU, %"),
    element("thead", {}, head), element("tbody", {}, ...rows, ...whole));
  return [element("div", { className: "scroll" }, table)];
}

function scoreCell(score) {
  return element("td", { className: "number" }, score === null ? "-" : score.toFixed(1));
}

/** The colour and the name of a class. */
function classOf(label) {
  return named(...view.gallery.classes[label]);
}

function step(by) {
  const place = view.order.indexOf(zoom.image) + by;
  if (view.order[place] === undefined) return;
  zoom.image = view.order[place];
  drawScene();
}

/** Show all pictures `factor` times as large, moved by (x, y) in parts of their own size. */
function setZoom(factor, x, y) {
  zoom.factor = Math.min(Math.max(factor, 1), LARGEST_ZOOM);
  const least = 1 - zoom.factor;
  zoom.x = Math.min(0, Math.max(least, x));
  zoom.y = Math.min(0, Math.max(least, y));
  const box = document.getElementById("panels");
  box.classList.toggle("zoomed", zoom.factor > 1);
  box.style.setProperty("--zoom", zoom.factor);
  box.style.setProperty("--x", `${100 * zoom.x}%`);
  box.style.setProperty("--y", `${100 * zoom.y}%`);
}

/** Zoom so that the point (x, y), in parts of the frame, stays where it is. */
function zoomAt(by, x = 0.5, y = 0.5) {
  const factor = by === 0 ? 1 : Math.min(Math.max(zoom.factor * by, 1), LARGEST_ZOOM);
  const change = factor / zoom.factor;
  setZoom(factor, x - change * (x - zoom.x), y - change * (y - zoom.y));
}

function partsOf(event, frame) {
  const box = frame.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

function enableZoom() {
  const dialog = document.getElementById("zoom");
  const panels = document.getElementById("panels");
  closeable(dialog);
  dialog.addEventListener("click", (event) => {
    const { step: by, factor } = event.target.dataset;
    if (by) step(Number(by));
    if (factor) zoomAt(Number(factor));
  });
  dialog.addEventListener("keydown", (event) => {
    const keys = {
      ArrowLeft: () => step(-1), ArrowRight: () => step(1),
      "+": () => zoomAt(2), "=": () => zoomAt(2), "-": () => zoomAt(0.5), 0: () => zoomAt(0),
    };
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  panels.addEventListener("wheel", (event) => {
    const frame = event.target.closest(".frame");
    if (!frame) return;
    event.preventDefault();
    zoomAt(event.deltaY < 0 ? 1.25 : 0.8, ...partsOf(event, frame));
  }, { passive: false });
  panels.addEventListener("pointerdown", (event) => {
    const frame = event.target.closest(".frame");
    zoom.moved = false;
    if (frame && zoom.factor > 1) zoom.drag = { frame, from: partsOf(event, frame), x: zoom.x, y: zoom.y };
  });
  window.addEventListener("pointermove", (event) => {
    if (!zoom.drag) return;
    const { frame, from, x, y } = zoom.drag;
    const [toX, toY] = partsOf(event, frame);
    zoom.moved ||= Math.hypot(toX - from[0], toY - from[1]) > 0.01;
    setZoom(zoom.factor, x + toX - from[0], y + toY - from[1]);
  });
  window.addEventListener("pointerup", () => { zoom.drag = null; });
  window.addEventListener("pointercancel", () => { zoom.drag = null; });
}

/** A name in a table of images opens that image. */
function openByName(name) {
  const place = view.gallery.names.indexOf(name);
  if (place >= 0) openScene(place);
}

if (dataOfPage.galleries.length) {
  enableGallery();
  enableZoom();
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-image]");
    if (button) openByName(button.dataset.image);
  });
}
