// Requests to the API with the user's token, which is renewed when it has expired.

/** @import { TokenFunction } from "../index.js" */

const PATIENCE = 20_000;

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
    return JSON.parse(atob(part)); // bytes as letters: claims are compared, not shown
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
    let timer;
    try {
      const late = new Promise((_, reject) => (timer = setTimeout(reject, PATIENCE, "timeout")));
      token = await Promise.race([this.#give({ refresh }), late]);
    } catch (error) {
      throw new InboxError(0, "token", String(error));
    } finally {
      clearTimeout(timer);
    }
    if (!/^[\w.-]+$/.test(token || "")) throw new InboxError(token ? 0 : 401, "token", "no token"); // 0: an error page, e.g.
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
    let { user } = this.tokens; // whose inbox it is about
    const same = () => {
      if (user && user !== this.tokens.user) throw new InboxError(0, "network", "user");
    };
    const token = await this.tokens.get();
    same();
    user = this.tokens.user;
    let reply = await this.#once(path, body, token);
    if (reply.status === 401) {
      const next = await this.tokens.get(token);
      same();
      if (next !== token) reply = await this.#once(path, body, next);
    }
    const data = reply.ok && (await reply.json());
    same();
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
        signal: AbortSignal.timeout(PATIENCE),
      });
    } catch (error) {
      throw new InboxError(0, "network", String(error));
    }
  }
}
