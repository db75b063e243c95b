/* The legend: every class with its colour, found by its name; a press chooses what is painted. */

const chips = new Map(); // of every label, in the order of the list

/** Choose the class of the strokes to come. */
function chooseClass(label) {
  hand.label = label;
  for (const [other, chip] of chips) chip.setAttribute("aria-pressed", other === label);
  chips.get(label)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  say(`${nameOf(label)} is painted`);
}

const shownLabels = () => [...chips].filter(([, chip]) => !chip.hidden).map(([label]) => label);

/** Choose the class before or after. */
function stepClass(by) {
  const shown = shownLabels();
  if (shown.length) chooseClass(shown[(shown.indexOf(hand.label) + by + shown.length) % shown.length]);
}

/** Choose a class by its place among those that are shown, from 1. */
function chooseNth(place) {
  const label = shownLabels()[place - 1];
  if (label !== undefined) chooseClass(label);
}

function findClasses(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [label, chip] of chips) {
    chip.hidden = !words.every((word) => nameOf(label).toLowerCase().includes(word));
  }
}

function chipOf(label) {
  const color = label === UNLABELLED ? [0, 0, 0] : dataOfPage.classes[label][1];
  const chip = element("button", { type: "button" }, ...named(nameOf(label), color));
  chip.setAttribute("aria-pressed", false);
  chip.addEventListener("click", () => chooseClass(label));
  return chip;
}

/** Mark the classes that the map holds. */
function markUsed() {
  const used = new Set(board.labels);
  for (const [label, chip] of chips) chip.classList.toggle("used", used.has(label));
}

function enableClasses() {
  const labels = dataOfPage.classes.map((_, label) => label);
  if (dataOfPage.hasUnlabelled) labels.push(UNLABELLED);
  for (const label of labels) chips.set(label, chipOf(label));
  document.getElementById("classes").replaceChildren(...chips.values());
  const find = document.getElementById("find");
  find.addEventListener("input", () => findClasses(find.value));
  find.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      chooseNth(1);
      canvas.focus();
    }
    if (event.key === "Escape" && !find.value) canvas.focus();
  });
  listeners.push(markUsed);
  chooseClass(0);
}
