// Previews, loaded from the platform's URLs; an icon if there is no preview.

import { element, icon } from "./dom.js";
import { kindOf, previewUrl } from "./format.js";

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

function fill(container, media, onSize) {
  const url = previewUrl(media.url);
  const kind = kindOf(media);
  container.append(icon(kind));
  if (!url || kind === "file") return null;
  const name = media.name ?? `file ${media.id}`;
  const shown =
    kind === "image"
      ? element("img", { alt: media.description || `Image: ${name}`, loading: "lazy", decoding: "async", referrerpolicy: "no-referrer" })
      : element("video", { "aria-label": `Video: ${name}`, preload: "metadata", playsinline: true });
  shown.addEventListener("error", () => shown.remove());
  shown.addEventListener(kind === "image" ? "load" : "loadedmetadata", () => {
    container.querySelector(":scope > svg")?.remove();
    onSize?.(shown.naturalWidth ?? shown.videoWidth, shown.naturalHeight ?? shown.videoHeight);
  });
  container.append(shown);
  return { shown, url };
}

/** Add a small preview; a video loads its first frame when it is within 200 px of the viewport. */
export function thumbnail(container, media) {
  const filled = fill(container, media);
  if (filled?.shown instanceof HTMLVideoElement) {
    filled.shown.muted = true;
    filled.shown.tabIndex = -1;
    filled.shown.dataset.src = filled.url + FIRST_FRAME;
    nearby.observe(filled.shown);
  } else if (filled) filled.shown.src = filled.url;
}

/** Show the full image, or the video with controls; `onSize(width, height)` is called with its size in pixels. */
export function fullSize(container, media, onSize) {
  for (const video of container.querySelectorAll("video")) video.removeAttribute("src");
  container.replaceChildren();
  const filled = fill(container, media, onSize);
  if (!filled) return;
  if (filled.shown instanceof HTMLVideoElement) filled.shown.controls = true;
  else filled.shown.loading = "eager";
  filled.shown.src = filled.url;
}
