// Building the page: text is always text, never markup, whoever wrote it.

/** Make an element; `properties` are attributes, or listeners where the name begins with "on"; children may be text. */
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

/** Draw one of the icons; they say nothing to a screen reader. */
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

let silence;

/** Say something short, to eyes and screen readers. */
export function say(words) {
  const said = document.getElementById("said");
  said.textContent = words;
  said.classList.add("on");
  clearTimeout(silence);
  silence = setTimeout(() => said.classList.remove("on"), 2500);
}

/** A button that copies a text by one click; it shows the text, or the words given for it. */
export function copyButton(text, what, words = text) {
  return element(
    "button",
    { type: "button", class: "copy", title: `Copy the ${what}`, "aria-label": `Copy the ${what} ${text}`, onclick: () => copy(text, what) },
    icon("copy"),
    element("span", {}, words),
  );
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // No secure context (plain http), or no leave: the old way.
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
      say(`Your browser does not let the page copy; the ${what} is ${text}`);
      return;
    }
  }
  say(`Copied the ${what}: ${text}`);
}
