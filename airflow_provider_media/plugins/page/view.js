// Search, filter, sort and paginate a library; no access to the page.

import { day } from "./format.js";

export const FILES_PER_PAGE = { grid: 48, list: 20 };

/** Normalize case and Unicode form (NFC). */
const comparable = (text) => (text ?? "").normalize("NFC").toUpperCase().toLowerCase();
const typeOf = (media) => media.mime_type ?? "unknown";
const contentOf = (media) => (media.size && media.mime_type ? `${media.size} ${media.mime_type}` : null);

function count(map, key) {
  if (key !== null) map.set(key, (map.get(key) ?? 0) + 1);
}

/** The files that were read so far. */
export class Library {
  files = [];
  folders = new Map();
  total = null;
  isReading = true;
  #ids = new Set();
  #names = new Map();
  #contents = new Map();
  #titles = new Map();
  #shows = null;

  /** Add files; those with a known id are skipped, because parts may overlap. */
  add(items) {
    for (const media of items) {
      if (this.#ids.has(media.id)) continue;
      this.#ids.add(media.id);
      const time = Date.parse(media.created_at ?? "") || 0;
      this.files.push({ media, time, name: comparable(media.name), number: /^\d+$/.test(media.id) ? Number(media.id) : 0 });
      count(this.#names, comparable(media.name) || null);
      count(this.#contents, contentOf(media));
      count(this.folders, media.folder_id ?? null);
      for (const { channel, title } of media.problems ?? []) this.#titles.set(`problem-${channel}`, title);
    }
    this.#shows = null;
  }

  /** Return the number of files with the same name, this one included. */
  sameName(media) {
    return this.#names.get(comparable(media.name)) ?? 1;
  }

  /** Return the number of files with the same size and type, this one included. */
  sameContent(media) {
    return this.#contents.get(contentOf(media)) ?? 1;
  }

  /** Return the options of the filter "Show" that select files: value, label, number of files. */
  shows() {
    const options = [...[...this.#titles].map(([value, title]) => [value, `Problem for ${title}`]), ["same-name", "Same name"], ["same-content", "Same size and type"]];
    this.#shows ??= options.map(([value, label]) => [value, label, this.files.filter((file) => this.matchesShow(file, value)).length]);
    return this.#shows.filter(([, , number]) => number);
  }

  matchesShow({ media, name }, show) {
    if (show === "same-name") return this.#names.get(name) > 1;
    if (show === "same-content") return this.sameContent(media) > 1;
    return (media.problems ?? []).some(({ channel }) => `problem-${channel}` === show);
  }
}

const byText = (one, other) => (one < other ? -1 : Number(one > other));
const byAge = (one, other) => one.time - other.time || one.number - other.number;
const bySize = (one, other) => (one.media.size ?? 0) - (other.media.size ?? 0);

const ORDERS = {
  newest: (one, other) => byAge(other, one),
  oldest: byAge,
  name: (one, other) => byText(one.name, other.name) || byText(one.media.id, other.media.id),
  largest: (one, other) => bySize(other, one),
  smallest: bySize,
};

export const isOrder = (order) => order in ORDERS;

/**
 * Return the files on the page, and the counts.
 *
 * `search` holds words that the name must contain, in any order and case, or an id; that file comes first. `type` is a type
 * such as image/png, or its first part. `from` and `until` are days such as 2026-01-31.
 */
export function select(library, { search, type, show, folder, from, until, order, layout, page }) {
  const query = comparable(search).trim();
  const words = query.split(/\s+/);
  const types = {};
  const found = [];
  let bytes = 0;
  for (const file of library.files) {
    const { media } = file;
    const isId = media.id.toLowerCase() === query;
    if (!isId && !words.every((word) => file.name.includes(word))) continue;
    if (show && !library.matchesShow(file, show)) continue;
    if (folder && media.folder_id !== folder) continue;
    if (from || until) {
      const created = day(media.created_at);
      if (!created || (from && created < from) || (until && created > until)) continue;
    }
    types[typeOf(media)] = (types[typeOf(media)] ?? 0) + 1;
    if (type && typeOf(media) !== type && !typeOf(media).startsWith(`${type}/`)) continue;
    found.push(file);
    bytes += media.size ?? 0;
  }
  const compare = ORDERS[order] ?? ORDERS.newest;
  const first = (file) => Number(file.media.id.toLowerCase() === query);
  found.sort((one, other) => first(other) - first(one) || compare(one, other));
  const size = FILES_PER_PAGE[layout] ?? FILES_PER_PAGE.grid;
  const pages = Math.max(1, Math.ceil(found.length / size));
  const shown = Math.min(page, pages - 1);
  const items = found.slice(shown * size, (shown + 1) * size).map(({ media }) => media);
  return { items, found: found.length, bytes, page: shown, pages, types };
}
