// Requests to the page's server. Failures are raised as ApiError with a message for the user.

export class ApiError extends Error {
  /** `status` is the HTTP status, undefined without a response; `signIn` the URL to sign in. */
  constructor(message, status, signIn) {
    super(message);
    this.status = status;
    this.signIn = signIn;
  }
}

async function get(path, parameters, signal) {
  let response;
  try {
    response = await fetch(`api/${path}?${new URLSearchParams(parameters)}`, { signal, headers: { Accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server is unreachable. Check your network connection, then try again.");
  }
  if (response.ok) return response.json();
  const { detail, sign_in: signIn } = await response.json().catch(() => ({}));
  if (response.status === 401) throw new ApiError("Your session has ended.", 401, signIn);
  if (response.status === 403) throw new ApiError("You do not have permission to read this connection. Ask your administrator for access.", 403);
  throw new ApiError(typeof detail === "string" ? detail : `The server returned HTTP ${response.status}. Try again later.`, response.status);
}

const segment = (connection) => encodeURIComponent(connection);

export const start = () => get("start", {});
export const part = (connection, number, fresh, signal) => get(`library/${segment(connection)}`, { part: number, ...(fresh && { fresh }) }, signal);
export const entry = (connection, media) => get(`entry/${segment(connection)}`, { media });
export const uses = (connection, media) => get(`uses/${segment(connection)}`, { media });
