// Links, tokens, pauses, events and texts.

import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mock, test } from "node:test";

import { linkOf } from "../src/dom.js";
import { pauseBefore } from "../src/live.js";
import { claimsOf, Requests, Tokens, userOf } from "../src/requests.js";
import { Sharing } from "../src/sharing.js";
import { eventsOf } from "../src/stream.js";
import english from "../src/texts.en.js";
import { wordingIn } from "../src/texts.js";

const BASE = "https://shop.example.com/orders";

function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part(claims)}.signature`;
}

test("only http, https and paths of this origin become links", () => {
  for (const url of ["https://example.com/a", "http://example.com", "HTTPS://example.com"]) assert.ok(linkOf(url, BASE), url);
  assert.equal(linkOf("/orders/1?a=b#c", BASE), "https://shop.example.com/orders/1?a=b#c");
  const others = [
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "//evil.example",
    "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n\\evil.example", "vbscript:x", "blob:https://a/b", "ftp://a", "a/b", "", null, 7, {},
  ];
  for (const url of others) assert.equal(linkOf(url, BASE), null, String(url));
});

test("a token is the same user's if all that names the user is the same", () => {
  const ada = { sub: "ada", tenant: "one", iss: "i", exp: 1, iat: 1, jti: "x" };
  assert.equal(userOf(token(ada)), userOf(token({ ...ada, exp: 2, iat: 3, jti: "y" })));
  assert.notEqual(userOf(token(ada)), userOf(token({ ...ada, tenant: "two" })));
  assert.notEqual(userOf(token(ada)), userOf(token({ ...ada, org: "two" })));
  assert.equal(userOf(token({ sub: "Zoë" })), userOf(token({ sub: "Zoë", exp: 1 })));
  assert.notEqual(userOf(token({ sub: "Zoë" })), userOf(token({ sub: "Zoé" })));
  assert.equal(claimsOf(token({ sub: "名", exp: 7 })).exp, 7);
  assert.deepEqual(claimsOf("no token"), {});
});

test("a token is asked for once, again if it was refused, and another user's is noticed", async () => {
  const given = [];
  let next = token({ sub: "ada", jti: "1" });
  let others = 0;
  const tokens = new Tokens(async (how) => (given.push(how.refresh), next), () => others++);
  const [first, second] = await Promise.all([tokens.get(), tokens.get()]);
  assert.equal(first, second);
  assert.deepEqual(given, [false]);
  next = token({ sub: "ada", jti: "2" });
  assert.equal(await tokens.get(first), next);
  assert.deepEqual([given, others], [[false, true], 0]);
  next = token({ sub: "bob" });
  await tokens.get(await tokens.get());
  assert.equal(others, 1);
});

test("a token that does not come, or is an error page, is asked for again later", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const temporary = (error) => error.temporary && error.code === "token";
  const hangs = assert.rejects(new Tokens(() => new Promise(() => {}), () => {}).get(), temporary);
  mock.timers.tick(20_000);
  await hangs;
  await assert.rejects(new Tokens(() => "<!doctype html>\n502 Bad Gateway", () => {}).get(), temporary);
  await assert.rejects(new Tokens(() => { throw new Error("no network"); }, () => {}).get(), temporary);
  await assert.rejects(new Tokens(() => "", () => {}).get(), (error) => !error.temporary);
  mock.timers.reset();
});

test("what a user did is never sent with the token of another who signed in meanwhile", async () => {
  const given = [token({ sub: "ada" }), token({ sub: "bob" })];
  const sent = [];
  mock.method(globalThis, "fetch", async (_, { headers }) => {
    sent.push(claimsOf(headers.authorization.slice(7)).sub);
    return new Response("{}", { status: 401 });
  });
  const requests = new Requests("https://tidings.example.com", new Tokens(() => given.shift(), () => {}));
  await assert.rejects(requests.send("/read", { up_to: 7 }));
  assert.deepEqual(sent, ["ada"]);
  mock.restoreAll();
});

test("where the browser denies locks or channels, a tab leads itself", async () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  const denied = () => Promise.reject(new DOMException("denied", "SecurityError"));
  Object.defineProperty(globalThis, "navigator", { value: { locks: { request: mock.fn(denied) } }, configurable: true });
  let leading = 0;
  const lead = () => (leading++, () => leading--);
  const sharing = new Sharing("ada", lead, () => {});
  await new Promise(setImmediate);
  assert.equal(navigator.locks.request.mock.callCount(), 1);
  assert.equal(leading, 1);
  sharing.close();
  assert.equal(leading, 0);
  mock.method(globalThis, "BroadcastChannel", function () {
    throw new DOMException("denied", "SecurityError");
  });
  new Sharing("ada", lead, () => {});
  assert.equal(leading, 1);
  mock.restoreAll();
  if (own) Object.defineProperty(globalThis, "navigator", own);
  else delete globalThis.navigator;
});

test("pauses double, are spread, and have an end", () => {
  assert.equal(pauseBefore(0, 0), 100);
  assert.equal(pauseBefore(3, 1), 8100);
  assert.equal(pauseBefore(50, 1), 30_100);
  const many = Array.from({ length: 1000 }, () => pauseBefore(4));
  assert.ok(Math.max(...many) > 14_000 && Math.min(...many) < 2_000);
});

test("a stream is read event by event, however it is cut", async () => {
  const text = 'event: changes\nid: 7\ndata: {"type":"changes"}\n\n: heartbeat\n\nevent: close\r\ndata: {"a":\r\ndata: 1}\r\n\r\n';
  for (const size of [1, 3, 1000]) {
    const bytes = new TextEncoder().encode(text);
    const stream = new ReadableStream({
      start(controller) {
        for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
        controller.close();
      },
    });
    const found = [];
    for await (const data of eventsOf(stream)) found.push(data);
    assert.deepEqual(found, ['{"type":"changes"}', "", '{"a":\n1}'], String(size));
  }
});

test("every language says everything, with the same parts and all its plural forms", async () => {
  const parts = (text) => [...new Set(JSON.stringify(text).match(/\{(n|title|time)\}/g))];
  for (const file of readdirSync(new URL("../src", import.meta.url))) {
    const language = /^texts\.(..)\.js$/.exec(file)?.[1];
    if (!language) continue;
    const { default: texts } = await import(`../src/${file}`);
    assert.deepEqual(Object.keys(texts).sort(), Object.keys(english).sort(), language);
    for (const [name, text] of Object.entries(texts)) {
      for (const part of parts(text)) assert.ok(parts(english[name]).includes(part), `${language} ${name}`);
      if (typeof text === "string") continue;
      const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
      const wording = await wordingIn(language, {});
      for (const n of [0, 1, 2, 3, 11, 100]) assert.ok(wording.say(name, { n, title: "x" }), `${language} ${name} ${n} ${forms}`);
    }
  }
});

test("texts and times are in the language of the page, or in English", async () => {
  const now = Date.parse("2026-11-30T12:00:00Z");
  const german = await wordingIn("de-AT", {});
  assert.equal(german.say("all"), "Alle");
  assert.equal(german.when("2026-11-30T11:55:00Z", now), "vor 5 Min.");
  assert.equal(german.when("2026-11-30T12:05:00Z", now), "jetzt", "the user's clock is slow");
  assert.equal((await wordingIn("tlh", {})).say("all"), "All");
  assert.equal((await wordingIn("en", { all: "Everything" })).say("all"), "Everything");
  const english = await wordingIn("en-GB", {});
  assert.equal(english.when("2025-01-05T12:00:00Z", now), "5 Jan 2025");
  assert.equal(english.say("arrived", { n: 1, title: "{n} & <b>" }), "New notification: {n} & <b>");
});
