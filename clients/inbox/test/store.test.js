// Whatever the order in which replies and live frames arrive, the store ends with the server's state.

import assert from "node:assert/strict";
import { test } from "node:test";

import { isUnread, isUnseen, matches, Store } from "../src/store.js";

const TIME = "2026-11-30T00:00:00Z";

function message(id, position, more = {}) {
  return {
    id, position, revision: position, title: `Title ${id}`, body: null, category: "default", type: "message", severity: "info",
    data: null, action_url: null, actions: [], entity: null, created_at: TIME, expires_at: null, seen_at: null, read_at: null,
    archived_at: null, snoozed_until: null, acted_at: null, action: null, deleted_at: null, ...more,
  };
}

/** A server with the rules of the real one: every change of a message has the next revision. */
class Server {
  revision = 0;
  messages = new Map();

  change(id, change) {
    this.revision += 1;
    const known = this.messages.get(id) ?? message(id, this.revision);
    this.messages.set(id, { ...known, ...change, revision: this.revision });
  }

  get counts() {
    const all = [...this.messages.values()];
    return { unread: all.filter(isUnread).length, unseen: all.filter(isUnseen).length };
  }

  since(from) {
    const data = [...this.messages.values()].filter((m) => m.revision > from).sort((a, b) => a.revision - b.revision);
    return { from, revision: this.revision, counts: this.counts, data };
  }

  list(filter = {}) {
    const data = [...this.messages.values()].filter((m) => matches(m, filter)).sort((a, b) => b.position - a.position);
    return { revision: this.revision, counts: this.counts, data };
  }
}

function opened(server) {
  const store = new Store();
  const { revision, counts, data } = server.list();
  store.page(revision, counts, data);
  return store;
}

const mark = (kind, which) => ({ kind, at: TIME, ...which });
const ids = (store, filter = {}) => store.list(filter, 0).map((m) => m.id);

test("a mark shows at once, and its reply may come before or after the live frame", () => {
  for (const order of ["reply first", "frame first"]) {
    const server = new Server();
    for (const id of ["a", "b", "c"]) server.change(id, {});
    const store = opened(server);
    const read = mark("read", { ids: new Set(["b"]) });
    store.marks.push(read);
    assert.deepEqual(store.counts, { unread: 2, unseen: 2 }, order);
    assert.deepEqual(ids(store, { unread: true }), ["c", "a"]);

    const from = store.cursor;
    server.change("b", { read_at: TIME, seen_at: TIME });
    const steps = [
      () => store.made(read, server.revision, server.counts),
      () => store.changes(from, server.revision, server.counts, server.since(from).data),
    ];
    for (const step of order === "reply first" ? steps : steps.reverse()) {
      step();
      assert.deepEqual(store.counts, { unread: 2, unseen: 2 }, order);
      assert.deepEqual(ids(store, { unread: true }), ["c", "a"], order);
    }
    assert.deepEqual(store.marks, []);
  }
});

test("a mark that is refused leaves nothing behind", () => {
  const server = new Server();
  server.change("a", {});
  const store = opened(server);
  const archive = mark("archive", { ids: new Set(["a"]) });
  store.marks.push(archive);
  assert.deepEqual(ids(store), []);
  assert.deepEqual(store.counts, { unread: 0, unseen: 0 });
  store.undo(archive);
  assert.deepEqual(ids(store), ["a"]);
  assert.deepEqual(store.counts, { unread: 1, unseen: 1 });
});

test("what is older than what is known changes nothing", () => {
  const server = new Server();
  server.change("a", {});
  const late = server.list();
  const store = opened(server);
  server.change("a", { read_at: TIME });
  const { from, revision, counts, data } = server.since(store.cursor);
  store.changes(from, revision, counts, data);
  assert.equal(store.page(late.revision, late.counts, late.data), true);
  assert.deepEqual(store.counts, { unread: 0, unseen: 0 });
  assert.deepEqual(ids(store, { unread: true }), []);
});

test("changes after a gap are not taken, and none is said to be known that is not", () => {
  const server = new Server();
  server.change("a", {});
  const store = opened(server);
  server.change("b", {});
  const missed = server.revision;
  server.change("c", {});
  assert.equal(store.changes(missed, server.revision, server.counts, server.since(missed).data), null);
  assert.equal(store.cursor, 1);
  const { from, revision, counts, data } = server.since(store.cursor);
  assert.deepEqual(store.changes(from, revision, counts, data)?.map((m) => m.id), ["b", "c"]);
  assert.deepEqual(ids(store), ["c", "b", "a"]);
});

test("a list that was read before a reset is not shown after it", () => {
  const server = new Server();
  server.change("a", {});
  const { revision, counts, data } = server.list();
  const store = new Store();
  store.reset(7, { unread: 0, unseen: 0 });
  assert.equal(store.page(revision, counts, data), false);
  assert.deepEqual(ids(store), []);
});

test("reading all counts what has arrived since, and what was never loaded", () => {
  const store = new Store();
  store.page(50, { unread: 40, unseen: 10 }, [message("a", 49), message("b", 50)]);
  store.changes(50, 51, { unread: 41, unseen: 11 }, [message("c", 51)]);
  store.marks.push(mark("read", { upTo: 50, filter: {} }));
  assert.deepEqual(store.counts, { unread: 1, unseen: 1 });
  assert.deepEqual(ids(store, { unread: true }), ["c"]);
});

test("a snooze that has ended puts its message on top", () => {
  const server = new Server();
  for (const id of ["a", "b"]) server.change(id, {});
  server.change("a", { snoozed_until: TIME });
  const store = opened(server);
  assert.deepEqual(ids(store), ["b"]);
  server.change("a", { snoozed_until: null, position: server.revision + 1 });
  const { from, revision, counts, data } = server.since(store.cursor);
  store.changes(from, revision, counts, data);
  assert.deepEqual(ids(store), ["a", "b"]);
});

test("thousands of random changes, marks, losses and swaps end with the server's state", () => {
  let seed = 20261130;
  const random = (n) => ((seed = (seed * 1103515245 + 12345) % 2147483648) >> 8) % n;
  const changes = {
    read: { read_at: TIME, seen_at: TIME }, unread: { read_at: null }, archive: { archived_at: TIME, snoozed_until: null },
    unarchive: { archived_at: null }, delete: { deleted_at: TIME },
  };
  for (let run = 0; run < 60; run++) {
    const server = new Server();
    for (let n = 0; n < 5; n++) server.change(`m${n}`, {});
    const store = opened(server);
    let reached = store.cursor; // of the live connection
    const replies = [];
    for (let step = 0; step < 60; step++) {
      const id = `m${random(12)}`;
      const kind = Object.keys(changes)[random(5)];
      const known = server.messages.get(id);
      if (random(4) === 0 && !known) server.change(id, {});
      else if (random(3) === 0 && known && !known.deleted_at) {
        const made = mark(kind, { ids: new Set([id]) });
        store.marks.push(made);
        if (random(8) === 0) replies.push(() => store.undo(made));
        else {
          server.change(id, changes[kind]);
          const { revision, counts } = server;
          replies.push(() => store.made(made, revision, counts));
        }
      } else if (known && !known.deleted_at) server.change(id, changes[kind]);
      if (replies.length && random(2)) replies.splice(random(replies.length), 1)[0]();
      if (random(3) === 0) {
        const frame = server.since(reached);
        reached = frame.revision;
        if (random(6)) store.changes(frame.from, frame.revision, frame.counts, frame.data);
      }
      if (random(9) === 0) reached = store.cursor; // it connects again
      const page = server.list();
      if (random(7) === 0) replies.push(() => store.page(page.revision, page.counts, page.data));
    }
    for (const reply of replies) reply();
    const { from, revision, counts, data } = server.since(store.cursor);
    store.changes(from, revision, counts, data);
    for (const filter of [{}, { unread: true }, { archived: true }]) {
      assert.deepEqual(ids(store, filter), server.list(filter).data.map((m) => m.id), `run ${run}`);
    }
    assert.deepEqual(store.counts, server.counts, `run ${run}`);
    assert.deepEqual(store.marks, [], `run ${run}`);
  }
});
