// Airflow's design: inside its frame its own colors, fonts and corners; elsewhere only its light or dark mode.

import { airflowWindow, stored } from "./host.js";

const system = matchMedia("(prefers-color-scheme: dark)");

/** Our custom properties, each with Airflow's. */
const TOKENS = {
  "--page": "--chakra-colors-bg",
  "--surface": "--chakra-colors-bg-panel",
  "--well": "--chakra-colors-bg-muted",
  "--line": "--chakra-colors-border",
  "--ink": "--chakra-colors-fg",
  "--soft": "--chakra-colors-fg-muted",
  "--accent": "--chakra-colors-brand-fg",
  "--accent-soft": "--chakra-colors-brand-subtle",
  "--radius": "--chakra-radii-l2",
  "--font": "--chakra-fonts-body",
};

function apply() {
  const root = document.documentElement;
  const outer = airflowWindow?.document.documentElement;
  const choice = stored("theme");
  const isDark = outer ? outer.classList.contains("dark") : choice === "dark" || (choice !== "light" && system.matches);
  root.dataset.theme = isDark ? "dark" : "light";
  if (!outer) return;
  const styles = airflowWindow.getComputedStyle(outer);
  for (const [own, token] of Object.entries(TOKENS)) {
    const value = styles.getPropertyValue(token).trim();
    if (value) root.style.setProperty(own, value);
  }
}

/** `changed()` is called when Airflow's settings change in another window. */
export function followTheme(changed) {
  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", () => {
    apply();
    changed();
  });
  if (!airflowWindow) return;
  const options = { attributes: true, attributeFilter: ["class", "style", "data-theme"] };
  new MutationObserver(apply).observe(airflowWindow.document.documentElement, options);
}
