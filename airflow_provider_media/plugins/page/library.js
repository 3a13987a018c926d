// The page. The URL holds the current view, so that it can be reloaded and shared.

import * as api from "./api.js";
import { card } from "./card.js";
import * as details from "./details.js";
import { element } from "./dom.js";
import { followTheme } from "./theme.js";

const byId = (id) => document.getElementById(id);
const TYPING_DELAY_MS = 250;
const PLACEHOLDERS = 12;

const initial = new URLSearchParams(location.search);
const state = {
  connection: initial.get("connection") ?? "",
  search: initial.get("search") ?? "",
  type: initial.get("type") ?? "",
  order: initial.get("order") ?? "newest",
  page: Math.max(0, Number.parseInt(initial.get("page") ?? "1", 10) - 1) || 0,
  media: initial.get("media") ?? "",
};
let shown = [];
let loading = new AbortController();

function updateUrl() {
  const kept = { ...state, page: state.page ? state.page + 1 : "", order: state.order === "newest" ? "" : state.order };
  const parameters = Object.entries(kept).filter(([, value]) => value !== "");
  history.replaceState(null, "", `?${new URLSearchParams(parameters)}`);
}

// --- messages ---

function notice(message, ...more) {
  byId("notice").hidden = !message;
  byId("notice").replaceChildren(...(message ? [element("p", {}, message), ...more] : []));
}

function retryButton() {
  return element("button", { type: "button", class: "quiet", onclick: () => reload({ fresh: true }) }, "Try again");
}

function empty(message) {
  byId("files").replaceChildren(element("li", { class: "empty" }, message));
}

// --- the library ---

async function load({ fresh = false } = {}) {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  updateUrl();
  const files = byId("files");
  files.setAttribute("aria-busy", "true");
  if (!files.querySelector(".card:not(.ghost)")) files.replaceChildren(...Array.from({ length: PLACEHOLDERS }, () => element("li", { class: "card ghost", "aria-hidden": "true" })));
  byId("count").textContent = "Loading the library…";
  const { search, type, order, page } = state;
  try {
    draw(await api.library(state.connection, { search, type, order, page, ...(fresh ? { fresh } : {}) }, signal));
  } catch (error) {
    if (error.name === "AbortError") return;
    shown = [];
    files.replaceChildren();
    byId("count").textContent = "";
    byId("pages").hidden = true;
    notice(error instanceof api.ApiError ? error.message : `The page failed: ${error.message}`, retryButton());
  }
  if (!signal.aborted) files.removeAttribute("aria-busy");
}

function draw(result) {
  shown = result.items;
  state.page = result.page;
  notice(result.incomplete && [result.incomplete, result.total ? `The library has ${result.total.toLocaleString()} files.` : ""].join(" "));
  const isFiltered = state.search || state.type;
  byId("count").textContent = countText(result, isFiltered);
  if (shown.length) byId("files").replaceChildren(...shown.map((media) => card(media, () => open(media))));
  else empty(isFiltered ? "No matching files. Clear the filters." : "This library is empty.");
  drawTypes(result.types);
  byId("pages").hidden = result.pages < 2;
  byId("position").textContent = `Page ${result.page + 1} of ${result.pages}`;
  byId("previous").disabled = result.page === 0;
  byId("next").disabled = result.page + 1 >= result.pages;
  updateUrl();
}

function countText({ found, read }, isFiltered) {
  const files = (number) => `${number.toLocaleString()} file${number === 1 ? "" : "s"}`;
  return isFiltered ? `${found.toLocaleString()} of ${files(read)}` : files(read);
}

function drawTypes(types) {
  const counts = { "": 0, image: 0, video: 0 };
  for (const [type, count] of Object.entries(types)) {
    counts[""] += count;
    const [kind] = type.split("/");
    if (kind === "image" || kind === "video") counts[kind] += count;
  }
  const labels = { "": "All types", image: "Images", video: "Videos" };
  const options = { ...counts, ...types };
  if (!(state.type in options)) options[state.type] = 0;
  byId("type").replaceChildren(
    ...Object.entries(options).map(([value, count]) =>
      element("option", { value, selected: value === state.type }, `${labels[value] ?? value} (${count.toLocaleString()})`),
    ),
  );
}

// --- one file ---

function open(media) {
  const index = shown.findIndex(({ id }) => id === media.id);
  state.media = media.id;
  updateUrl();
  return details.show(state.connection, media, {
    hasEarlier: index > 0,
    hasLater: index >= 0 && index < shown.length - 1,
  });
}

function move(step) {
  const index = shown.findIndex(({ id }) => id === state.media);
  const neighbor = shown[index + step];
  if (index >= 0 && neighbor) open(neighbor);
}

function closed() {
  const last = state.media;
  state.media = "";
  updateUrl();
  [...byId("files").children].find(({ dataset }) => dataset.id === last)?.querySelector("button").focus();
}

async function openRequested() {
  const { connection, media } = state;
  const isPending = () => state.media === media && state.connection === connection && !byId("details").open;
  if (!media || !isPending()) return;
  try {
    const found = shown.find(({ id }) => id === media) ?? (await api.entry(connection, media));
    if (isPending()) await open(found);
  } catch (error) {
    if (!isPending()) return;
    const isGone = error.status === 404; // after any other failure, the URL keeps the file, for the next attempt
    if (byId("notice").hidden) notice(error.message, ...(isGone ? [] : [retryButton()]));
    if (!isGone) return;
    state.media = "";
    updateUrl();
  }
}

/** Load the library, then open the file named in the URL, if it is not open yet. */
async function reload(options) {
  await load(options);
  await openRequested();
}

// --- the controls ---

function listen() {
  const change = (changes) => {
    Object.assign(state, { page: 0 }, changes);
    return load();
  };
  let typingTimer;
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("search").addEventListener("input", ({ target }) => {
    clearTimeout(typingTimer);
    typingTimer = setTimeout(() => change({ search: target.value.trim() }), TYPING_DELAY_MS);
  });
  byId("type").addEventListener("change", ({ target }) => change({ type: target.value }));
  byId("order").addEventListener("change", ({ target }) => change({ order: target.value }));
  byId("connection").addEventListener("change", ({ target }) => {
    shown = [];
    byId("files").replaceChildren();
    change({ connection: target.value, type: "", media: "" });
  });
  byId("refresh").addEventListener("click", () => reload({ fresh: true }));
  const turn = async (step) => {
    state.page += step;
    await load();
    byId("files").focus();
    scrollTo({ top: 0 });
  };
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  details.prepare(move, closed);
}

async function start() {
  followTheme();
  byId("search").value = state.search;
  byId("order").value = state.order;
  if (!byId("order").value) byId("order").value = state.order = "newest";
  listen();
  let known;
  try {
    known = await api.connections();
  } catch (error) {
    notice(error.message);
    return;
  }
  // A link may name a connection that cannot be listed, because it is in a secrets backend.
  if (state.connection && !known.some(({ id }) => id === state.connection)) known.push({ id: state.connection });
  const select = byId("connection");
  state.connection ||= known.find(({ id }) => id === "media_default")?.id ?? known[0]?.id ?? "";
  select.replaceChildren(
    ...known.map(({ id, description }) => element("option", { value: id, selected: id === state.connection, title: description }, id)),
  );
  select.disabled = !known.length;
  byId("refresh").disabled = !known.length;
  if (!known.length) {
    empty("No Media Library connection that you can read. Add one under Admin > Connections.");
    return;
  }
  await reload();
}

start();
