// The details of one file, in a dialog. Escape closes it; the arrow keys show the previous and the next file.

import * as api from "./api.js";
import { copyButton, element } from "./dom.js";
import { bytes, date, httpUrl, pixels, timeZone } from "./format.js";
import { airflowWindow, host, openInAirflow } from "./host.js";
import { clearStage, fullSize } from "./preview.js";
import { operatorCode } from "./selection.js";

const byId = (id) => document.getElementById(id);
const dialog = byId("details");

/** `moved(step)` is called to show the previous or next file, `closed()` when the dialog closes. */
export function prepare(moved, closed) {
  byId("close").addEventListener("click", () => dialog.close());
  byId("earlier").addEventListener("click", () => moved(-1));
  byId("later").addEventListener("click", () => moved(1));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => {
    clearStage(byId("stage"));
    closed();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLVideoElement) return; // the arrow keys seek in the video
    if (event.key === "ArrowLeft" && !byId("earlier").disabled) moved(-1);
    if (event.key === "ArrowRight" && !byId("later").disabled) moved(1);
  });
}

/** Show the fields from the list immediately, then add those that only the file's own entry has. */
export async function show(connection, media, { hasEarlier, hasLater }) {
  byId("earlier").disabled = !hasEarlier;
  byId("later").disabled = !hasLater;
  draw(connection, media);
  if (!dialog.open) dialog.showModal();
  byId("details-name").focus(); // screen readers announce the name
  const isComplete = [media.size, media.url, media.created_at, media.mime_type].every(Boolean);
  showUses(connection, media);
  if (isComplete) return;
  try {
    // Null means unknown, so it does not replace a value from the list.
    const known = Object.entries(await api.entry(connection, media.id)).filter(([, value]) => value !== null);
    if (dialog.dataset.id === media.id) draw(connection, { ...media, ...Object.fromEntries(known) });
    showUses(connection, media);
  } catch {
    // Keep the fields from the list.
  }
}

export const close = () => dialog.close();
export const isOpen = () => dialog.open;

function draw(connection, media) {
  dialog.dataset.id = media.id;
  byId("details-name").textContent = media.name || "(no name)";
  const size = element("dd", {}, pixels(media.width, media.height) ?? "unknown");
  const problems = (media.problems ?? []).map(({ title, level, text }) => element("dd", { class: `problem ${level}` }, `${title}: ${text}`));
  const rows = [
    ["ID", element("dd", {}, copyButton(media.id, "ID"))],
    ["Type", media.mime_type ?? "unknown"],
    ["Size", media.size === null || media.size === undefined ? "unknown" : `${bytes(media.size)} (${media.size.toLocaleString()} bytes)`],
    ["Dimensions", size],
    problems.length ? ["Problems for channels", ...problems] : null,
    ["Created", media.created_at ? `${date(media.created_at) ?? media.created_at} ${timeZone() ?? ""}` : "unknown"],
    media.description ? ["Description", element("dd", { dir: "auto" }, media.description)] : null,
    media.folder_id === null || media.folder_id === undefined ? null : ["Folder", media.folder_id],
    ["URL", link(media.url)],
    host.name === "airflow" ? ["Used by", element("dd", { id: "uses" }, "Loading…")] : null,
    ["Code", element("dd", {}, copyButton(operatorCode(connection, media), "operator code", "Copy operator code"))],
  ];
  byId("properties").replaceChildren(
    ...rows.filter(Boolean).map(([term, ...values]) =>
      element("div", {}, element("dt", {}, term), ...values.map((value) => (value instanceof Node ? value : element("dd", {}, value)))),
    ),
  );
  fullSize(byId("stage"), media, (width, height) => {
    if (!media.width) size.textContent = pixels(width, height) ?? "unknown";
  });
}

async function showUses(connection, media) {
  if (host.name !== "airflow") return;
  let content;
  try {
    const uses = await api.uses(connection, media.id);
    content = uses.map(({ dag, run, task, map_index: index, at, path }) =>
      element(
        "div",
        { class: "use" },
        element("a", { href: `../${path}`, onclick: openInAirflow }, `${dag}.${task}${index >= 0 ? `[${index}]` : ""}`),
        element("span", {}, ` ${date(at) ?? ""} · ${run}`),
      ),
    );
    if (!content.length) content = ["No tasks in the last 30 days that you may see"];
  } catch (error) {
    content = [`Unknown: ${error.message}`];
  }
  if (dialog.dataset.id === media.id) byId("uses")?.replaceChildren(...content);
}

function link(url) {
  if (!url) return "unknown";
  const href = httpUrl(url);
  if (!href) return url; // plain text, because only http and https URLs are safe as links
  const target = airflowWindow ? "_self" : "_blank"; // Airflow's frame blocks new windows
  return element("dd", {}, element("a", { href, target, rel: "noopener noreferrer" }, url), element("br"), copyButton(url, "URL", "Copy URL"));
}
