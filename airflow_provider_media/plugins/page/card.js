// One file in the grid.

import { copyButton, element } from "./dom.js";
import { bytes, kindOf, pixels, shortType } from "./format.js";
import { thumbnail } from "./preview.js";

/** `open` is called when the user selects the file. */
export function card(media, open) {
  const name = media.name || "(no name)";
  const about = [bytes(media.size), pixels(media.width, media.height)].filter(Boolean).join(" · ");
  const preview = element("span", { class: "preview" });
  thumbnail(preview, media);
  preview.append(element("span", { class: "badge" }, kindOf(media) === "video" ? `▶ ${shortType(media.mime_type)}` : shortType(media.mime_type)));
  return element(
    "li",
    { class: "card", "data-id": media.id },
    element(
      "button",
      { type: "button", class: "open", "aria-label": `Show ${name}`, onclick: open },
      preview,
      element("span", { class: "name", title: name }, name),
      element("span", { class: "about" }, about || "size unknown"),
    ),
    copyButton(media.id, "ID"),
  );
}
