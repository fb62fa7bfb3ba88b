// The live connection as a stream of events by `fetch`, for networks that block WebSockets. Loaded if it is needed.

/**
 * The events of a stream (WHATWG, server-sent events), as far as the API uses them.
 * @param {ReadableStream<Uint8Array>} stream
 * @returns {AsyncGenerator<string>} The data of each; empty for a comment.
 */
export async function* eventsOf(stream) {
  const reader = stream.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      yield block.split(/\r?\n/).flatMap((line) => (line.startsWith("data:") ? [line.slice(5).trimStart()] : [])).join("\n");
    }
  }
}

/**
 * Read a stream to its end.
 * @param {string} url
 * @param {string} token
 * @param {number} since
 * @param {AbortSignal} signal
 * @param {(text: string) => void} hear
 * @returns {Promise<number>} A close code.
 */
export async function read(url, token, since, signal, hear) {
  const headers = {
    accept: "text/event-stream",
    authorization: `Bearer ${token}`,
    ...(since >= 0 && { "last-event-id": String(since) }),
  };
  const reply = await fetch(url, { headers, credentials: "omit", cache: "no-store", signal });
  if (!reply.ok || !reply.body) return { 401: 4401, 403: 4403, 429: 4429, 503: 1013 }[reply.status] ?? 1006;
  for await (const text of eventsOf(reply.body)) hear(text);
  return 1006;
}
