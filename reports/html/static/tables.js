/* Tables: sorting by one or several columns, filtering by words and comparisons, copying. */

function enableTable(box) {
  const body = box.querySelector("tbody");
  const rows = [...body.rows];
  const heads = [...box.querySelectorAll("thead th")];
  const several = box.querySelector(".several input");
  let keys = []; // columns sorted by, most important first: {column, descending}

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!heads[column].classList.contains("number")) return shownText(cell) || null;
    return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
  };

  const sort = () => {
    // From the rows as they were written, so that ties keep that order, whatever came before.
    const order = rows.map((row) => ({ row, values: keys.map((key) => valueOf(row, key.column)) }));
    order.sort((a, b) => {
      for (let place = 0; place < keys.length; place += 1) {
        const step = compared(a.values[place], b.values[place], keys[place].descending);
        if (step) return step;
      }
      return 0;
    });
    body.append(...order.map((item) => item.row));
    heads.forEach((head, column) => {
      const place = keys.findIndex((key) => key.column === column);
      if (place < 0) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", keys[place].descending ? "descending" : "ascending");
      const arrow = place < 0 ? "" : keys[place].descending ? "▼" : "▲";
      head.querySelector(".order").textContent =
        arrow + (place >= 0 && keys.length > 1 ? place + 1 : "");
    });
  };

  const press = (column, added) => {
    const first = heads[column].dataset.first === "descending";
    const old = keys.find((key) => key.column === column);
    if (!added) keys = keys.filter((key) => key.column === column);
    if (!old) keys.push({ column, descending: first });
    else if (old.descending === first) old.descending = !first;
    else keys = keys.filter((key) => key !== old);
    sort();
  };

  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", (event) => {
      press(column, event.shiftKey || several.checked);
    });
  });

  const count = box.querySelector(".count");
  box.querySelector("input[type=search]").addEventListener("input", (event) => {
    const tests = testsOf(event.target.value, heads, valueOf);
    for (const row of rows) row.hidden = !tests.every((test) => test(row));
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = tests.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
  });

  box.querySelector(".copy").addEventListener("click", (event) => {
    copied(asCsv(heads, [...body.rows].filter((row) => !row.hidden), valueOf), event.target);
  });
  arrowKeys(box.querySelector("table"));
}

/** Order of two values; what is missing comes last in both directions. */
function compared(a, b, descending) {
  if (a === null || b === null) return (a === null) - (b === null);
  const step = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  return descending ? -step : step;
}

function shownText(cell) {
  return cell.textContent.trim().replace(/^-$/, "");
}

function plain(name) {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
}

/** Conditions of a filter: `word` is anywhere in the row, `mIoU>40` compares a column's number,
 *  `textinput=none` its text. */
function testsOf(text, heads, valueOf) {
  const names = heads.map((head) => plain(head.querySelector(".name").textContent));
  const compare = {
    ">": (a, b) => a > b, "<": (a, b) => a < b, "=": (a, b) => a === b,
    ">=": (a, b) => a >= b, "<=": (a, b) => a <= b,
  };
  return text.toLowerCase().split(/\s+/).filter(Boolean).map((term) => {
    const said = /^([^<>=]+)=([^<>=]+)$/.exec(term);
    const place = said ? names.findIndex((name) => name.startsWith(plain(said[1]))) : -1;
    if (place >= 0 && !/^-?[\d.]+$/.test(said[2])) {
      return (row) => plain(row.cells[place].textContent) === plain(said[2]);
    }
    const found = /^([^<>=]+)(>=|<=|>|<|=)(-?[\d.]+)$/.exec(term);
    const wanted = found && plain(found[1]);
    const column = found ? names.findIndex((name) => name.startsWith(wanted)) : -1;
    if (column < 0) return (row) => row.textContent.toLowerCase().includes(term);
    return (row) => {
      const value = valueOf(row, column);
      return typeof value === "number" && compare[found[2]](value, Number(found[3]));
    };
  });
}

/** Rows as shown, numbers at full precision in the unit of the table. */
function asCsv(heads, rows, valueOf) {
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const titles = heads.map((head) => {
    const unit = head.querySelector(".unit");
    return [head.querySelector(".name").textContent, unit ? unit.textContent.trim() : ""];
  });
  const lines = [titles.map(([name, unit]) => quoted(`${name} ${unit}`.trim()))];
  for (const row of rows) lines.push(heads.map((_, column) => quoted(`${valueOf(row, column) ?? ""}`)));
  return lines.map((line) => line.join(",")).join("\n") + "\n";
}

/** One stop of the Tab key for all numbers of a table; arrow keys go from cell to cell. */
function arrowKeys(table) {
  const buttons = [...table.querySelectorAll("tbody button")];
  const only = (chosen) => buttons.forEach((button) => { button.tabIndex = button === chosen ? 0 : -1; });
  if (buttons.length) only(buttons[0]);
  table.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const cell = event.target.closest("tbody td, tbody th");
    if (!cell || !(event.key in steps)) return;
    event.preventDefault();
    const next = nextButton(table, cell, ...steps[event.key]);
    if (next) next.focus();
  });
  table.addEventListener("focusin", (event) => {
    if (!buttons.includes(event.target)) return;
    table.querySelectorAll("tbody button[tabindex='0']").forEach((old) => { old.tabIndex = -1; });
    event.target.tabIndex = 0;
  });
}

function nextButton(table, cell, down, right) {
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
  let row = rows.indexOf(cell.parentElement) + down;
  let column = cell.cellIndex + right;
  while (rows[row] && rows[row].cells[column]) {
    const button = rows[row].cells[column].querySelector("button");
    if (button) return button;
    row += down;
    column += right;
  }
  return null;
}

document.querySelectorAll("div.table").forEach(enableTable);
