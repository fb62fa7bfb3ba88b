// What a client does when what it has to load can't be loaded at once.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { InboxClient } from "../src/client.js";

const COUNTS = { unread: 1, unseen: 1 };
const MESSAGE = { id: "a", position: 300, revision: 300, title: "Meanwhile", read_at: null, seen_at: null };

class Socket {
  static last;

  constructor() {
    Socket.last = this;
  }

  send() {}
  close() {}

  hear(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
}

async function pass(milliseconds = 0) {
  mock.timers.tick(milliseconds);
  for (let n = 0; n < 50; n++) await Promise.resolve();
  await new Promise(setImmediate);
}

test("what a reset tells to load is loaded later if the service has no time for it", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.WebSocket = Socket;
  const replies = [
    [503, {}],
    [200, { data: [MESSAGE], revision: 300, counts: COUNTS, reset: false }],
    [200, { data: [], revision: 300, counts: COUNTS, reset: false }],
  ];
  const asked = [];
  mock.method(globalThis, "fetch", async (url) => {
    asked.push(url.split("?")[1]);
    const [status, body] = replies.shift();
    return new Response(JSON.stringify(body), { status });
  });
  const client = new InboxClient({ url: "https://tidings.example.com", token: "e30.e30.s", share: false });
  client.start();
  await pass();
  Socket.last.onopen();
  Socket.last.hear({ type: "reset", revision: 7, counts: { unread: 0, unseen: 0 } });
  Socket.last.hear({ type: "reset", revision: 300, counts: COUNTS });
  await pass(3_000);
  assert.deepEqual(asked, ["since=7&limit=100"]);
  assert.equal(client.state.revision, 7);
  await pass(20_000);
  await pass(3_000);
  assert.equal(client.state.revision, 300);
  assert.deepEqual(client.state.counts, COUNTS);
  client.close();
  mock.timers.reset();
  mock.restoreAll();
});
