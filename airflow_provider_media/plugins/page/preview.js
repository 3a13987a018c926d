// Previews, loaded from the platform's URLs; an icon if there is no preview.

import { element, icon } from "./dom.js";
import { bytes, httpUrl, kindOf, previewUrl } from "./format.js";
import { airflowWindow } from "./host.js";

const FIRST_FRAME = "#t=0.1";
const MAX_THUMBNAIL_BYTES = 3_000_000;

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

function fill(container, media, { onSize, onError }) {
  const url = previewUrl(media.url);
  const kind = kindOf(media);
  container.append(icon(kind));
  if (!url || kind === "file") {
    onError?.(httpUrl(media.url) && !url ? "Not loaded, because the URL is on Airflow's host." : "No preview.");
    return null;
  }
  const name = media.name ?? `file ${media.id}`;
  const shown =
    kind === "image"
      ? element("img", { alt: media.description || `Image: ${name}`, loading: "lazy", decoding: "async", referrerpolicy: "no-referrer" })
      : element("video", { "aria-label": `Video: ${name}`, preload: "metadata", playsinline: true });
  shown.addEventListener("error", () => {
    shown.remove();
    if (!container.querySelector(":scope > svg")) container.prepend(icon(kind));
    const isMixed = location.protocol === "https:" && url.startsWith("http:");
    onError?.(isMixed ? "Not loaded, because browsers block http on an https page." : `Your browser cannot load or ${kind === "video" ? "play" : "show"} this ${kind}.`);
  });
  shown.addEventListener(kind === "image" ? "load" : "loadedmetadata", () => {
    container.querySelector(":scope > svg")?.remove();
    onSize?.(shown.naturalWidth ?? shown.videoWidth, shown.naturalHeight ?? shown.videoHeight);
  });
  container.append(shown);
  return { shown, url };
}

/**
 * Add a small preview; a video loads its first frame when it is within 200 px of the viewport.
 *
 * A large image is not loaded: a button that loads it is returned.
 */
export function thumbnail(container, media) {
  if (kindOf(media) === "image" && media.size > MAX_THUMBNAIL_BYTES && previewUrl(media.url)) {
    container.append(icon("image"));
    const load = (event) => {
      event.currentTarget.remove();
      container.querySelector(":scope > svg").remove();
      fill(container, media, {}).shown.src = previewUrl(media.url);
    };
    return element("button", { type: "button", class: "quiet load", "aria-label": `Show the image ${media.name ?? media.id}`, onclick: load }, `Show (${bytes(media.size)})`);
  }
  const filled = fill(container, media, {});
  if (filled?.shown instanceof HTMLVideoElement) {
    filled.shown.muted = true;
    filled.shown.tabIndex = -1;
    filled.shown.dataset.src = filled.url + FIRST_FRAME;
    nearby.observe(filled.shown);
  } else if (filled) filled.shown.src = filled.url;
  return null;
}

/** Remove the preview, so that a video stops. */
export function clearStage(container) {
  for (const video of container.querySelectorAll("video")) video.removeAttribute("src");
  container.replaceChildren();
}

/** Show the full image, or the video with controls; `onSize(width, height)` is called with its size in pixels. */
export function fullSize(container, media, onSize) {
  clearStage(container);
  const onError = (reason) => {
    const href = httpUrl(media.url);
    const target = airflowWindow ? "_self" : "_blank"; // Airflow's frame blocks new windows
    container.append(
      element("p", { class: "reason" }, `${reason} `, href && element("a", { href, target, rel: "noopener noreferrer" }, "Open file")),
    );
  };
  const filled = fill(container, media, { onSize, onError });
  if (!filled) return;
  if (filled.shown instanceof HTMLVideoElement) filled.shown.controls = true;
  else filled.shown.loading = "eager";
  filled.shown.src = filled.url;
}
