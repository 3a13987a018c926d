// The page: what is asked for stands in its address, so that it can be reloaded and passed on.

import * as api from "./api.js";
import { card } from "./card.js";
import * as details from "./details.js";
import { element } from "./dom.js";
import { followTheme } from "./theme.js";

const byId = (id) => document.getElementById(id);
const TYPING_PAUSE_MS = 250;
const GHOSTS = 12;

const asked = new URLSearchParams(location.search);
const state = {
  connection: asked.get("connection") ?? "",
  search: asked.get("search") ?? "",
  type: asked.get("type") ?? "",
  order: asked.get("order") ?? "newest",
  page: Math.max(0, Number.parseInt(asked.get("page") ?? "1", 10) - 1) || 0,
  media: asked.get("media") ?? "",
};
let shown = [];
let reading = new AbortController();

function keepInAddress() {
  const kept = { ...state, page: state.page ? state.page + 1 : "", order: state.order === "newest" ? "" : state.order };
  const parameters = Object.entries(kept).filter(([, value]) => value !== "");
  history.replaceState(null, "", `?${new URLSearchParams(parameters)}`);
}

// --- what is shown instead of files ---

function notice(words, ...more) {
  byId("notice").hidden = !words;
  byId("notice").replaceChildren(...(words ? [element("p", {}, words), ...more] : []));
}

function tryAgain() {
  return element("button", { type: "button", class: "quiet", onclick: () => look({ fresh: true }) }, "Try again");
}

function empty(words) {
  byId("files").replaceChildren(element("li", { class: "empty" }, words));
}

// --- the library ---

async function load({ fresh = false } = {}) {
  reading.abort();
  reading = new AbortController();
  const { signal } = reading;
  keepInAddress();
  const files = byId("files");
  files.setAttribute("aria-busy", "true");
  if (!files.querySelector(".card:not(.ghost)")) files.replaceChildren(...Array.from({ length: GHOSTS }, () => element("li", { class: "card ghost", "aria-hidden": "true" })));
  byId("count").textContent = "Reading the library …";
  const { search, type, order, page } = state;
  try {
    draw(await api.library(state.connection, { search, type, order, page, ...(fresh ? { fresh } : {}) }, signal));
  } catch (error) {
    if (error.name === "AbortError") return;
    shown = [];
    files.replaceChildren();
    byId("count").textContent = "";
    byId("pages").hidden = true;
    notice(error instanceof api.Refusal ? error.message : `The page failed: ${error.message}`, tryAgain());
  }
  if (!signal.aborted) files.removeAttribute("aria-busy");
}

function draw(answer) {
  shown = answer.items;
  state.page = answer.page;
  notice(answer.cut_off && [answer.cut_off, answer.total ? `It holds ${answer.total.toLocaleString()}.` : ""].join(" "));
  const isFiltered = state.search || state.type;
  byId("count").textContent = counted(answer, isFiltered);
  if (shown.length) byId("files").replaceChildren(...shown.map((media) => card(media, () => open(media))));
  else empty(isFiltered ? "No file fits. Try fewer words, or all types." : "This library is empty.");
  drawTypes(answer.types);
  byId("pages").hidden = answer.pages < 2;
  byId("position").textContent = `Page ${answer.page + 1} of ${answer.pages}`;
  byId("previous").disabled = answer.page === 0;
  byId("next").disabled = answer.page + 1 >= answer.pages;
  keepInAddress();
}

function counted({ found, read }, isFiltered) {
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
  const labels = { "": "All types", image: "Pictures", video: "Videos" };
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
  const place = shown.findIndex(({ id }) => id === media.id);
  state.media = media.id;
  keepInAddress();
  return details.show(state.connection, media, {
    hasEarlier: place > 0,
    hasLater: place >= 0 && place < shown.length - 1,
  });
}

function move(step) {
  const place = shown.findIndex(({ id }) => id === state.media);
  const neighbour = shown[place + step];
  if (place >= 0 && neighbour) open(neighbour);
}

function closed() {
  const last = state.media;
  state.media = "";
  keepInAddress();
  [...byId("files").children].find(({ dataset }) => dataset.id === last)?.querySelector("button").focus();
}

async function openAskedFor() {
  const { connection, media } = state;
  const isAskedFor = () => state.media === media && state.connection === connection && !byId("details").open;
  if (!media || !isAskedFor()) return;
  try {
    const found = shown.find(({ id }) => id === media) ?? (await api.entry(connection, media));
    if (isAskedFor()) await open(found);
  } catch (error) {
    if (!isAskedFor()) return;
    const isGone = error.status === 404; // after any other failure, the address goes on asking for the file
    if (byId("notice").hidden) notice(error.message, ...(isGone ? [] : [tryAgain()]));
    if (!isGone) return;
    state.media = "";
    keepInAddress();
  }
}

/** Read the library, then open the file that the address asks for, if that was not yet possible. */
async function look(options) {
  await load(options);
  await openAskedFor();
}

// --- the controls ---

function listen() {
  const change = (what) => {
    Object.assign(state, { page: 0 }, what);
    return load();
  };
  let pause;
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("search").addEventListener("input", ({ target }) => {
    clearTimeout(pause);
    pause = setTimeout(() => change({ search: target.value.trim() }), TYPING_PAUSE_MS);
  });
  byId("type").addEventListener("change", ({ target }) => change({ type: target.value }));
  byId("order").addEventListener("change", ({ target }) => change({ order: target.value }));
  byId("connection").addEventListener("change", ({ target }) => {
    shown = [];
    byId("files").replaceChildren();
    change({ connection: target.value, type: "", media: "" });
  });
  byId("refresh").addEventListener("click", () => look({ fresh: true }));
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
  // A link may name one that is kept where connections cannot be listed, as in a secrets backend.
  if (state.connection && !known.some(({ id }) => id === state.connection)) known.push({ id: state.connection });
  const select = byId("connection");
  state.connection ||= known.find(({ id }) => id === "media_default")?.id ?? known[0]?.id ?? "";
  select.replaceChildren(
    ...known.map(({ id, description }) => element("option", { value: id, selected: id === state.connection, title: description }, id)),
  );
  select.disabled = !known.length;
  byId("refresh").disabled = !known.length;
  if (!known.length) {
    empty("There is no connection of the type Media Library that you may read. Add one under Admin, Connections.");
    return;
  }
  await look();
}

start();
