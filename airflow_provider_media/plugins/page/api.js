// Requests to Airflow's API server. Failures are raised as ApiError with a message for the user.

export class ApiError extends Error {
  /** `status` is the HTTP status; undefined without a response. */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function get(path, parameters, signal) {
  let response;
  try {
    response = await fetch(`api/${path}?${new URLSearchParams(parameters)}`, { signal, headers: { Accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("Airflow is unreachable. Check your network connection, then try again.");
  }
  if (response.ok) return response.json();
  if (response.status === 401) throw new ApiError("Your session has expired. Sign in to Airflow, then reload this page.", 401);
  if (response.status === 403) throw new ApiError("You do not have permission to read this connection. Ask your administrator for access.", 403);
  const { detail } = await response.json().catch(() => ({}));
  throw new ApiError(typeof detail === "string" ? detail : `Airflow returned HTTP ${response.status}. Try again later.`, response.status);
}

const segment = (connection) => encodeURIComponent(connection);

export const connections = () => get("connections", {});
export const library = (connection, parameters, signal) => get(`library/${segment(connection)}`, parameters, signal);
export const entry = (connection, media) => get(`entry/${segment(connection)}`, { media });
