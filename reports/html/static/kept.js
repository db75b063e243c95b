/* What a page keeps in this browser. In an indexed database, since what localStorage keeps for pages
   from disk is undefined: Chromium 156 shows some of their loads an empty one. */

/** Resolve at an event of a request or a transaction; reject at another. */
function settled(target, good, bad) {
  return new Promise((resolve, reject) => {
    target.addEventListener(good, () => resolve(target.result));
    target.addEventListener(bad, () => reject(target.error));
  });
}

/** Open the place where one value is kept under a name; null where the browser keeps nothing. */
async function placeFor(name) {
  let base;
  try {
    const opening = indexedDB.open("spade-eval", 1);
    opening.addEventListener("upgradeneeded", () => opening.result.createObjectStore("kept"));
    base = await settled(opening, "success", "error");
  } catch { return null; }
  base.addEventListener("versionchange", () => base.close()); // else nobody could clear it
  return {
    /** Resolve to the value; to null where there is none. */
    async read() {
      try {
        const reading = base.transaction("kept").objectStore("kept").get(name);
        return await settled(reading, "success", "error") ?? null;
      } catch { return null; }
    },
    /** Resolve to whether it is kept; on its way at once, even where the page is closed next. */
    async write(value) {
      try {
        const writing = base.transaction("kept", "readwrite");
        writing.objectStore("kept").put(value, name);
        writing.commit();
        await settled(writing, "complete", "abort");
        return true;
      } catch { return false; }
    },
  };
}
