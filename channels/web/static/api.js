// Calls to our own server. An error's message is a line for the person.

const TIMEOUT_MS = 20_000; // above the server's own bounds, so that its answer comes first

export class ApiError extends Error {
  constructor(status, code, words) {
    super(words);
    this.status = status;
    this.code = code;
  }
}

async function call(path, options) {
  let response;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new ApiError(0, "offline", "The server cannot be reached.");
  }
  let fields = {};
  try {
    fields = await response.json();
  } catch {
    // Not ours, or cut off: the status says enough.
  }
  if (!response.ok) throw new ApiError(response.status, fields.error ?? "failed", fields.words ?? "The server could not do that.");
  return fields;
}

export function get(path, query = {}) {
  const known = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const search = new URLSearchParams(known).toString();
  return call(search ? `${path}?${search}` : path, {});
}

export function post(path, fields) {
  return call(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(fields) });
}

export function newNonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
