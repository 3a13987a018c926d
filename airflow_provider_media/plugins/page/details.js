// The details of one file, in a dialog. Escape closes it; the arrow keys show the previous and the next file.

import * as api from "./api.js";
import { copyButton, element } from "./dom.js";
import { bytes, date, httpUrl, pixels } from "./format.js";
import { fullSize } from "./preview.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("details");
const IN_AIRFLOW = window.top !== window.self; // its frame blocks new windows

let listeners = {};

/** `moved(step)` is called to show the previous or next file, `closed()` when the dialog closes. */
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
    if (event.target instanceof HTMLVideoElement) return; // the arrow keys seek in the video
    if (event.key === "ArrowLeft" && !byId("earlier").disabled) listeners.moved(-1);
    if (event.key === "ArrowRight" && !byId("later").disabled) listeners.moved(1);
  });
}

/** Show the fields from the list immediately, then add those that only the file's own entry has. */
export async function show(connection, media, { hasEarlier, hasLater }) {
  byId("earlier").disabled = !hasEarlier;
  byId("later").disabled = !hasLater;
  draw(media);
  if (!dialog.open) dialog.showModal();
  const isComplete = [media.size, media.url, media.created_at, media.mime_type].every(Boolean);
  if (isComplete) return;
  try {
    // Null means unknown, so it does not replace a value from the list.
    const known = Object.entries(await api.entry(connection, media.id)).filter(([, value]) => value !== null);
    if (dialog.dataset.id === media.id) draw({ ...media, ...Object.fromEntries(known) });
  } catch {
    // Keep the fields from the list.
  }
}

function draw(media) {
  dialog.dataset.id = media.id;
  byId("details-name").textContent = media.name || "(no name)";
  const properties = byId("properties");
  const size = element("dd", {}, pixels(media.width, media.height) ?? "unknown");
  const rows = [
    ["ID", element("dd", {}, copyButton(media.id, "ID"))],
    ["Type", media.mime_type ?? "unknown"],
    ["Size", media.size === null || media.size === undefined ? "unknown" : `${bytes(media.size)} (${media.size.toLocaleString()} bytes)`],
    ["Dimensions", size],
    ["Created", date(media.created_at) ?? "unknown"],
    media.description ? ["Description", media.description] : null,
    media.folder_id === null || media.folder_id === undefined ? null : ["Folder", media.folder_id],
    ["URL", link(media.url)],
  ];
  properties.replaceChildren(
    ...rows.filter(Boolean).map(([term, value]) =>
      element("div", {}, element("dt", {}, term), value instanceof Node ? value : element("dd", {}, value)),
    ),
  );
  fullSize(byId("stage"), media, (width, height) => {
    if (!media.width) size.textContent = pixels(width, height) ?? "unknown";
  });
}

function link(url) {
  if (!url) return "unknown";
  const href = httpUrl(url);
  if (!href) return url; // plain text, because only http and https URLs are safe as links
  const target = IN_AIRFLOW ? "_self" : "_blank";
  return element("dd", {}, element("a", { href, target, rel: "noopener noreferrer" }, url), element("br"), copyButton(url, "URL", "Copy"));
}
