// How facts are written for people.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Write a number of bytes with three digits: 999 B, 1.54 MB. */
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

export function date(text) {
  const moment = text ? new Date(text) : null;
  if (!moment || Number.isNaN(moment.getTime())) return null;
  return moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** image, video, or anything else. */
export function kindOf(media) {
  const [kind] = (media.mime_type ?? "").split("/");
  return kind === "image" || kind === "video" ? kind : "file";
}

/** PNG of image/png. */
export function shortType(mimeType) {
  return mimeType ? mimeType.split("/").pop().toUpperCase() : "unknown type";
}

/** The address of a file, if it is one of the web: what a library says may be anything. */
export function webAddress(text) {
  try {
    const address = new URL(text);
    return address.protocol === "https:" || address.protocol === "http:" ? address.href : null;
  } catch {
    return null;
  }
}

// On one's own machine Airflow and the sandbox have one name, and its pictures are to be seen.
const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];

/** The address of a picture; never one of Airflow itself, which would take the request for a wish of its user. */
export function pictureAddress(text) {
  const address = webAddress(text);
  // The name alone: cookies go to all its ports, and browsers turn http into https where the page is on https.
  const part = LOOPBACK.includes(location.hostname) ? "host" : "hostname";
  return address && new URL(address)[part] !== location[part] ? address : null;
}
