// Light or dark: Airflow's setting, stored under "theme" in its local storage, or the system's preference.

const system = matchMedia("(prefers-color-scheme: dark)");

function chosen() {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null; // storage is blocked
  }
}

function apply() {
  const choice = chosen();
  const dark = choice === "dark" || (choice !== "light" && system.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

export function followTheme() {
  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", ({ key }) => key === "theme" && apply());
}
