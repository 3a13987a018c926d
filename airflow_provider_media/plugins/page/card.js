// One file in the grid or the list.

import { copyButton, element } from "./dom.js";
import { bytes, date, kindOf, pixels, shortType } from "./format.js";
import { thumbnail } from "./preview.js";
import { isSelected, setSelected } from "./selection.js";

/** Return labels of what the metadata shows: problems of a channel, and duplicates; never an approval. */
export function chips(media, library) {
  const problems = (media.problems ?? []).map(({ title, level, text }) =>
    element("span", { class: `chip ${level}`, title: `${title}: ${text}` }, `${title}: ${text.split(/; |, recommended/)[0]}`),
  );
  const [names, contents] = [library.sameName(media), library.sameContent(media)];
  if (names > 1) problems.push(element("span", { class: "chip" }, `same name ×${names}`));
  if (contents > 1) problems.push(element("span", { class: "chip" }, `same size and type ×${contents}`));
  return element("div", { class: "chips" }, ...problems);
}

/** `open` is called when the user opens the file. */
export function card(media, library, open) {
  const name = media.name || "(no name)";
  const about = [bytes(media.size) ?? "size unknown", pixels(media.width, media.height), date(media.created_at)?.slice(0, 16)];
  const preview = element("span", { class: "preview" });
  const showButton = thumbnail(preview, media);
  preview.append(element("span", { class: "badge" }, kindOf(media) === "video" ? `▶ ${shortType(media.mime_type)}` : shortType(media.mime_type)));
  return element(
    "li",
    { class: "card", "data-id": media.id },
    element(
      "button",
      { type: "button", class: "open", "aria-label": `Show ${name}`, onclick: open },
      preview,
      element("span", { class: "name", title: name, dir: "auto" }, name),
      element("span", { class: "about" }, ...about.filter(Boolean).flatMap((value, index) => [index ? " · " : "", element("span", {}, value)])),
    ),
    showButton,
    chips(media, library),
    copyButton(media.id, "ID"),
    element("input", { type: "checkbox", class: "select", "aria-label": `Select ${name}`, checked: isSelected(media), onchange: ({ target }) => setSelected(media, target.checked) }),
  );
}
