// The connection to Kiteway: requests with the token, and the stream of overviews.

import { forThisTab } from "./stored.js";

const TOKEN = "kiteway-token";
const RETRY = { first: 500, most: 10_000 }; // milliseconds
const ASK_EVERY = 5_000; // milliseconds between two questions where there is no place for a stream

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function setToken(token) {
  forThisTab.set(TOKEN, token);
}

/** A text that no header can carry, for example of full-width letters, is no token: Kiteway asks for one then. */
function headers() {
  const token = forThisTab.get(TOKEN) ?? "";
  return /^[!-~]+$/.test(token) ? { authorization: `Bearer ${token}` } : {};
}

async function request(path, signal) {
  const answer = await fetch(`/api/${path}`, { headers: headers(), signal, cache: "no-store" });
  if (!answer.ok) throw new Refused(answer.status, await answer.text());
  return answer;
}

/** Return the JSON of an answer of the API. */
export async function get(path, signal) {
  return (await request(path, signal)).json();
}

/**
 * Follow the overview until the returned function is called.
 *
 * `on` has two functions: `overview`, called with each one, and `state`, called with "live", "lost" or "token".
 * A hidden page is not followed: browsers permit few connections to one host, which all its tabs share.
 */
export function follow(on) {
  const ended = new AbortController();
  let current = null;
  const visible = () => {
    if (document.hidden) current?.abort();
  };
  document.addEventListener("visibilitychange", visible);
  (async () => {
    let wait = RETRY.first;
    while (!ended.signal.aborted) {
      await shown(ended.signal);
      current = new AbortController();
      const signal = AbortSignal.any([ended.signal, current.signal]);
      try {
        for await (const overview of overviews(signal)) {
          on.overview(overview);
          on.state("live");
          wait = RETRY.first;
        }
      } catch (error) {
        if (ended.signal.aborted) return;
        if (current.signal.aborted) continue; // hidden
        if (error.status === 401) return on.state("token");
        if (error.status === 503) await ask(on, signal);
        else on.state("lost");
      }
      await pause(wait, ended.signal);
      wait = Math.min(2 * wait, RETRY.most);
    }
  })();
  return () => {
    document.removeEventListener("visibilitychange", visible);
    ended.abort();
  };
}

async function ask(on, signal) {
  try {
    on.overview(await get("overview", signal));
    on.state("live");
    await pause(ASK_EVERY, signal);
  } catch {
    on.state("lost");
  }
}

// EventSource cannot send a token.
async function* overviews(signal) {
  const answer = await request("stream", signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      if (line.startsWith("data: ")) yield JSON.parse(line.slice("data: ".length));
    }
  }
}

function shown(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", resolve, { once: true, signal });
    signal.addEventListener("abort", resolve, { once: true });
  });
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", resolve, { once: true });
  });
}
