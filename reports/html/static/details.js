/* The provenance of a number: a drawer with the protocol, hashes, versions and its command. */

const drawer = document.getElementById("provenance");

function showProvenance(place) {
  const parts = dataOfPage.provenance.details[place].map(provenanceOf);
  document.getElementById("provenance-body").replaceChildren(...parts);
  drawer.showModal();
  drawer.scrollTop = 0;
}

function provenanceOf(detail) {
  const { facts, texts } = dataOfPage.provenance;
  const part = element("section", {}, element("h3", {}, detail.heading));
  part.append(element("p", { className: "exact" }, detail.exact));
  if (detail.scale) part.append(element("p", { className: "quiet" }, detail.scale));
  if (detail.command !== undefined) part.append(...commandOf(texts[detail.command]));
  else if (detail.run !== undefined) {
    part.append(element("p", { className: "quiet" },
      "No config.json lies beside the records, so the command is not known."));
  }
  if (detail.notes && detail.notes.length) {
    const notes = detail.notes.map((note) => element("li", {}, texts[note]));
    part.append(element("h4", {}, "Footnotes"), element("ul", { className: "notes" }, ...notes));
  }
  const list = element("dl");
  for (const place of detail.facts) {
    const [name, value] = facts[place];
    list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  }
  if (detail.run !== undefined) {
    list.append(element("div", {}, element("dt", {}, "run"),
      element("dd", {}, texts[detail.run])));
  }
  part.append(element("h4", {}, "Made from"), list);
  return part;
}

function commandOf(command) {
  const button = element("button", { type: "button" }, "Copy");
  button.addEventListener("click", () => copied(command, button));
  return [
    element("h4", {}, "Command that repeats it ", button),
    element("pre", { tabIndex: 0 }, command),
  ];
}

/** Esc closes a dialog by itself and gives the focus back; so does a press beside it. */
function closeable(dialog) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
}

closeable(drawer);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-detail]");
  if (button) showProvenance(Number(button.dataset.detail));
});
