"use strict";

/* Light and dark: the system's choice, or the reader's own, which is kept where storage works. */

const dataOfPage = JSON.parse(document.getElementById("report-data").textContent);
document.documentElement.classList.add("scripted");

/** An element with text and attributes; names are set as text and never parsed as markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function say(text) {
  document.getElementById("status").textContent = text;
}

function copied(text, button) {
  const before = button.textContent;
  const done = (word) => {
    button.textContent = word;
    say(word);
    setTimeout(() => { button.textContent = before; }, 1500);
  };
  navigator.clipboard.writeText(text).then(() => done("Copied"), () => done("Not allowed here"));
}

(function theme() {
  const box = document.getElementById("theme");
  const kept = {
    get: () => { try { return localStorage.getItem("theme") || "auto"; } catch { return "auto"; } },
    set: (name) => { try { localStorage.setItem("theme", name); } catch { /* a private page */ } },
  };
  const apply = (name) => {
    document.documentElement.dataset.theme = name;
    const media = { auto: "(prefers-color-scheme: dark)", dark: "all", light: "not all" }[name];
    for (const source of document.querySelectorAll("picture > source")) source.media = media;
  };
  const name = ["light", "dark"].includes(kept.get()) ? kept.get() : "auto";
  box.hidden = false;
  box.querySelector(`[value=${name}]`).checked = true;
  apply(name);
  box.addEventListener("change", (event) => {
    apply(event.target.value);
    kept.set(event.target.value);
  });
})();
