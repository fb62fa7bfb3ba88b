// One user's inbox, without a face: live, shared by tabs, and always as the server has it.

/**
 * @import { ClientOptions, ClientState, Filter, Message, Reason, Status, Target } from "../index.js"
 * @import { Frame } from "./live.js"
 * @import { Kind, Mark } from "./store.js"
 * @import * as Published from "../index.js"
 */

import { Feed } from "./feed.js";
import { Live, pause, pauseBefore } from "./live.js";
import { InboxError, Requests, Tokens } from "./requests.js";
import { Sharing } from "./sharing.js";
import { Store } from "./store.js";

export { Feed, InboxError };

const PATIENCE = 3000; // for a live frame, after which the change log is read
const ATTEMPTS = 8;
const MOST = 100; // ids of a request
const FAR = 1000; // revisions behind, from which on lists are loaded anew
const LEADER_SILENT = 75_000;

/**
 * A filter as a body has it: with lists.
 * @param {Filter} [filter]
 */
const listed = (filter = {}) => {
  /** @type {Record<string, unknown>} */
  const made = { ...filter };
  for (const name of ["category", "type", "severity"]) if (made[name]) made[name] = [made[name]].flat();
  return made;
};

/** @implements {Published.InboxClient} */
export class InboxClient {
  /** @type {ClientState} */
  #state = { status: "connecting", reason: null, counts: { unread: 0, unseen: 0 }, revision: -1 };
  /** @type {Status} */
  #status = "connecting";
  /** @type {Reason} */
  #reason = null;
  #store = new Store();
  /** @type {Set<Feed>} */
  #feeds = new Set();
  /** @type {Set<() => void>} */
  #subscribers = new Set();
  /** @type {Map<string, Set<(detail: any) => void>>} */
  #listeners = new Map();
  #told = false;
  #share;
  /** @type {Sharing | null} */
  #sharing = null;
  /** @type {Live | null} */
  #live = null;
  #started = false;
  #ended = new AbortController();
  /** The highest revision that was heard of. */
  #head = -1;
  /** @type {Promise<void> | null} */
  #catching = null;
  /** @type {Promise<unknown>} */
  #sent = Promise.resolve();
  /** @type {() => void} */
  #wake = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #silence;

  /** @param {ClientOptions} options */
  constructor({ url, token, share = true }) {
    this.requests = new Requests(url, new Tokens(token, () => this.#otherUser()));
    this.#share = share;
  }

  get state() {
    return this.#state;
  }

  start() {
    if (this.#started || this.#status === "closed") return;
    this.#started = true;
    const { signal } = this.#ended;
    globalThis.addEventListener?.("online", () => this.retry(), { signal });
    globalThis.addEventListener?.("offline", () => this.#live?.lost(), { signal });
    const visible = () => !document.hidden && this.#status === "offline" && this.retry();
    globalThis.document?.addEventListener("visibilitychange", visible, { signal });
    this.#join();
  }

  close() {
    this.#end("ended");
  }

  retry() {
    this.#wake();
    this.#live?.wake();
    this.#sharing?.say({ type: "wake" });
    for (const feed of this.#feeds) if (feed.state.status === "error") feed.more();
    if (this.#head > this.#store.cursor) this.#catchUp();
  }

  /** @param {() => void} changed */
  subscribe(changed) {
    this.#subscribers.add(changed);
    return () => void this.#subscribers.delete(changed);
  }

  /**
   * @param {string} event
   * @param {(detail: any) => void} heard
   */
  on(event, heard) {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(heard));
    return () => void listeners.delete(heard);
  }

  /**
   * @param {Filter} [filter]
   * @param {{ limit?: number }} [options]
   */
  feed(filter = {}, { limit = 30 } = {}) {
    this.start();
    const feed = new Feed(this, this.#store, filter, limit, () => this.#feeds.delete(feed));
    this.#feeds.add(feed);
    return feed;
  }

  /** @param {string} id */
  get(id) {
    const known = this.#store.messages.get(id);
    const message = known && this.#store.shown(known);
    return message?.deleted_at ? undefined : message;
  }

  /** @param {readonly Filter[]} filters */
  async count(filters) {
    return (await this.requests.send("/counts", { filters: filters.map(listed) })).counts;
  }

  /** @param {Target} target */
  read(target) {
    return this.#mark("read", target);
  }
  /** @param {Target} target */
  unread(target) {
    return this.#mark("unread", target);
  }
  /** @param {Target} target */
  seen(target) {
    return this.#mark("seen", target);
  }
  /** @param {Target} target */
  archive(target) {
    return this.#mark("archive", target);
  }
  /** @param {Target} target */
  unarchive(target) {
    return this.#mark("unarchive", target);
  }
  /**
   * @param {Target} target
   * @param {Date} until
   */
  snooze(target, until) {
    return this.#mark("snooze", target, { until: until.toISOString() });
  }
  /** @param {Target} target */
  unsnooze(target) {
    return this.#mark("unsnooze", target);
  }
  /**
   * @param {Target} target
   * @param {string} action
   */
  act(target, action) {
    return this.#mark("act", target, { action });
  }
  /** @param {Target} target */
  delete(target) {
    return this.#mark("delete", target);
  }

  /**
   * @param {Kind} kind
   * @param {Target} target
   * @param {{ until?: string, action?: string }} [more]
   */
  async #mark(kind, target, more = {}) {
    this.start();
    const all = typeof target === "object" && "upTo" in target ? target : null;
    const ids = all ? [] : /** @type {string[]} */ ([target].flat());
    const parts = all ? [ids] : Array.from({ length: Math.ceil(ids.length / MOST) }, (_, n) => ids.slice(n * MOST, (n + 1) * MOST));
    const at = new Date().toISOString();
    await Promise.all(
      parts.map((part) => {
        /** @type {Mark} */
        const mark = { kind, at, ...more, ...(all ?? { ids: new Set(part) }) };
        const body = all ? { up_to: all.upTo, filter: listed(all.filter) } : { ids: part };
        this.#store.marks.push(mark);
        const sent = this.#sent.then(() => this.#send(mark, { ...body, ...more }));
        this.#sent = sent.catch(() => {}); // in the order in which they were made
        this.changed();
        return sent;
      }),
    );
  }

  /**
   * @param {Mark} mark
   * @param {object} body
   */
  async #send(mark, body) {
    for (let attempt = 0; this.#store.marks.includes(mark); attempt++) {
      try {
        const { revision, counts } = await this.requests.send(`/${mark.kind}`, body);
        this.#store.made(mark, revision, counts);
        this.changed();
        this.#follow(revision);
        return;
      } catch (error) {
        const failure = this.failed(error);
        if (!failure.temporary || attempt === ATTEMPTS || this.#status === "closed") {
          this.#store.undo(mark);
          this.changed();
          this.tell("refused", failure);
          throw failure;
        }
        await pause(failure.after * 1000 || pauseBefore(attempt), (wake) => (this.#wake = wake));
      }
    }
  }

  /**
   * See to it that everything up to a revision becomes known.
   * @param {number} revision
   */
  #follow(revision) {
    this.#head = Math.max(this.#head, revision);
    if (this.#head <= this.#store.cursor || this.#status === "closed") return;
    if (this.#status !== "live" || this.#store.cursor < 0) this.#catchUp();
    else setTimeout(() => this.#head > this.#store.cursor && this.#catchUp(), PATIENCE);
  }

  #catchUp() {
    this.#catching ??= this.#readLog()
      .catch((error) => {
        const failure = this.failed(error);
        if (failure.temporary) setTimeout(() => this.#follow(0), failure.after * 1000 || pauseBefore(4));
      })
      .then(() => void (this.#catching = null));
  }

  async #readLog() {
    const store = this.#store;
    for (;;) {
      const since = store.cursor;
      const reply = await this.requests.send(since < 0 ? "?limit=1" : `?since=${since}&limit=${MOST}`);
      if (store !== this.#store) return;
      if (since < 0) {
        store.page(reply.revision, reply.counts, reply.data);
        return this.changed();
      }
      if (reply.reset) {
        if (store.cursor === since) this.#reset(reply.revision, reply.counts);
        return;
      }
      this.#arrived(store.changes(since, reply.revision, reply.counts, reply.data));
      if (!reply.data.length) return;
    }
  }

  /**
   * @param {Frame} frame
   * @param {number} from
   */
  #frame(frame, from) {
    const { revision, counts } = frame;
    this.#sharing?.say({ type: "frame", frame, from });
    if (frame.type === "changes") this.#apply(frame, from);
    else if (this.#store.cursor < 0 || (from >= 0 && (revision < from || revision > from + FAR))) this.#reset(revision, counts);
    else this.#follow(revision); // lists stay as they are
  }

  /**
   * @param {Extract<Frame, { type: "changes" }>} frame
   * @param {number} from
   */
  #apply({ revision, counts, data }, from) {
    this.#head = Math.max(this.#head, revision);
    const arrived = this.#store.changes(from, revision, counts, data);
    if (arrived) this.#arrived(arrived);
    else this.#catchUp();
  }

  /** @param {Message[] | null} messages */
  #arrived(messages) {
    this.changed();
    if (messages?.length) this.tell("message", messages);
  }

  /**
   * @param {number} revision
   * @param {{ unread: number, unseen: number }} counts
   */
  #reset(revision, counts) {
    this.#head = revision;
    for (const feed of this.#feeds) feed.keep();
    this.#store.reset(revision, counts);
    for (const feed of this.#feeds) feed.reload();
    this.changed();
  }

  async #join() {
    try {
      await this.requests.tokens.get();
    } catch {} // the connection asks again, and says so
    if (this.#status === "closed" || this.#sharing) return;
    const { user } = this.requests.tokens;
    const name = this.#share && user ? `tidings-inbox ${this.requests.url} ${user}` : "";
    this.#sharing = new Sharing(name, () => this.#lead(), (word) => this.#heard(word));
    if (!this.#live) {
      this.#sharing.say({ type: "hello" });
      this.#watch();
    }
  }

  #lead() {
    clearTimeout(this.#silence);
    const live = new Live(
      this.requests,
      () => this.#store.cursor,
      (frame, from) => this.#frame(frame, from),
      (status, reason) => {
        if (status === "closed") return this.#end(reason);
        this.#became(status, reason);
        this.#announce();
      },
    );
    this.#live = live;
    return () => {
      live.stop();
      if (this.#live === live) this.#live = null;
    };
  }

  /** Tell the other tabs how the connection is. */
  #announce() {
    this.#sharing?.say({ type: "status", status: this.#status, reason: this.#reason, revision: this.#store.cursor });
  }

  /** @param {any} word What another tab has said. */
  #heard(word) {
    if (this.#live) {
      if (word.type === "hello") this.#announce();
      if (word.type === "wake") this.#live.wake();
      return;
    }
    this.#watch();
    if (word.type === "status") {
      this.#became(word.status, word.reason);
      this.#follow(word.revision);
    } else if (word.type === "frame") {
      if (word.frame.type === "changes") this.#apply(word.frame, word.from);
      else if (word.frame.revision !== this.#store.cursor) this.#catchUp();
    }
  }

  /** If nothing is heard of who leads, lead. */
  #watch() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#sharing?.take(), LEADER_SILENT);
  }

  /**
   * @param {Status} status
   * @param {Reason} reason
   */
  #became(status, reason) {
    if (this.#status === "closed") return;
    const before = this.#status;
    this.#status = status;
    this.#reason = reason;
    this.changed();
    if (status !== "live" || before === "live") return;
    this.#wake();
    for (const feed of this.#feeds) if (feed.state.status === "error") feed.more();
  }

  /** @param {Reason} reason */
  #end(reason) {
    if (this.#status === "closed") return;
    this.#became("closed", reason);
    this.#leave();
    this.#ended.abort();
    this.#wake();
  }

  #leave() {
    clearTimeout(this.#silence);
    this.#sharing?.close();
    this.#sharing = this.#live = null;
  }

  /** The application's token names somebody else: nothing of the former user may stay. */
  #otherUser() {
    this.#leave();
    this.#store = new Store();
    this.#head = -1;
    for (const feed of this.#feeds) feed.reload(this.#store);
    this.#became("connecting", null);
    if (this.#started) this.#join();
  }

  /** Something changed: everybody is told once, soon. */
  changed() {
    if (this.#told) return;
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      const { counts, cursor: revision } = this.#store;
      this.#state = { status: this.#status, reason: this.#reason, counts, revision };
      for (const feed of this.#feeds) feed.update();
      for (const changed of this.#subscribers) changed();
    });
  }

  /**
   * @param {string} event
   * @param {unknown} detail
   */
  tell(event, detail) {
    for (const heard of this.#listeners.get(event) ?? []) heard(detail);
  }

  /**
   * @param {unknown} error
   * @returns {InboxError}
   */
  failed(error) {
    const failure = error instanceof InboxError ? error : new InboxError(500, "internal", String(error));
    this.tell("error", failure);
    return failure;
  }
}
