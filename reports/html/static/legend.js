/* The legend of label maps: the colour of a class and its name, on every page alike. */

/** What an element that names a class holds; the colour is (red, green, blue), or null. */
function named(name, color) {
  if (!color) return [name];
  const swatch = element("span", { className: "swatch" });
  swatch.style.setProperty("background", `rgb(${color.join(" ")})`);
  return [swatch, name];
}
