// Keyboard access to the files: one tab stop, moved with the arrow keys.

const CONTROLS = "button, input";

function stops(list) {
  return [...list.querySelectorAll(":scope > .card:not(.ghost)")];
}

/** Make one card the tab stop: the given one, or the first. */
export function setStop(list, card) {
  const cards = stops(list);
  const current = card ?? cards[0];
  for (const each of cards) for (const control of each.querySelectorAll(CONTROLS)) control.tabIndex = each === current ? 0 : -1;
}

function target(cards, index, key) {
  const columns = cards.findIndex(({ offsetTop }) => offsetTop !== cards[0].offsetTop);
  const row = columns < 1 ? cards.length : columns;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, Home: -index, End: cards.length - 1 - index };
  return key in steps ? cards[index + steps[key]] : undefined;
}

export function rove(list) {
  list.addEventListener("focusin", (event) => {
    const card = event.target.closest(".card");
    if (card) setStop(list, card);
  });
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const cards = stops(list);
    const index = cards.indexOf(event.target.closest(".card"));
    const next = index >= 0 ? target(cards, index, event.key) : undefined;
    if (!next) return;
    event.preventDefault();
    next.querySelector(".open").focus();
  });
}
