/* Maps of the dataset and of files, in and out; then everything is begun. */

/** Open a map of the dataset; the address names it, so that it can be loaded again. */
function openMap(name) {
  return guarded(async () => {
    const answer = await (await ask(`map?name=${encodeURIComponent(name)}`)).json();
    takeMap(answer, name, answer.place);
    history.replaceState(null, "", `?map=${encodeURIComponent(name)}`);
  });
}

/** Open a label file. */
function openFile(file) {
  return guarded(async () => {
    const content = textOf(new Uint8Array(await file.arrayBuffer()));
    const answer = await (await ask("map", { content })).json();
    takeMap(answer, file.name.replace(/\.[^.]*$/, "") || "opened", null);
    say(answer.note || `${file.name} is open`);
  });
}

function takeMap(answer, name, place) {
  const objects = bytesOf(answer.objects);
  board.place = place;
  resetStyle(place);
  replaceBoard(bytesOf(answer.labels), new Uint16Array(objects.buffer), name, place);
  document.getElementById("map").value = place === null ? "" : name;
}

function stepMap(by) {
  const { names } = dataOfPage;
  const place = board.place === null ? 0 : (board.place + by + names.length) % names.length;
  openMap(names[place]);
}

/** Offer bytes for saving, under a name. */
function offer(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  say(`${name} is saved`);
}

const savedName = () => `${board.name}${board.isChanged ? "-painted" : ""}`;

function saveMap() {
  return guarded(async () => {
    const answer = await ask("label-file", { labels: textOf(board.labels) });
    offer(await answer.blob(), `${savedName()}.png`);
  });
}

/** Save the image itself, also while what is read in it is shown. */
function saveImage(panel) {
  if (!panel.made) return;
  const shown = asking.shown;
  asking.shown = "pixels";
  drawPanel(panel);
  panel.canvas.toBlob((blob) => offer(blob, `${savedName()}-${dataOfPage.models[panel.place].title}.png`));
  asking.shown = shown;
  drawPanel(panel);
}

/** Take files that are dropped on a place. */
function takeDrops(place, open) {
  place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("target"); });
  place.addEventListener("dragleave", () => place.classList.remove("target"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("target");
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
}

function enableFiles() {
  const field = document.getElementById("map");
  const known = new Set(dataOfPage.names);
  document.getElementById("map-names").replaceChildren(...dataOfPage.names.map((name) => element("option", { value: name })));
  field.addEventListener("change", () => { if (field.value) openMap(field.value); });
  field.addEventListener("input", () => { if (known.has(field.value) && field.value !== board.name) openMap(field.value); });
  document.getElementById("map-before").addEventListener("click", () => stepMap(-1));
  document.getElementById("map-after").addEventListener("click", () => stepMap(1));
  const input = document.getElementById("map-file");
  document.getElementById("open-map").addEventListener("click", () => input.click());
  input.addEventListener("change", () => { if (input.files[0]) openFile(input.files[0]); input.value = ""; });
  document.getElementById("save-map").addEventListener("click", saveMap);
  takeDrops(document.getElementById("sheet"), openFile);
  // A file dropped elsewhere would take the place of the page.
  for (const type of ["dragover", "drop"]) window.addEventListener(type, (event) => event.preventDefault());
}

enableCanvas();
enableImages();
enableClasses();
enableStyle();
enableFiles();
openMap(new URLSearchParams(location.search).get("map") || dataOfPage.names[0]).then(async (isOpen) => {
  if (isOpen) return;
  const { textContent } = document.getElementById("problem");
  await openMap(dataOfPage.names[0]);
  complain(textContent, "file");
});
