// Format values for display.

import { host, stored } from "./host.js";

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Format a number of bytes with three digits: 999 B, 1.54 MB. */
export function bytes(size) {
  if (size === null || size === undefined) return null;
  let amount = size;
  let unit = 0;
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${Number(amount.toPrecision(3))} ${UNITS[unit]}`;
}

export function pixels(width, height) {
  return width && height ? `${width} × ${height}` : null;
}

export function plural(number, noun) {
  return `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;
}

let format;

/** Follow Airflow's time zone setting; call it when the setting has changed. */
export function followTimeZone() {
  let timeZone;
  try {
    timeZone = JSON.parse(stored("timezone")) ?? undefined;
  } catch {
    timeZone = stored("timezone") ?? undefined;
  }
  const options = { dateStyle: "short", timeStyle: "medium", hourCycle: "h23" }; // in Sweden's format, which is Airflow's
  try {
    format = new Intl.DateTimeFormat("sv-SE", { ...options, timeZone });
  } catch {
    format = new Intl.DateTimeFormat("sv-SE", options); // an unknown zone
  }
}

/** Format a time in Airflow's format and time zone: 2026-11-28 17:05:00; null without a time. */
export function date(text) {
  if (!format) followTimeZone();
  const time = text ? new Date(text) : null;
  return !time || Number.isNaN(time.getTime()) ? null : format.format(time);
}

export const day = (text) => date(text)?.slice(0, 10) ?? null;
export const timeZone = () => format?.resolvedOptions().timeZone;

/** Return "image", "video" or "file". */
export function kindOf(media) {
  const [kind] = (media.mime_type ?? "").split("/");
  return kind === "image" || kind === "video" ? kind : "file";
}

/** Return the subtype in capitals: PNG for image/png. */
export function shortType(mimeType) {
  return mimeType ? mimeType.split("/").pop().toUpperCase() : "unknown type";
}

/** Return an http or https URL, or null: the library's values are untrusted. */
export function httpUrl(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

// On loopback hosts only Airflow's own port is excluded, because a local sandbox shares the host name.
const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];

/** Return the URL to load a preview from, or null; never one on Airflow's host, because the browser would send its cookies. */
export function previewUrl(text) {
  const url = httpUrl(text);
  if (!url || host.name === "sandbox") return url;
  // Compare host names without ports: browsers send cookies to every port of a host, and may upgrade http to https.
  const part = LOOPBACK.includes(location.hostname) ? "host" : "hostname";
  return new URL(url)[part] === location[part] ? null : url;
}
