// DOM helpers. Strings become text nodes, never markup, because names and descriptions are untrusted.

/** Create an element; `properties` are attributes, or listeners if the name starts with "on"; children may be strings. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const PATHS = {
  image: ["M4 5h16v14H4z", "M4 16l4.5-4.5 3.5 3.5 3-3 5 5", "M8.5 9.2h.01"],
  video: ["M4 6h11v12H4z", "M15 10.5l5-3v9l-5-3"],
  file: ["M6 3h8l4 4v14H6z", "M14 3v4h4"],
  copy: ["M9 9h11v11H9z", "M5 15H4V4h11v1"],
};

/** Create an icon; screen readers skip it. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const attributes = {
    viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": "1.6",
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
  };
  for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, value);
  for (const d of PATHS[name]) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

let hideTimer;

/** Show a short message for 2.5 seconds, in an open dialog if there is one; screen readers announce it. */
export function toast(message) {
  const box = (document.querySelector("dialog[open]") ?? document).querySelector(":scope > .toast, body > .toast");
  box.textContent = message;
  box.classList.add("on");
  clearTimeout(hideTimer);
  hideTimer = setTimeout(() => box.classList.remove("on"), 2500);
}

/** Create a button that copies `text`; `noun` names the value for the user, such as "ID". */
export function copyButton(text, noun, label = text) {
  return element(
    "button",
    { type: "button", class: "copy", title: `Copy ${noun}`, "aria-label": `Copy ${noun}${label === text ? ` ${text}` : ""}`, onclick: () => copy(text, noun) },
    icon("copy"),
    element("span", {}, label),
  );
}

/** Copy a text, and confirm it; `isShort` is whether the confirmation shows the text. */
export async function copy(text, noun, { isShort = text.length < 80 } = {}) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // The clipboard API needs a secure context (https) and a permission; execCommand needs neither.
    const host = document.querySelector("dialog[open]") ?? document.body;
    const field = element("textarea", { readonly: true, "aria-hidden": "true" });
    const focused = document.activeElement;
    field.value = text;
    host.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    focused?.focus();
    if (!copied) {
      toast(`The browser blocked copying. ${noun}: ${text}`);
      return;
    }
  }
  toast(isShort ? `Copied ${noun}: ${text}` : `Copied ${noun}`);
}
