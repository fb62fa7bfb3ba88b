// Requests to the API with the user's token, which is renewed when it has expired.

/** @import { TokenFunction } from "../index.js" */

/** What the API refused, or why it could not be asked. */
export class InboxError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} detail
   * @param {number} [after] Seconds after which to try again.
   */
  constructor(status, code, detail, after = 0) {
    super(detail);
    this.name = "InboxError";
    this.status = status;
    this.code = code;
    this.after = after;
  }

  get temporary() {
    return !this.status || this.status === 429 || this.status >= 500;
  }
}

/**
 * The claims of a token; none if it can't be read. Only the server decides whether it is valid.
 * @param {string} token
 * @returns {Record<string, unknown>}
 */
export function claimsOf(token) {
  try {
    const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
  } catch {
    return {};
  }
}

/**
 * Whose token it is: all claims but those that usually differ between tokens of the same user. Which claim names the
 * tenant is the server's to know.
 * @param {string} token
 */
export function userOf(token) {
  const { exp, iat, nbf, jti, sid, auth_time, nonce, at_hash, ...who } = claimsOf(token);
  return JSON.stringify(Object.entries(who).sort());
}

/** The token of the moment. */
export class Tokens {
  #give;
  #last = "";
  /** @type {Promise<string> | null} */
  #asking = null;
  /** Whose it is, once it is known. */
  user = "";
  #changed;

  /**
   * @param {string | TokenFunction} give
   * @param {() => void} changed Called when it is another user's from now on.
   */
  constructor(give, changed) {
    this.#give = typeof give === "string" ? () => give : give;
    this.#changed = changed;
  }

  /** @param {string} [refused] The token that is of no use any more. */
  get(refused) {
    if (this.#last && this.#last !== refused) return Promise.resolve(this.#last);
    this.#asking ??= this.#ask(!!refused).finally(() => (this.#asking = null));
    return this.#asking;
  }

  /** @param {boolean} refresh */
  async #ask(refresh) {
    let token;
    try {
      token = await this.#give({ refresh });
    } catch (error) {
      throw new InboxError(0, "token", `no token: ${error}`);
    }
    if (typeof token !== "string" || !token) throw new InboxError(401, "token", "no token");
    this.#last = token;
    const user = userOf(token);
    if (this.user !== user) {
      const known = this.user;
      this.user = user;
      if (known) this.#changed();
    }
    return token;
  }
}

export class Requests {
  /**
   * @param {string} url
   * @param {Tokens} tokens
   */
  constructor(url, tokens) {
    this.url = url.replace(/\/+$/, "");
    this.tokens = tokens;
  }

  /**
   * The JSON of a reply.
   * @param {string} path Below `/v1/inbox`.
   * @param {object} [body] With it, it is a POST.
   * @returns {Promise<any>}
   */
  async send(path, body) {
    let token = await this.tokens.get();
    let reply = await this.#once(path, body, token);
    if (reply.status === 401) {
      const next = await this.tokens.get(token);
      if (next !== token) reply = await this.#once(path, body, (token = next));
    }
    const data = reply.ok && (await reply.json());
    if (userOf(token) !== this.tokens.user) throw new InboxError(0, "network", "other user");
    if (data) return data;
    const problem = await reply.json().catch(() => ({}));
    const code = String(problem.type ?? reply.status).split(":").pop() ?? "";
    throw new InboxError(
      reply.status,
      code,
      problem.detail ?? reply.statusText,
      Number(reply.headers.get("retry-after")) || 0,
    );
  }

  /**
   * @param {string} path
   * @param {object | undefined} body
   * @param {string} token
   */
  async #once(path, body, token) {
    const headers = { authorization: `Bearer ${token}`, ...(body && { "content-type": "application/json" }) };
    try {
      return await fetch(`${this.url}/v1/inbox${path}`, {
        method: body ? "POST" : "GET",
        headers,
        body: body && JSON.stringify(body),
        credentials: "omit",
        cache: "no-store",
        keepalive: !!body, // a mark is made even if the page goes away
        signal: AbortSignal.timeout(20_000),
      });
    } catch (error) {
      throw new InboxError(0, "network", String(error));
    }
  }
}
