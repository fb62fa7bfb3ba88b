// The live connection: a WebSocket, or a stream by `fetch` if WebSockets are blocked; renewed for ever, with pauses.

/**
 * @import { Counts, Message, Reason, Status } from "../index.js"
 * @import { Requests } from "./requests.js"
 * @typedef {{ type: "changes", revision: number, counts: Counts, data: Message[] }
 *   | { type: "reset", revision: number, counts: Counts }} Frame
 * @typedef {object} Ends How a connection ended.
 * @property {number} code A close code; 1006: lost, or never made.
 * @property {boolean} heard Whether anything had been heard on it.
 */

import { claimsOf, InboxError } from "./requests.js";

const SILENCE = 60_000; // two heartbeats missed
const LONGEST = 30_000;
const STABLE = 10_000; // a connection that held so long was a success
const SHORTEST_REFRESH = 30_000;

/** @type {Record<number, Reason>} */
const FINAL = { 4400: "protocol", 4401: "token", 4403: "revoked" };
/** @type {Record<number, Reason>} */
const REASONS = { 4401: "token", 4403: "token", 4410: "token", 4429: "too_many_connections", 1012: "unavailable", 1013: "unavailable" };

/**
 * Milliseconds to wait before a connection is tried again: any of a span that doubles, so that those whom a server has
 * lost don't come back together.
 * @param {number} failures
 */
export function pauseBefore(failures, random = Math.random()) {
  return 100 + random * Math.min(LONGEST, 1000 * 2 ** failures);
}

/**
 * Wait.
 * @param {number} milliseconds
 * @param {(wake: () => void) => void} begin Called at once with what ends it.
 */
export const pause = (milliseconds, begin) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    begin(() => (clearTimeout(timer), resolve(null)));
  });

export class Live {
  /** Try again now, without a pause. */
  wake = () => {};
  /** @type {((code: number) => void) | null} Ends the connection. */
  #drop = null;
  #stopped = false;
  #streams = typeof WebSocket === "undefined";

  /**
   * @param {Requests} requests
   * @param {() => number} since What is known already; negative: nothing.
   * @param {(frame: Frame, from: number) => void} frame Called with each frame, and the revision that it follows; -1: none was sent.
   * @param {(status: Status, reason: Reason) => void} status
   */
  constructor(requests, since, frame, status) {
    this.requests = requests;
    this.since = since;
    this.frame = frame;
    this.status = status;
    this.#run();
  }

  stop() {
    this.#stopped = true;
    this.wake();
    this.#drop?.(1000);
  }

  /** The network is gone, as the browser knows. */
  lost() {
    this.#drop?.(1006);
  }

  async #run() {
    let failures = 0;
    let refused = 0;
    let token = "";
    let useless;
    /** @type {Reason} */
    let reason = null;
    while (!this.#stopped) {
      this.status(reason ? "offline" : "connecting", reason);
      const began = Date.now();
      /** @type {Ends} */
      let end;
      try {
        token = await this.requests.tokens.get(useless);
        useless = undefined;
        end = this.#stopped ? { code: 1000, heard: false } : await this.#connect(token);
      } catch (error) {
        if (!(error instanceof InboxError) || !error.temporary) return this.status("closed", "token");
        end = { code: 4410, heard: false };
      }
      if (this.#stopped) return;
      const { code, heard } = end;
      if (heard && Date.now() - began > STABLE) failures = refused = 0;
      if (REASONS[code] === "token") useless = token;
      if (code in FINAL && (code === 4400 || refused++)) return this.status("closed", FINAL[code]);
      reason = REASONS[code] ?? "network";
      if (useless && failures === 0) {
        failures = 1;
        reason = null;
        continue; // with another token, at once
      }
      if (!heard && code === 1006 && failures % 2) this.#streams = !this.#streams || typeof WebSocket === "undefined";
      this.status("offline", reason);
      await pause(pauseBefore(code === 4429 ? 5 : failures++), (wake) => (this.wake = wake));
    }
  }

  /**
   * @param {string} token
   * @returns {Promise<Ends>} When it has ended.
   */
  #connect(token) {
    return new Promise((resolve) => {
      let heard = false;
      let from = this.since();
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let silence;
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let renewal;
      const end = (/** @type {number} */ code) => {
        clearTimeout(silence);
        clearTimeout(renewal);
        this.#drop = null;
        link.close();
        resolve({ code, heard });
      };
      const hear = (/** @type {string} */ text) => {
        clearTimeout(silence);
        silence = setTimeout(end, SILENCE, 1006);
        if (this.#drop !== end) return;
        const frame = text ? JSON.parse(text) : {};
        if (frame.type === "close") return end(frame.code);
        if (frame.type === "changes" || frame.type === "reset") {
          heard = true;
          this.frame(frame, from);
          from = frame.revision;
        }
        if (heard) this.status("live", null);
      };
      const renew = async (/** @type {string} */ old) => {
        try {
          const next = await this.requests.tokens.get(old);
          if (this.#drop !== end || next === old) return;
          if (!link.renew(next)) return end(4410);
          plan(next);
        } catch {} // the server closes with 4410 when it expires
      };
      const plan = (/** @type {string} */ held) => {
        const left = Number(claimsOf(held).exp) * 1000 - Date.now();
        if (left) renewal = setTimeout(renew, Math.min(Math.max(left - 60_000, left / 2, SHORTEST_REFRESH), 2 ** 31 - 1), held);
      };
      this.#drop = end;
      silence = setTimeout(end, SILENCE / 4, 1006);
      let link = { close() {}, renew: (/** @type {string} */ _) => false };
      try {
        link = this.#streams ? this.#stream(token, from, hear, end) : this.#socket(token, from, hear, end);
        plan(token);
      } catch {
        end(1006); // a page's policy forbids it
      }
    });
  }

  /**
   * @param {string} token
   * @param {number} since
   * @param {(text: string) => void} hear
   * @param {(code: number) => void} end
   */
  #socket(token, since, hear, end) {
    const socket = new WebSocket(`${this.requests.url.replace(/^http/, "ws")}/v1/inbox/ws`);
    const send = (/** @type {object} */ frame) => socket.send(JSON.stringify(frame));
    socket.onopen = () => send({ type: "start", token, ...(since >= 0 && { since }) });
    socket.onmessage = (event) => hear(event.data);
    socket.onclose = (event) => end(event.code);
    return {
      close: () => {
        socket.onclose = socket.onmessage = socket.onopen = null;
        socket.close();
      },
      renew: (/** @type {string} */ next) => (send({ type: "token", token: next }), true),
    };
  }

  /**
   * @param {string} token
   * @param {number} since
   * @param {(text: string) => void} hear
   * @param {(code: number) => void} end
   */
  #stream(token, since, hear, end) {
    const abort = new AbortController();
    import("./stream.js")
      .then(({ read }) => read(`${this.requests.url}/v1/inbox/stream`, token, since, abort.signal, hear))
      .then(end, () => end(1006));
    return { close: () => abort.abort(), renew: () => false };
  }
}
