// Requests to the admin endpoint.

// Refused is an answer that says what was wrong. A 502 is that of caddy intilery
// page, when Caddy itself does not answer.
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.gone = status === 502;
  }
}

// ask returns the JSON of an answer. It throws Refused with Caddy's words, or
// another error where there is no answer within limit milliseconds.
export async function ask(method, path, limit = 60000) {
  const answer = await fetch(path, { method, signal: AbortSignal.timeout(limit) });
  const text = await answer.text();
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("the answer is not JSON");
  }
  if (!answer.ok) throw new Refused(answer.status, typeof value?.error === "string" ? value.error : `status ${answer.status}`);
  return value;
}
