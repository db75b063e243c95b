/* A study: asks the questions of one sheet, keeps the answers here, and sends or saves them. */

const study = dataOfPage;
const HERE = document.getElementById.bind(document);
const RETRY = 1500; // ms from one try to reach the server to the next
const token = study.served ? location.hash.slice(1) : "";
let place = null; // in the browser, where the state is kept
// `confirmed` answers are those of the server, which has `there` of them.
let state = fresh();
const shown = { since: 0, spent: 0, timer: 0, ready: false };

function fresh() {
  const drawn = crypto.getRandomValues(new Uint8Array(8));
  const person = [...drawn].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return { person: token || person, sheet: null, answers: [], revision: 0, confirmed: 0, there: 0 };
}

/** Keep the state; resolves to false where the browser keeps nothing. */
const keep = async () => place !== null && place.write(state);

const sheetOf = () => study.sheets[state.sheet];
const isDone = () => state.answers.length === sheetOf().length;

function trouble(text) {
  HERE("trouble").textContent = text;
  HERE("trouble").hidden = !text;
}

function showPart(name) {
  for (const part of ["begin", "ask", "rest"]) HERE(part).hidden = part !== name;
}

/* One question. */

async function ask() {
  if (isDone()) { rest(); return; }
  const [number, swapped] = sheetOf()[state.answers.length];
  const question = study.questions[number];
  const images = swapped ? [...question.images].reverse() : question.images;
  showPart("ask");
  shown.ready = false;
  shown.spent = 0;
  clearTimeout(shown.timer);
  HERE("question").className = "question loading";
  HERE("progress").value = state.answers.length;
  HERE("progress").max = sheetOf().length;
  HERE("count").textContent = `${state.answers.length + 1} / ${sheetOf().length}`;
  HERE("undo").disabled = !state.answers.length;
  HERE("legend").replaceChildren(...question.labels.map((label) =>
    element("span", { className: "named" }, ...named(...study.classes[label]))));
  const pictures = [HERE("map"), HERE("left").querySelector("img"), HERE("right").querySelector("img")];
  [question.map, ...images].forEach((name, index) => { pictures[index].src = `images/${name}`; });
  try {
    await Promise.all(pictures.map((picture) => picture.decode()));
  } catch {
    if (study.questions[sheetOf()[state.answers.length]?.[0]] !== question) return; // it went on
    showPart("begin");
    trouble("An image cannot be shown; get the folder anew, or see whether the server runs, then load this page again.");
    return;
  }
  if (sheetOf()[state.answers.length]?.[0] !== number || HERE("ask").hidden) return;
  HERE("question").className = "question";
  shown.ready = true;
  look();
  say(`Question ${state.answers.length + 1} of ${sheetOf().length}`);
  preload(state.answers.length + 1);
}

/** Time runs from here; images with a limit are hidden at its end. */
function look() {
  shown.since = performance.now();
  if (study.seconds === null) return;
  const left = Math.max(0, 1000 * study.seconds - shown.spent);
  shown.timer = setTimeout(() => HERE("question").classList.add("over"), left);
}

function preload(index) {
  const [number] = sheetOf()[index] || [];
  if (number === undefined) return;
  for (const name of [study.questions[number].map, ...study.questions[number].images]) new Image().src = `images/${name}`;
}

function choose(side) {
  if (!shown.ready || HERE("ask").hidden) return;
  const [number, swapped] = sheetOf()[state.answers.length];
  const { id, codes } = study.questions[number];
  const choice = side === "tie" ? 2 : Number(Boolean(swapped) === (side === "left"));
  if (codes[choice] === undefined) return;
  const seconds = (shown.spent + performance.now() - shown.since) / 1000;
  shown.ready = false;
  document.activeElement?.blur(); // nor must the focus favour a side
  state.answers.push({ question: id, side, code: codes[choice], seconds: Math.round(1000 * seconds) / 1000 });
  changed();
  ask();
}

function undo() {
  if (!state.answers.length) return;
  state.answers.pop();
  state.confirmed = Math.min(state.confirmed, state.answers.length);
  changed();
  ask();
}

function changed() {
  keep();
  send();
}

/** The pause, and the end. */
function rest() {
  const done = isDone();
  if (!done && !HERE("ask").hidden && shown.ready) shown.spent += performance.now() - shown.since;
  clearTimeout(shown.timer);
  showPart("rest");
  HERE("rest-title").textContent = done ? "All questions are answered. Thank you." : "Paused";
  HERE("rest-text").textContent = done ? ending() :
    `${state.answers.length} of ${sheetOf().length} are answered and kept. You may close this page and come back to it.`;
  HERE("resume").hidden = done;
  HERE("save").classList.toggle("main-button", done && !study.served);
  HERE("back").hidden = !done;
  HERE("anew").hidden = study.served || !done;
  HERE("rest-title").focus();
}

function ending() {
  if (!study.served) return "Save the file with your answers, and send it to whoever gave you this page.";
  return isSent() ? "Your answers have arrived; you may close this page." : "Your answers are on their way; leave this page open.";
}

function resume() {
  showPart("ask");
  if (shown.ready) look(); else ask();
}

/* The file. */

function fileText() {
  const { person, sheet, answers } = state;
  return JSON.stringify({ format: "spade-eval study answers 1", study: study.study, person, sheet, answers });
}

function save() {
  const address = URL.createObjectURL(new Blob([fileText()], { type: "application/json" }));
  element("a", { href: address, download: `answers-${state.person.slice(0, 8)}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/* The server, where there is one. */

const isSent = () => state.confirmed === state.answers.length && state.there === state.answers.length;
let sending = false;

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (answer.ok) return answer.json();
  const error = new Error(await answer.text());
  error.status = answer.status;
  throw error;
}

/** Bring the server to what is kept here; what fails is tried again. */
async function send() {
  if (!study.served || sending) return;
  sending = true;
  while (!isSent()) {
    const first = state.confirmed;
    const answers = state.answers.slice(first);
    try {
      const { revision } = await post("answer", { token, revision: state.revision, first, answers });
      state.revision = revision;
      state.there = first + answers.length;
      // What was taken back meanwhile is not confirmed.
      const same = answers.findIndex((answer, index) => state.answers[first + index] !== answer);
      state.confirmed = same < 0 ? state.there : first + same;
      keep();
      waiting("");
    } catch (error) {
      if (error.status === 409) await join().catch(() => {});
      else if (error.status === 400 || error.status === 403) { waiting(error.message); break; }
      else {
        waiting(`The server does not answer; ${state.answers.length - state.confirmed} answers are kept here and sent when it does.`);
        await new Promise((after) => { setTimeout(after, RETRY); });
      }
    }
  }
  sending = false;
  if (!HERE("rest").hidden && state.sheet !== null && isDone()) HERE("rest-text").textContent = ending();
}

function waiting(text) {
  HERE("waiting").textContent = text;
  HERE("waiting").hidden = !text;
}

/** Take over what the server has, where another window went further; else go on from here. */
async function join() {
  const there = await post("join", { token });
  const same = (a, b) => a && b && a.question === b.question && a.code === b.code;
  let common = 0;
  while (same(state.answers[common], there.answers[common])) common += 1;
  const isAhead = state.sheet === null || there.answers.length > state.answers.length;
  if (isAhead) state.answers = there.answers;
  Object.assign(state, { sheet: there.sheet, revision: there.revision, there: there.answers.length });
  state.confirmed = isAhead ? there.answers.length : common;
  keep();
  if (isAhead && !HERE("ask").hidden) ask();
}

/* The beginning. */

async function begin() {
  place ??= await placeFor(`study-${study.study}-${token || "here"}`);
  const before = await place?.read();
  if (before && Array.isArray(before.answers) && (before.sheet === null || study.sheets[before.sheet])) state = before;
  if (study.served) {
    try {
      await join();
    } catch (error) {
      trouble(error.status ? error.message : "The server does not answer; load this page again when it runs.");
      if (error.status || state.sheet === null) return;
    }
    send();
  }
  const choice = HERE("sheet");
  choice.replaceChildren(...study.sheets.map((_, index) => element("option", { value: index }, String(index + 1))));
  const told = Number(location.hash.slice(1)) - 1;
  if (!study.served && state.sheet === null && study.sheets[told]) choice.value = told;
  HERE("sheet-label").hidden = state.sheet !== null || study.sheets.length < 2;
  HERE("go").textContent = state.answers.length ? "Go on" : "Begin";
  HERE("go").disabled = false;
  if (!(await keep()) && !study.served) trouble("This browser keeps nothing: do not close this page before you have saved the file.");
}

function start(event) {
  event.preventDefault();
  if (state.sheet === null) state.sheet = Number(HERE("sheet").value);
  keep();
  ask();
}

function anew() {
  state = fresh();
  keep();
  showPart("begin");
  begin();
}

document.documentElement.style.setProperty("--ratio", study.ratio);
HERE("start").addEventListener("submit", start);
for (const [id, action] of Object.entries({ undo, pause: rest, resume, save, back: undo, anew })) HERE(id).addEventListener("click", action);
HERE("copy").addEventListener("click", (event) => copied(fileText(), event.currentTarget));
HERE("ask").addEventListener("click", (event) => {
  const button = event.target.closest("button[data-side]");
  if (button) choose(button.dataset.side);
});
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || HERE("ask").hidden) return;
  const keys = {
    ArrowLeft: () => choose("left"), ArrowRight: () => choose("right"), ArrowDown: () => choose("tie"),
    Backspace: undo, Escape: rest,
  };
  if (!(event.key in keys) || event.target.closest?.("input, select")) return;
  event.preventDefault();
  keys[event.key]();
});
begin();
