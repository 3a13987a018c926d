// The page's questions to Airflow's API server. Failures come as sentences.

export class Refusal extends Error {
  /** `status` is that of the answer; without one, nobody answered. */
  constructor(words, status) {
    super(words);
    this.status = status;
  }
}

async function ask(path, parameters, signal) {
  let answer;
  try {
    answer = await fetch(`api/${path}?${new URLSearchParams(parameters)}`, { signal, headers: { Accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("Airflow does not answer: check that you are online, then try again.");
  }
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Refusal("Your session is over: sign in to Airflow, then come back.", 401);
  if (answer.status === 403) throw new Refusal("You may not read this connection: ask your administrator for that right.", 403);
  const { detail } = await answer.json().catch(() => ({}));
  throw new Refusal(typeof detail === "string" ? detail : `Airflow answered ${answer.status}: try again later.`, answer.status);
}

const segment = (connection) => encodeURIComponent(connection);

export const connections = () => ask("connections", {});
export const library = (connection, parameters, signal) => ask(`library/${segment(connection)}`, parameters, signal);
export const entry = (connection, media) => ask(`entry/${segment(connection)}`, { media });
