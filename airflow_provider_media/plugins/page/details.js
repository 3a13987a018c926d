// All that is known about one file, in a dialog: Escape closes it, the arrow keys go to its neighbours.

import * as api from "./api.js";
import { copyButton, element } from "./dom.js";
import { bytes, date, pixels, webAddress } from "./format.js";
import { fullSize } from "./preview.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("details");
const IN_AIRFLOW = window.top !== window.self; // its frame lets no new window open

let listeners = {};

/** `moved(step)` is called for the neighbours, `closed()` when the dialog is. */
export function prepare(moved, closed) {
  listeners = { moved, closed };
  byId("close").addEventListener("click", () => dialog.close());
  byId("earlier").addEventListener("click", () => listeners.moved(-1));
  byId("later").addEventListener("click", () => listeners.moved(1));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    fullSize(byId("stage"), {});
    listeners.closed();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLVideoElement) return; // there they wind
    if (event.key === "ArrowLeft" && !byId("earlier").disabled) listeners.moved(-1);
    if (event.key === "ArrowRight" && !byId("later").disabled) listeners.moved(1);
  });
}

/** Show a file at once with what is known, then with what the platform tells about it alone. */
export async function show(connection, media, { hasEarlier, hasLater }) {
  byId("earlier").disabled = !hasEarlier;
  byId("later").disabled = !hasLater;
  draw(media);
  if (!dialog.open) dialog.showModal();
  const isComplete = [media.size, media.url, media.created_at, media.mime_type].every(Boolean);
  if (isComplete) return;
  try {
    const told = Object.entries(await api.entry(connection, media.id)).filter(([, value]) => value !== null);
    // Null is "not told", which does not undo what the list told.
    if (dialog.dataset.id === media.id) draw({ ...media, ...Object.fromEntries(told) });
  } catch {
    // What the list said is shown.
  }
}

function draw(media) {
  dialog.dataset.id = media.id;
  byId("details-name").textContent = media.name || "(no name)";
  const facts = byId("facts");
  const size = element("dd", {}, pixels(media.width, media.height) ?? "unknown");
  const rows = [
    ["Id", element("dd", {}, copyButton(media.id, "id"))],
    ["Type", media.mime_type ?? "unknown"],
    ["Size", media.size === null || media.size === undefined ? "unknown" : `${bytes(media.size)} (${media.size.toLocaleString()} bytes)`],
    ["Pixels", size],
    ["Stored", date(media.created_at) ?? "unknown"],
    media.description ? ["Description", media.description] : null,
    media.folder_id === null || media.folder_id === undefined ? null : ["Folder", media.folder_id],
    ["Address", address(media.url)],
  ];
  facts.replaceChildren(
    ...rows.filter(Boolean).map(([term, fact]) =>
      element("div", {}, element("dt", {}, term), fact instanceof Node ? fact : element("dd", {}, fact)),
    ),
  );
  fullSize(byId("stage"), media, (width, height) => {
    if (!media.width) size.textContent = pixels(width, height) ?? "unknown";
  });
}

function address(url) {
  if (!url) return "unknown";
  const href = webAddress(url);
  if (!href) return url; // no address of the web: text, and no link
  const target = IN_AIRFLOW ? "_self" : "_blank";
  return element("dd", {}, element("a", { href, target, rel: "noopener noreferrer" }, url), element("br"), copyButton(url, "address", "Copy"));
}
