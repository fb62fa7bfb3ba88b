// A list of messages with a filter: what is loaded of it, and all that has changed in it since.

/**
 * @import { FeedState, Filter, Message } from "../index.js"
 * @import { InboxClient } from "./client.js"
 * @import { InboxError } from "./requests.js"
 * @import { Store } from "./store.js"
 * @import * as Published from "../index.js"
 */

import { matches } from "./store.js";

const LARGE = 100; // messages of a page, for whoever reads on

/** @implements {Published.Feed} */
export class Feed {
  /** @type {FeedState} */
  #state = { items: [], status: "loading", more: true, error: null };
  #client;
  #store;
  #limit;
  #closed;
  /** @type {Set<() => void>} */
  #subscribers = new Set();
  /** Everything from this position up is known. */
  #bottom = Infinity;
  /** @type {string | null} */
  #next = "";
  /** @type {InboxError | null} */
  #error = null;
  /** @type {Promise<void> | null} */
  #loading = null;
  /** @type {readonly Message[] | null} What is shown until the list is loaded anew. */
  #kept = null;

  /**
   * @param {InboxClient} client
   * @param {Store} store
   * @param {Filter} filter
   * @param {number} limit Messages of the first page.
   * @param {() => void} closed
   */
  constructor(client, store, filter, limit, closed) {
    this.#client = client;
    this.#store = store;
    this.#limit = limit;
    this.#closed = closed;
    this.filter = filter;
    this.more();
  }

  get state() {
    return this.#state;
  }

  /** @param {() => void} changed */
  subscribe(changed) {
    this.#subscribers.add(changed);
    return () => void this.#subscribers.delete(changed);
  }

  more() {
    if (this.#next === null) return Promise.resolve();
    this.#loading ??= this.#load().finally(() => (this.#loading = null));
    return this.#loading;
  }

  close() {
    this.#closed();
    this.#subscribers.clear();
  }

  /** What is shown now stays until there is something newer. */
  keep() {
    if (this.#bottom !== Infinity) this.#kept ??= this.#state.items;
  }

  /** @param {Store} [store] Of another user. */
  reload(store) {
    if (store) {
      this.#store = store;
      this.#kept = null;
    }
    this.#bottom = Infinity;
    this.#next = "";
    this.more();
  }

  /** @returns {Promise<void>} */
  async #load() {
    this.#error = null;
    this.#client.changed();
    let store = this.#store;
    try {
      for (;;) {
        store = this.#store;
        const cursor = this.#next;
        const page = await this.#client.requests.send(this.#query(cursor));
        if (store !== this.#store || cursor !== this.#next) continue;
        if (!store.page(page.revision, page.counts, page.data)) continue;
        this.#kept = null;
        this.#next = page.next_cursor;
        const last = page.data.at(-1)?.position ?? Math.min(this.#bottom, page.revision + 1);
        this.#bottom = page.next_cursor ? last : 0;
        break;
      }
    } catch (error) {
      if (store !== this.#store) return this.#load(); // of the former user
      this.#error = this.#client.failed(error);
    }
    this.#client.changed();
  }

  /** @param {string | null} cursor */
  #query(cursor) {
    const limit = cursor ? LARGE : Math.min(LARGE, Math.max(this.#limit, this.#kept?.length ?? 0));
    const query = new URLSearchParams({ limit: String(limit) });
    for (const [name, values] of Object.entries(this.filter)) for (const value of [values ?? []].flat()) query.append(name, value);
    if (cursor) query.set("cursor", cursor);
    return `?${query}`;
  }

  /** Called by the client when something has changed. */
  update() {
    const store = this.#store;
    const items = this.#kept
      ? this.#kept.map((m) => store.shown(store.messages.get(m.id) ?? m)).filter((m) => matches(m, this.filter))
      : store.list(this.filter, this.#bottom);
    const error = this.#error;
    const first = this.#bottom === Infinity && !this.#kept;
    const status = error ? "error" : first ? "loading" : "ready";
    const before = this.#state.items;
    const same = items.length === before.length && items.every((m, n) => m === before[n]);
    this.#state = { items: same ? before : items, status, more: this.#next !== null, error };
    for (const changed of this.#subscribers) changed();
  }
}
