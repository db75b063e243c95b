/* The style of the images, for models that have one: a draw, a turn of it, or a photo's. */

const style = { number: 0, turn: 0, photo: null };

/** What a request says of the style; nothing of it reaches a model without one. */
function askedStyle(model) {
  const { number, turn, photo } = style;
  return { style: number, turn, photo: model.photos === "none" ? null : photo };
}

function showStyle() {
  document.getElementById("draw").value = style.number;
  document.getElementById("turn").value = style.turn;
  document.getElementById("turn-shown").textContent = `${style.turn}°`;
  showPhoto();
}

function styleChanged() {
  showStyle();
  changed();
}

function showPhoto() {
  const picture = document.getElementById("photo");
  picture.hidden = style.photo === null;
  if (style.photo !== null) picture.src = `photo?name=${encodeURIComponent(style.photo)}`;
  document.getElementById("photo-name").textContent = style.photo === null
    ? "Drawn from N(0, 1), no photo." : `Style of ${style.photo.startsWith("opened:") ? "the photo opened" : style.photo}`;
  document.getElementById("photo-none").disabled = style.photo === null;
  document.getElementById("photo-own").disabled = board.place === null;
}

/** Set the style of another map: the draw that it is scored with, and no photo. */
function resetStyle(place) {
  Object.assign(style, { number: place ?? 0, turn: 0, photo: null });
  showStyle();
}

/** Take the style of a file that was opened or dropped. */
function openPhoto(file) {
  return guarded(async () => {
    const content = textOf(new Uint8Array(await file.arrayBuffer()));
    style.photo = (await (await ask("photo", { content })).json()).name;
    styleChanged();
  });
}

function enableStyle() {
  const styled = dataOfPage.models.filter((model) => model.isDrawn || model.photos !== "none");
  const pictured = dataOfPage.models.filter((model) => model.photos !== "none");
  document.getElementById("style-box").hidden = !styled.length;
  document.getElementById("style-of").textContent = `of ${styled.map((model) => model.title).join(", ")}`;
  document.getElementById("photo-box").hidden = !pictured.length;
  const on = (id, type, action) => document.getElementById(id).addEventListener(type, (event) => {
    action(event.target);
    styleChanged();
  });
  on("turn", "input", (slider) => { style.turn = Number(slider.value); });
  on("draw", "change", (field) => { style.number = Math.min(Math.max(Math.floor(Number(field.value)) || 0, 0), 2 ** 31 - 1); });
  on("another", "click", () => { style.number += 1; });
  on("photo-own", "click", () => { if (board.place !== null) style.photo = board.name; });
  on("photo-none", "click", () => { style.photo = null; });
  const input = document.getElementById("photo-file");
  document.getElementById("photo-open").addEventListener("click", () => input.click());
  input.addEventListener("change", () => { if (input.files[0]) openPhoto(input.files[0]); input.value = ""; });
  takeDrops(document.getElementById("style-box"), openPhoto);
}
