/* The gallery: the images of a split in a chosen order, one page at a time.

   Elements exist only for the images of the page shown, and pictures load when they come near the
   window, so that 5,000 images cost what 20 do. */

const PER_PAGE = 20;
const ORDERS = {
  given: "as scored",
  worst: "worst IoU first",
  best: "best IoU first",
  disagreement: "largest disagreement",
};
const view = { gallery: null, order: [], page: 0, hidden: new Set() };

function openGallery(place) {
  const gallery = dataOfPage.galleries[place];
  view.gallery = gallery;
  view.hidden.clear();
  gallery.starts = [0]; // where each image's bytes begin in a column's classIou
  for (const labels of gallery.labels) gallery.starts.push(gallery.starts.at(-1) + labels.length);
  for (const column of gallery.columns) {
    if (column.classIou) column.bytes = Uint8Array.from(atob(column.classIou), (c) => c.charCodeAt(0));
  }
  fillTools(gallery);
  arrange();
}

const models = () => view.gallery.columns.filter((column) => column.isModel && column.miou);
const scored = () => view.gallery.columns.filter((column) => column.miou);

function fillTools(gallery) {
  const tools = document.getElementById("gallery-tools");
  const options = (pairs) => pairs.map(([value, text]) => element("option", { value }, text));
  const orders = Object.entries(ORDERS).filter(([name]) => name === "given"
    || (name === "disagreement" ? models().length > 1 : scored().length));
  tools.elements.order.replaceChildren(...options(orders));
  const sources = gallery.columns.map((column, place) => [place, column.title])
    .filter(([place]) => gallery.columns[place].miou);
  tools.elements.model.replaceChildren(...options([["", "the models' mean"], ...sources]));
  const counts = gallery.classes.map(() => 0);
  gallery.labels.forEach((labels) => labels.forEach((label) => { counts[label] += 1; }));
  const classes = gallery.classes.map(([name], place) => [place, `${name} (${counts[place]})`])
    .filter(([place]) => counts[place]);
  tools.elements.class.replaceChildren(...options([["", "all classes"], ...classes]));
  fillLegend(gallery, counts);
  const boxes = gallery.columns.map((column, place) => {
    const box = element("input", { type: "checkbox", checked: true, value: place });
    return element("label", {}, box, element("span", {}, column.title));
  });
  const legend = tools.querySelector("legend");
  tools.querySelector(".columns").replaceChildren(legend, ...boxes);
}

/** Every class with its colour; a press shows the images that hold it. */
function fillLegend(gallery, counts) {
  const legend = document.getElementById("class-legend");
  legend.hidden = !gallery.classes.length;
  const chips = gallery.classes.map((_, label) => {
    const chip = element("button", { type: "button", disabled: !counts[label] }, ...classOf(label));
    chip.addEventListener("click", () => {
      document.getElementById("gallery-tools").elements.class.value = label;
      arrange();
    });
    return chip;
  });
  legend.querySelector("div").replaceChildren(...chips);
  legend.querySelector("p").textContent = gallery.classes.some(([, color]) => color) ? ""
    : "The run states no colours of the classes (classes.json), so only their names are here.";
}

const hundredth = (value) => (value === null ? null : value / 100);

/** IoU of an image in per cent: of the chosen class, or the image's mean; null where unknown. */
function scoreOf(column, image, label = null) {
  if (!column.miou) return null;
  if (label === null) return hundredth(column.miou[image]);
  const place = view.gallery.labels[image].indexOf(label);
  const byte = place < 0 ? 255 : column.bytes[view.gallery.starts[image] + place];
  return byte === 255 ? null : byte / 2;
}

/** How far the models' scores of an image lie apart. */
function disagreement(image, label = null) {
  const scores = models().map((column) => scoreOf(column, image, label)).filter((s) => s !== null);
  return scores.length > 1 ? Math.max(...scores) - Math.min(...scores) : null;
}

function meanScore(image, label) {
  const columns = models().length ? models() : scored();
  const scores = columns.map((column) => scoreOf(column, image, label)).filter((s) => s !== null);
  return scores.length ? scores.reduce((sum, score) => sum + score, 0) / scores.length : null;
}

function chosenClass() {
  const { value } = document.getElementById("gallery-tools").elements.class;
  return value === "" ? null : Number(value);
}

/** Filter and sort all images, then show the first page. */
function arrange() {
  const { elements } = document.getElementById("gallery-tools");
  const { gallery } = view;
  const [label, order, wanted] = [chosenClass(), elements.order.value, elements.name.value.toLowerCase()];
  const column = elements.model.value === "" ? null : gallery.columns[Number(elements.model.value)];
  const key = (image) => {
    if (order === "disagreement") return disagreement(image, label);
    return column ? scoreOf(column, image, label) : meanScore(image, label);
  };
  const images = gallery.names.map((name, image) => image).filter((image) =>
    (label === null || gallery.labels[image].includes(label))
    && gallery.names[image].toLowerCase().includes(wanted));
  if (order !== "given") {
    const keys = new Map(images.map((image) => [image, key(image)]));
    images.sort((a, b) => compared(keys.get(a), keys.get(b), order !== "worst"));
  }
  elements.model.disabled = order === "given" || order === "disagreement";
  view.order = images;
  showPage(0);
}

function showPage(page) {
  const last = Math.max(0, Math.ceil(view.order.length / PER_PAGE) - 1);
  view.page = Math.min(Math.max(page, 0), last);
  const start = view.page * PER_PAGE;
  const shown = view.order.slice(start, start + PER_PAGE);
  document.getElementById("scenes").replaceChildren(...shown.map(sceneOf));
  const end = start + shown.length;
  const total = view.order.length.toLocaleString("en");
  document.getElementById("page-count").textContent =
    shown.length ? `${(start + 1).toLocaleString("en")} to ${end.toLocaleString("en")} of ${total}` : "no image fits";
  for (const button of document.querySelectorAll(".pager button")) {
    button.disabled = button.dataset.step < 0 ? view.page === 0 : view.page === last;
  }
  const first = document.querySelector("#scenes .tile");
  if (first) first.tabIndex = 0;
}

function sceneOf(image) {
  const label = chosenClass();
  const tiles = view.gallery.columns.map((column, place) => tileOf(column, place, image, label));
  const apart = disagreement(image, label);
  const text = apart === null ? "" : `models ${apart.toFixed(1)} points apart`;
  const heading = element("h3", {}, view.gallery.names[image], element("span", { className: "quiet" }, text),
    paintLink(view.gallery.names[image]));
  return element("article", { className: "scene" }, heading,
    element("div", { className: "tiles" }, ...tiles.filter(Boolean)));
}

/** Where the map of an image can be painted on, if `spade-eval paint` runs on this machine. */
function paintLink(name) {
  return element("a", {
    className: "paint", href: `${dataOfPage.painter}?map=${encodeURIComponent(name)}`, target: "_blank", rel: "noreferrer",
    title: "In spade-eval paint, where it runs on this machine",
  }, "paint from here");
}

function tileOf(column, place, image, label) {
  if (view.hidden.has(place)) return null;
  const score = scoreOf(column, image, label);
  const caption = [element("span", { className: "name" }, column.title)];
  if (score !== null) caption.push(element("span", { className: "score" }, score.toFixed(1)));
  const tile = element("button", { type: "button", className: "tile", tabIndex: -1, title: column.title });
  tile.dataset.scene = image;
  tile.append(pictureOf(column, image, true), element("span", { className: "caption" }, ...caption));
  return tile;
}

/** The picture of a column, or a grey place that says that none is kept. */
function pictureOf(column, image, lazy) {
  const { gallery } = view;
  const frame = element("span", { className: "frame" });
  frame.style.setProperty("--ratio", `${gallery.width} / ${gallery.height}`);
  if (column.present[image] !== "1") {
    frame.append(element("span", { className: "missing" }, "not kept"));
    return frame;
  }
  const name = gallery.names[image];
  const picture = element("img", {
    alt: `${column.title}, ${name}`, decoding: "async", loading: lazy ? "lazy" : "eager",
    width: gallery.width, height: gallery.height, draggable: false,
    src: `${column.folder}/${encodeURIComponent(name)}.png`,
  });
  frame.append(picture);
  return frame;
}

/** Arrow keys between pictures, Page Up and Page Down between pages. */
function moveInGallery(event) {
  const tile = event.target.closest(".tile");
  const scenes = [...document.querySelectorAll("#scenes .scene")];
  if (!tile) return;
  const row = scenes.indexOf(tile.closest(".scene"));
  const tiles = (scene) => [...scene.querySelectorAll(".tile")];
  const column = tiles(scenes[row]).indexOf(tile);
  const goes = {
    ArrowLeft: () => tiles(scenes[row])[column - 1],
    ArrowRight: () => tiles(scenes[row])[column + 1],
    ArrowUp: () => scenes[row - 1] && tiles(scenes[row - 1])[column],
    ArrowDown: () => scenes[row + 1] && tiles(scenes[row + 1])[column],
    PageUp: () => { showPage(view.page - 1); return document.querySelector(".tile"); },
    PageDown: () => { showPage(view.page + 1); return document.querySelector(".tile"); },
  };
  if (!(event.key in goes)) return;
  event.preventDefault();
  const next = goes[event.key]();
  if (!next) return;
  document.querySelectorAll("#scenes .tile[tabindex='0']").forEach((old) => { old.tabIndex = -1; });
  next.tabIndex = 0;
  next.focus();
}

function enableGallery() {
  const tools = document.getElementById("gallery-tools");
  const scenes = document.getElementById("scenes");
  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", (event) => {
    const { name, value, type, checked } = event.target;
    if (name === "size") scenes.style.setProperty("--tile", `${value}px`);
    else if (name === "gallery") openGallery(Number(value));
    else if (type === "checkbox") {
      view.hidden[checked ? "delete" : "add"](Number(value));
      showPage(view.page);
    } else arrange();
  });
  scenes.addEventListener("keydown", moveInGallery);
  scenes.addEventListener("click", (event) => {
    const tile = event.target.closest(".tile");
    if (tile) openScene(Number(tile.dataset.scene));
  });
  document.querySelector(".pager").addEventListener("click", (event) => {
    if (!event.target.dataset.step) return;
    showPage(view.page + Number(event.target.dataset.step));
    document.getElementById("gallery").scrollIntoView();
  });
  openGallery(0);
  document.getElementById("gallery-note").textContent = scored().length
    ? "Scores are IoU in per cent: the mean over the classes of that image's ground truth, from "
      + "that image's own counts (folder counts/ of the run); the split's mIoU pools all images."
    : "No per-image counts lie in the run folder, so images stand in the order of their names.";
}
