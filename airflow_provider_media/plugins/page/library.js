// The page. The URL holds the current view, so that it can be reloaded and shared.

import * as api from "./api.js";
import { card, chips } from "./card.js";
import * as details from "./details.js";
import { element } from "./dom.js";
import { bytes, followTimeZone, plural } from "./format.js";
import { host, openInAirflow, readParameters, writeParameters } from "./host.js";
import { rove, setStop } from "./roving.js";
import * as selection from "./selection.js";
import { followTheme } from "./theme.js";
import { isOrder, Library, select } from "./view.js";

const byId = (id) => document.getElementById(id);
const TYPING_DELAY_MS = 30;
const PLACEHOLDERS = 12;
const DEFAULTS = { connection: "", search: "", type: "", show: "", folder: "", from: "", until: "", order: "newest", layout: "grid", page: 0, media: "" };
const FILTERS = ["search", "type", "show", "folder", "from", "until"];

function parse(parameters) {
  const given = Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, parameters.get(name) ?? DEFAULTS[name]]));
  const page = Math.max(0, Number.parseInt(given.page, 10) - 1) || 0;
  return { ...given, page, order: isOrder(given.order) ? given.order : "newest", layout: given.layout === "list" ? "list" : "grid" };
}

const state = parse(readParameters());
let library = new Library();
let shown = [];
let lastOpened = "";
let loading = new AbortController();

function updateUrl(options) {
  const kept = Object.entries(state).filter(([name, value]) => value !== DEFAULTS[name]);
  writeParameters(kept.map(([name, value]) => [name, name === "page" ? value + 1 : value]), options);
}

// --- messages ---

function notice(message, ...more) {
  byId("notice").hidden = !message;
  byId("notice").replaceChildren(...(message ? [element("p", {}, message), ...more] : []));
}

function failure(error) {
  const message = error instanceof api.ApiError ? error.message : `The page failed: ${error.message}`;
  const next = error.signIn
    ? element("a", { href: error.signIn, target: "_top", onclick: openInAirflow }, "Sign in to Airflow")
    : element("button", { type: "button", class: "quiet", onclick: () => load({ fresh: true }) }, "Try again");
  notice(message, next);
}

function empty(...content) {
  byId("empty").hidden = !content.length;
  byId("empty").replaceChildren(...content);
}

// --- the library ---

/**
 * Read the library part by part, and open the file named in the URL.
 *
 * The files on the page are kept until the first part is read, or if that fails.
 */
async function load({ fresh = false } = {}) {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  const next = new Library();
  const files = byId("files");
  files.setAttribute("aria-busy", "true");
  if (!shown.length) files.replaceChildren(...Array.from({ length: PLACEHOLDERS }, () => element("li", { class: "card ghost", "aria-hidden": "true" })));
  empty();
  byId("count").textContent = "Loading the library…";
  try {
    for (let part = 0; next.isReading; part += 1) {
      const { items, total, more, incomplete } = await api.part(state.connection, part, fresh && part === 0, signal);
      if (signal.aborted) return;
      next.add(items);
      Object.assign(next, { total, isReading: more });
      if (library !== next) {
        library = next;
        files.removeAttribute("aria-busy");
        files.classList.remove("stale");
        notice();
      }
      draw();
      if (incomplete) notice(incomplete);
      if (part === 0) openRequested();
      else if (!more) for (const [index, each] of [...files.children].entries()) each.querySelector(".chips").replaceWith(chips(shown[index], library));
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    files.removeAttribute("aria-busy");
    files.classList.toggle("stale", shown.length > 0);
    if (!shown.length) files.replaceChildren();
    library.isReading = false;
    byId("count").textContent = shown.length ? countText(select(library, state)) : "";
    failure(error);
    openRequested();
  }
}

function draw() {
  const result = select(library, state);
  const files = byId("files");
  const isSame = shown.length === result.items.length && shown.every((media, index) => media === result.items[index]);
  state.page = result.page;
  byId("count").textContent = countText(result);
  files.classList.toggle("list", state.layout === "list");
  if (!isSame || files.childElementCount !== shown.length) {
    shown = result.items;
    files.replaceChildren(...shown.map((media) => card(media, library, () => open(media))));
    setStop(files);
  }
  drawEmpty();
  drawOptions(result.types);
  byId("pages").hidden = result.pages < 2;
  byId("position").textContent = `Page ${result.page + 1} of ${result.pages}`;
  byId("previous").disabled = result.page === 0;
  byId("next").disabled = result.page + 1 >= result.pages;
  updateUrl();
}

const isFiltered = () => FILTERS.some((name) => state[name]);

function drawEmpty() {
  if (shown.length || library.isReading) empty();
  else if (isFiltered()) empty("No matching files. Clear the filters.");
  else if (host.command) empty(element("p", {}, "This library is empty. To upload a JPEG, PNG, GIF or MP4 file:"), element("pre", {}, host.command));
  else empty("This library is empty.");
}

function countText({ found, bytes: size }) {
  const read = library.files.length;
  const isPartial = library.total !== null && library.total > read;
  const all = isPartial ? `${read.toLocaleString()} of ${plural(library.total, "file")}${library.isReading ? " read so far" : ""}` : plural(read, "file");
  return `${isFiltered() ? `${found.toLocaleString()} of ${all}` : all} · ${bytes(size)}`;
}

function setOptions(id, options) {
  if (!options.some(([value]) => value === state[id])) options.push([state[id], state[id]]);
  const content = JSON.stringify([options, state[id]]);
  if (byId(id).dataset.content === content) return; // keeps an open menu open
  byId(id).dataset.content = content;
  byId(id).replaceChildren(...options.map(([value, label]) => element("option", { value, selected: value === state[id] }, label)));
}

function drawOptions(types) {
  const counts = { "": 0, image: 0, video: 0 };
  for (const [type, number] of Object.entries(types)) {
    counts[""] += number;
    const [kind] = type.split("/");
    if (kind === "image" || kind === "video") counts[kind] += number;
  }
  const labels = { "": "All types", image: "Images", video: "Videos" };
  const sorted = Object.fromEntries(Object.entries(types).sort());
  setOptions("type", Object.entries({ ...counts, ...sorted }).map(([value, number]) => [value, `${labels[value] ?? value} (${number.toLocaleString()})`]));
  setOptions("show", [["", "All files"], ...library.shows().map(([value, label, number]) => [value, `${label} (${number.toLocaleString()})`])]);
  const folders = [...library.folders].sort().map(([value, number]) => [value, `${value} (${number.toLocaleString()})`]);
  setOptions("folder", [["", "All folders"], ...folders]);
  byId("folder").parentElement.hidden = !folders.length && !state.folder;
}

// --- one file ---

/** Open a file's entry; a new entry of the history, so that Back closes it. */
function open(media) {
  const index = shown.findIndex(({ id }) => id === media.id);
  const push = !details.isOpen() && state.media !== media.id;
  state.media = lastOpened = media.id;
  updateUrl({ push });
  return details.show(state.connection, media, {
    hasEarlier: index > 0,
    hasLater: index >= 0 && index < shown.length - 1,
  });
}

function move(step) {
  const index = shown.findIndex(({ id }) => id === state.media);
  const neighbor = shown[index + step];
  if (index < 0 || !neighbor) return;
  open(neighbor);
}

function closed() {
  const isBack = !state.media;
  state.media = "";
  if (!isBack && history.state?.opened) history.back();
  else updateUrl();
  [...byId("files").children].find(({ dataset }) => dataset.id === lastOpened)?.querySelector(".open").focus();
}

/** Follow Back and Forward: they open and close the entry. */
function followHistory() {
  addEventListener("popstate", () => {
    state.media = readParameters().get("media") ?? "";
    updateUrl();
    if (!state.media) details.close();
    else openRequested();
  });
}

async function openRequested() {
  const { connection, media } = state;
  const isPending = () => state.media === media && state.connection === connection && !details.isOpen();
  if (!media || !isPending()) return;
  try {
    const found = library.files.find((file) => file.media.id === media)?.media ?? (await api.entry(connection, media));
    if (isPending()) await open(found);
  } catch (error) {
    if (!isPending()) return;
    const isGone = error.status === 404; // after any other failure, the URL keeps the file, for the next attempt
    if (isGone) notice(error.message);
    else if (byId("notice").hidden) failure(error);
    if (!isGone) return;
    state.media = "";
    updateUrl();
  }
}

// --- the controls ---

function change(changes) {
  Object.assign(state, { page: 0 }, changes);
  draw();
}

function listen() {
  let typingTimer;
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("search").addEventListener("input", ({ target }) => {
    clearTimeout(typingTimer);
    typingTimer = setTimeout(() => change({ search: target.value.trim() }), TYPING_DELAY_MS);
  });
  for (const name of ["type", "show", "folder", "from", "until", "order", "layout"]) {
    byId(name).addEventListener("change", ({ target }) => change({ [name]: target.value }));
  }
  byId("connection").addEventListener("change", ({ target }) => {
    Object.assign(state, { connection: target.value, page: 0, type: "", show: "", folder: "", media: "" });
    library = new Library();
    shown = [];
    byId("files").replaceChildren();
    selection.clear();
    updateUrl();
    load();
  });
  byId("refresh").addEventListener("click", () => load({ fresh: true }));
  const turn = (step) => {
    state.page += step;
    draw();
    byId("files").focus();
    scrollTo({ top: 0 });
  };
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || details.isOpen() || event.target.matches("input:not([type=checkbox]), select")) return;
    event.preventDefault();
    byId("search").focus();
  });
  rove(byId("files"));
  selection.prepare(() => {
    for (const box of byId("files").querySelectorAll(".select")) box.checked = false;
    byId("files").focus();
  });
  details.prepare(move, closed);
  followHistory();
}

async function start() {
  followTheme(() => {
    followTimeZone();
    shown = [];
    draw();
  });
  for (const name of ["search", "from", "until", "order", "layout"]) byId(name).value = state[name];
  listen();
  let connections;
  try {
    const { host: name, connections: known, command } = await api.start();
    Object.assign(host, { name, command });
    connections = known;
  } catch (error) {
    failure(error);
    return;
  }
  byId("host").hidden = host.name !== "sandbox";
  byId("connections").hidden = host.name === "sandbox";
  followTimeZone();
  // A link may name a connection that cannot be listed, because it is in a secrets backend.
  if (state.connection && !connections.some(({ id }) => id === state.connection)) connections.push({ id: state.connection });
  const select = byId("connection");
  state.connection ||= connections.find(({ id }) => id === "media_default")?.id ?? connections[0]?.id ?? "";
  select.replaceChildren(
    ...connections.map(({ id, description }) => element("option", { value: id, selected: id === state.connection, title: description }, id)),
  );
  select.disabled = !connections.length;
  byId("refresh").disabled = !connections.length;
  if (!connections.length) {
    empty("No Media Library connection that you can read. Add one under Admin > Connections.");
    return;
  }
  load();
}

start();
