// Tabs of the same user share one connection: one leads and tells the others what it hears.

/** Only one of a name leads at a time, the next when it has gone. Without locks or channels every tab leads itself. */
export class Sharing {
  /** @type {BroadcastChannel | undefined} */
  #channel;
  #abort = new AbortController();
  #end = () => {};

  /**
   * @param {string} name
   * @param {() => () => void} lead Called to lead; returns what ends that.
   * @param {(word: any) => void} heard Called with what another tab has said.
   */
  constructor(name, lead, heard) {
    try {
      if (name && globalThis.navigator?.locks) this.#channel = new BroadcastChannel(name);
    } catch {} // the browser keeps the page from other tabs
    if (!this.#channel) {
      this.#end = lead();
      return;
    }
    this.#channel.onmessage = (event) => heard(event.data);
    this.#request(name, lead, {});
    this.take = () => this.#request(name, lead, { steal: true });
  }

  /** Lead instead of a tab that has fallen silent. */
  take = () => {};

  /**
   * @param {string} name
   * @param {() => () => void} lead
   * @param {LockOptions} how
   */
  #request(name, lead, how) {
    const leading = () =>
      new Promise((done) => {
        if (this.#abort.signal.aborted) return done(null);
        const stop = lead();
        this.#end = () => (stop(), done(null));
      });
    const options = how.steal ? how : { signal: this.#abort.signal };
    navigator.locks.request(name, options, leading).catch((error) => {
      this.#end(); // stolen: it follows from now on, and leads again when it is its turn
      this.#end = () => {};
      if (this.#abort.signal.aborted) return;
      if (error.name === "AbortError") this.#request(name, lead, {});
      else this.#end = lead(); // locks are denied, e.g. in a sandboxed frame
    });
  }

  /** @param {unknown} word */
  say(word) {
    this.#channel?.postMessage(word);
  }

  close() {
    this.#abort.abort();
    this.#end();
    this.#channel?.close();
    this.#channel = undefined;
  }
}
