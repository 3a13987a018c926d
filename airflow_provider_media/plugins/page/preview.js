// Pictures and videos, straight from the platform's addresses; an icon where there is nothing to see.

import { element, icon } from "./dom.js";
import { kindOf, pictureAddress } from "./format.js";

const FIRST_FRAME = "#t=0.1";

const nearby = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      nearby.unobserve(target);
      target.src = target.dataset.src;
    }
  },
  { rootMargin: "200px" },
);

function fill(place, media, seen) {
  const address = pictureAddress(media.url);
  const kind = kindOf(media);
  place.append(icon(kind));
  if (!address || kind === "file") return null;
  const name = media.name ?? `file ${media.id}`;
  const shown =
    kind === "image"
      ? element("img", { alt: media.description || `Picture: ${name}`, loading: "lazy", decoding: "async", referrerpolicy: "no-referrer" })
      : element("video", { "aria-label": `Video: ${name}`, preload: "metadata", playsinline: true });
  shown.addEventListener("error", () => shown.remove());
  shown.addEventListener(kind === "image" ? "load" : "loadedmetadata", () => {
    place.querySelector(":scope > svg")?.remove();
    seen?.(shown.naturalWidth ?? shown.videoWidth, shown.naturalHeight ?? shown.videoHeight);
  });
  place.append(shown);
  return { shown, address };
}

/** Put a small preview into a place; a video shows its first frame, once it comes near the window. */
export function thumbnail(place, media) {
  const filled = fill(place, media);
  if (filled?.shown instanceof HTMLVideoElement) {
    filled.shown.muted = true;
    filled.shown.tabIndex = -1;
    filled.shown.dataset.src = filled.address + FIRST_FRAME;
    nearby.observe(filled.shown);
  } else if (filled) filled.shown.src = filled.address;
}

/** Put the whole picture, or the video with its controls, into a place; `seen` is told its pixels. */
export function fullSize(place, media, seen) {
  for (const video of place.querySelectorAll("video")) video.removeAttribute("src");
  place.replaceChildren();
  const filled = fill(place, media, seen);
  if (!filled) return;
  if (filled.shown instanceof HTMLVideoElement) filled.shown.controls = true;
  else filled.shown.loading = "eager";
  filled.shown.src = filled.address;
}
