// The selected files, and what can be copied of them.

import { copy } from "./dom.js";
import { bytes, kindOf, plural } from "./format.js";

const byId = (id) => document.getElementById(id);
const selected = new Map();
const CARDS = { min: 2, max: 10 };

/** Return JSON with integer ids as integers; they may be larger than JavaScript's exact integers. */
function withIntegerIds(value) {
  return JSON.stringify(value, null, 2).replace(/("(?:mediaId|id)": )"([1-9]\d*)"/g, "$1$2");
}

export const pythonId = (id) => (/^[1-9]\d*$/.test(id) ? id : JSON.stringify(id));

export const FORMATS = {
  ids: (files) => files.map(({ id }) => id).join("\n"),
  python: (files) => `[${files.map(({ id }) => pythonId(id)).join(", ")}]`,
  rcs: (files) =>
    withIntegerIds({
      carousel: { cardWidth: "MEDIUM", cards: files.map(({ id, name }) => ({ title: name ?? "", media: { mediaId: id, height: "MEDIUM" } })) },
    }),
  whatsapp: (files) =>
    withIntegerIds(
      files.map((media) => {
        const type = kindOf(media) === "video" ? "video" : "image";
        return { type, [type]: { id: media.id } };
      }),
    ),
};

/** Return the code of a task that gets the file. */
export function operatorCode(connection, media) {
  return `MediaGetOperator(task_id="get_media", media_id=${pythonId(media.id)}, media_conn_id=${JSON.stringify(connection)})`;
}

export const isSelected = (media) => selected.has(media.id);

export function setSelected(media, isOn) {
  if (isOn) selected.set(media.id, media);
  else selected.delete(media.id);
  draw();
}

export function clear() {
  selected.clear();
  draw();
}

function draw() {
  const files = [...selected.values()];
  byId("selection").hidden = !files.length;
  const sum = files.reduce((size, media) => size + (media.size ?? 0), 0);
  byId("selected").textContent = `${plural(files.length, "file")} selected · ${bytes(sum)}`;
}

/** `cleared()` is called when the user clears the selection. */
export function prepare(cleared) {
  byId("clear-selected").addEventListener("click", () => {
    clear();
    cleared();
  });
  byId("copy-selected").addEventListener("click", () => {
    const files = [...selected.values()];
    const { value, selectedOptions } = byId("format");
    const isOddCarousel = value === "rcs" && (files.length < CARDS.min || files.length > CARDS.max);
    const advice = isOddCarousel ? `. A carousel has ${CARDS.min} to ${CARDS.max} cards` : "";
    copy(FORMATS[value](files), `${selectedOptions[0].text} of ${plural(files.length, "file")}${advice}`, { isShort: false });
  });
}
