// What the live connection does when it ends, falls silent, or its token runs out; with a socket and a clock of the test's own.

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { Live } from "../src/live.js";
import { Requests, Tokens } from "../src/requests.js";

const COUNTS = { unread: 0, unseen: 0 };

class Socket {
  static all = [];
  sent = [];

  constructor(url) {
    this.url = url;
    Socket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  hear(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
}

/** Everything that is due, and what follows from it. */
async function pass(milliseconds = 0) {
  mock.timers.tick(milliseconds);
  for (let n = 0; n < 20; n++) await Promise.resolve();
}

function token(seconds, id) {
  const claims = { sub: "ada", exp: Date.now() / 1000 + seconds, jti: id };
  return `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;
}

/** A client's connection, and all that it has said. */
function connected(seconds = 600) {
  let given = 0;
  const known = { cursor: 5, frames: [], statuses: [], given: () => given };
  const tokens = new Tokens(() => token(seconds, String(++given)), () => {});
  known.live = new Live(
    new Requests("https://tidings.example.com/", tokens),
    () => known.cursor,
    (frame, from) => known.frames.push([frame.revision, from]),
    (status, reason) => known.statuses.push(reason ? `${status} ${reason}` : status),
  );
  return known;
}

async function live(known) {
  await pass();
  const socket = Socket.all.at(-1);
  socket.onopen();
  socket.hear({ type: "changes", revision: 7, counts: COUNTS, data: [] });
  assert.equal(known.statuses.at(-1), "live");
  return socket;
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.parse("2026-11-30T00:00:00Z") });
  globalThis.WebSocket = Socket;
  Socket.all = [];
});
afterEach(() => mock.timers.reset());

test("the token goes in the first frame, with the revision that is known, and never in the address", async () => {
  const known = connected();
  const socket = await live(known);
  assert.equal(socket.url, "wss://tidings.example.com/v1/inbox/ws");
  const [{ token: sent, ...start }] = socket.sent;
  assert.deepEqual(start, { type: "start", since: 5 });
  assert.equal(sent.split(".").length, 3);
  socket.hear({ type: "changes", revision: 9, counts: COUNTS, data: [] });
  assert.deepEqual(known.frames, [[7, 5], [9, 7]]);
  known.live.stop();
  assert.ok(socket.closed);
});

test("a token is renewed on the same connection a minute before it expires", async () => {
  const known = connected(600);
  const socket = await live(known);
  for (let passed = 0; passed < 525; passed += 25) {
    await pass(25_000);
    socket.hear({ type: "heartbeat" });
  }
  assert.equal(known.given(), 1);
  await pass(20_000);
  assert.equal(known.given(), 2);
  assert.equal(socket.sent.at(-1).type, "token");
  assert.equal(Socket.all.length, 1);
  known.live.stop();
});

test("after a minute of silence it connects again, from what is known", async () => {
  const known = connected();
  const socket = await live(known);
  known.cursor = 7;
  await pass(59_000);
  assert.equal(Socket.all.length, 1);
  await pass(1_500);
  assert.ok(socket.closed);
  assert.equal(known.statuses.at(-1), "offline network");
  await pass(2_000);
  Socket.all[1].onopen();
  assert.equal(Socket.all[1].sent[0].since, 7);
  known.live.stop();
});

test("an expired or revoked token is replaced at once, and if that is refused too it is over", async () => {
  for (const [code, reason] of [[4401, "token"], [4403, "revoked"]]) {
    Socket.all = [];
    const known = connected();
    const socket = await live(known);
    await pass(11_000);
    socket.onclose({ code });
    await pass();
    assert.equal(Socket.all.length, 2);
    assert.equal(known.given(), 2);
    Socket.all[1].onclose({ code });
    await pass();
    assert.equal(known.statuses.at(-1), `closed ${reason}`);
    await pass(60_000);
    assert.equal(Socket.all.length, 2);
  }
});

test("whoever is told to come later does, sooner if the user asks", async () => {
  const known = connected();
  const socket = await live(known);
  socket.onclose({ code: 4429 });
  await pass();
  assert.equal(known.statuses.at(-1), "offline too_many_connections");
  known.live.wake();
  await pass();
  assert.equal(Socket.all.length, 2);
  Socket.all[1].onclose({ code: 1013 });
  await pass();
  assert.equal(known.statuses.at(-1), "offline unavailable");
  await pass(30_200);
  assert.equal(Socket.all.length, 3);
  known.live.stop();
});
