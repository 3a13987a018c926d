// The server and the window that host the page: Airflow, with or without its frame, or the sandbox.

/** `name` is "airflow" or "sandbox"; `command` uploads a file to the sandbox. */
export const host = { name: "airflow", command: null };

/** Airflow's window around the frame; null without a frame. */
export const airflowWindow = (() => {
  try {
    return window.parent !== window && window.parent.location.origin === location.origin ? window.parent : null;
  } catch {
    return null; // a window of another origin
  }
})();

/** Return the parameters of the page's URL; in a frame without any, those of Airflow's window. */
export function readParameters() {
  const own = new URLSearchParams(location.search);
  return own.size || !airflowWindow ? own : new URLSearchParams(airflowWindow.location.search);
}

/** Write the parameters to the page's URL, and to that of Airflow's window, so that both can be reloaded and shared. */
export function writeParameters(entries, { push = false } = {}) {
  const query = `?${new URLSearchParams(entries)}`;
  history[push ? "pushState" : "replaceState"](push ? { opened: true } : history.state, "", location.pathname + query);
  // The state is kept, because Airflow's router stores its own in it.
  airflowWindow?.history.replaceState(airflowWindow.history.state, "", airflowWindow.location.pathname + query);
}

/** Return a listener that opens a link in Airflow's window: the frame's sandbox does not permit `target="_top"`. */
export function openInAirflow(event) {
  if (!airflowWindow || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const link = airflowWindow.document.createElement("a");
  link.href = event.currentTarget.href;
  link.click();
}

/** Return a value of Airflow's local storage, or null. */
export function stored(key) {
  try {
    return host.name === "airflow" ? localStorage.getItem(key) : null;
  } catch {
    return null; // storage is blocked
  }
}
