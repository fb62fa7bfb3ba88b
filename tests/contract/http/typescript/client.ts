// A caller of the API with the types that openapi-typescript makes of its document: it submits, lists, is refused, starts a job, and
// as an end user reads an inbox.
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

declare const process: { env: { API_URL: string; API_KEY: string; USER_TOKEN: string } };

type Problem = components["schemas"]["Problem"];
type Page = paths["/v1/notifications"]["get"]["responses"][200]["content"]["application/json"];

const client = createClient<paths>({
  baseUrl: process.env.API_URL,
  headers: { Authorization: `Bearer ${process.env.API_KEY}` },
});

function value<Data>(result: { data?: Data; error?: Problem }): Data {
  if (result.data === undefined) throw new Error(result.error?.detail ?? "no reply");
  return result.data;
}

async function submit(subject: string): Promise<string> {
  const accepted = value(
    await client.POST("/v1/notifications", {
      params: { header: { "Idempotency-Key": subject } },
      body: { channel: "email", recipient: "jane@example.com", subject, body: "Hello." },
    }),
  );
  if (!("id" in accepted)) throw new Error("it has one recipient");
  return accepted.id;
}

async function listed(): Promise<string[]> {
  const ids: string[] = [];
  let cursor: string | null = null;
  do {
    const query: { limit: number; channel: string[]; cursor?: string } = { limit: 2, channel: ["email"] };
    if (cursor !== null) query.cursor = cursor;
    const page: Page = value(
      await client.GET("/v1/notifications", { params: { query } }),
    );
    ids.push(...page.data.map((notification) => notification.id));
    cursor = page.next_cursor;
  } while (cursor !== null);
  return ids;
}

async function refused(): Promise<Problem> {
  const { error } = await client.POST("/v1/notifications", {
    body: { channel: "sms", recipient: "nobody", body: "Hello." },
  });
  if (error === undefined) throw new Error("this is no number");
  return error;
}

async function started(): Promise<components["schemas"]["JobReply"]> {
  const { id, item_count } = value(
    await client.POST("/v1/jobs", {
      body: { kind: "cancel", notifications: { channel: "email" }, note: "a test" },
    }),
  );
  if (item_count === 0) throw new Error("there is nothing to cancel");
  return value(await client.POST("/v1/jobs/{id}/start", { params: { path: { id } } }));
}

async function read(): Promise<{ titles: (string | null)[]; unread: number; changed: number }> {
  const user = createClient<paths>({
    baseUrl: process.env.API_URL,
    headers: { Authorization: `Bearer ${process.env.USER_TOKEN}` },
  });
  const query = { unread: true, type: ["message"] };
  const inbox = value(await user.GET("/v1/inbox", { params: { query } }));
  const marked = value(
    await user.POST("/v1/inbox/read", { body: { up_to: inbox.revision, filter: { type: ["message"] } } }),
  );
  const changes = value(await user.GET("/v1/inbox", { params: { query: { since: inbox.revision } } }));
  if (changes.revision !== marked.revision) throw new Error("a change is missing");
  return {
    titles: inbox.data.map((message) => message.title),
    unread: marked.counts.unread,
    changed: marked.changed,
  };
}

const submitted = [await submit("one"), await submit("two"), await submit("three")];
const problem = await refused();
const job = await started();
console.log(
  JSON.stringify({
    submitted,
    listed: await listed(),
    faults: problem.errors?.map((fault) => fault.pointer),
    job: { state: job.state, items: job.item_count },
    inbox: await read(),
  }),
);
