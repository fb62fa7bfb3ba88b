// `<tidings-inbox>`: a bell with a badge, and a panel with the messages.

/**
 * @import { Filter, Message, Tab, Texts, TokenFunction } from "../index.js"
 * @import { Feed } from "./client.js"
 * @import { Menu } from "./menu.js"
 * @typedef {Record<"badge" | "bell" | "name" | "readAll" | "close" | "tabs" | "strip" | "rows" | "tail" | "note" | "bones" | "newer" | "toast"
 *   | "panel" | "live", HTMLElement> & { list: List, menu: Menu | null }} Page
 */

import { InboxClient } from "./client.js";
import { el, icon, label, linkOf, refocus, set, style } from "./dom.js";
import { List } from "./list.js";
import { rowOf } from "./row.js";
import { styles } from "./styles.js";
import { Wording, wordingIn } from "./texts.js";

const MINUTE = 60_000;
const TOAST = 6000;

const FILTERS = ["unread", "archived", "snoozed"];

/** @type {typeof HTMLElement} */
const Base = globalThis.HTMLElement ?? class {};

/** Load the menu, which may be wanted next. */
const foresee = () => void import("./menu.js").catch(() => {}); // it is tried again when it is opened

const quiet = { preventScroll: true };

export class TidingsInbox extends Base {
  static observedAttributes = ["api", "token", "token-url", "lang", "dir", "tabs", "badge", "inline"];

  /** @type {InboxClient | null} */
  #client = null;
  /** @type {InboxClient | null} */
  #given = null; // not made here, nor closed here
  /** @type {string | TokenFunction | null} */
  #token = null;
  /** @type {readonly (string | Tab)[]} */
  #tabs = ["all", "unread", "archived"];
  /** @type {Texts} */
  #texts = {};
  #wording = new Wording();
  #turn = 0;
  /** @type {(() => void)[]} What ends listening to the client. */
  #ends = [];
  /** @type {Feed | null} */
  #feed = null;
  #tab = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #clock;
  #seen = -1;
  #shown = -1; // the revision of what the list shows
  #top = Infinity; // position of the newest message that was at the top of the list
  #told = "";
  #planned = false;
  /** @type {Page | null} */
  #ui = null;

  connectedCallback() {
    if (!this.#ui) {
      this.#ui = this.#build();
      this.#place();
      const own = /** @type {any} */ (this);
      for (const key of Object.keys(this)) {
        const value = own[key]; // set before the element was defined
        delete own[key];
        own[key] = value;
      }
    }
    this.#clock ??= setInterval(() => this.#ui?.list.refresh(), MINUTE);
    document.addEventListener("visibilitychange", this.#plan);
    void this.#reword();
    queueMicrotask(() => this.#connect());
    if (!this.hasAttribute("open")) return;
    set(this, "open", null); // the panel is not shown yet
    this.show();
  }

  disconnectedCallback() {
    queueMicrotask(() => {
      if (this.isConnected) return; // it was only moved
      clearInterval(this.#clock);
      this.#clock = undefined;
      document.removeEventListener("visibilitychange", this.#plan);
      this.#leave();
    });
  }

  /**
   * @param {string} name
   * @param {string | null} _
   * @param {string | null} value
   */
  attributeChangedCallback(name, _, value) {
    if (name === "token") this.token = value;
    else if (name === "tabs") this.tabs = (value ?? "all unread archived").split(/[\s,]+/);
    else if (!this.#ui) return;
    else if (name === "api" || name === "token-url") this.#renew();
    else if (name === "inline") this.#place();
    else void this.#reword();
  }

  get token() {
    return this.#token;
  }

  set token(token) {
    this.#token = token;
    const kept = typeof token === "function" && this.#client && this.#client.state.status !== "closed";
    if (!kept) this.#renew();
  }

  get client() {
    return this.#given ?? this.#client;
  }

  set client(client) {
    this.#leave();
    this.#given = client;
    if (client) this.#connect();
  }

  get tabs() {
    return this.#tabs;
  }

  set tabs(tabs) {
    this.#tabs = tabs;
    if (!this.#ui) return;
    this.#drawTabs();
    this.#choose(0);
  }

  get texts() {
    return this.#texts;
  }

  set texts(texts) {
    this.#texts = texts;
    void this.#reword();
  }

  get open() {
    return this.#inline || this.hasAttribute("open");
  }

  set open(open) {
    if (open) this.show();
    else this.hide();
  }

  get #inline() {
    return this.hasAttribute("inline");
  }

  show() {
    if (!this.open) this.#ui?.panel.showPopover();
  }

  hide() {
    if (this.hasAttribute("open")) this.#ui?.panel.hidePopover();
  }

  toggle() {
    this.open = !this.open;
  }

  /** @param {boolean} open What the panel has become. */
  #toggled(open) {
    const ui = this.#ui;
    if (!ui || this.#inline) return;
    set(this, "open", open);
    this.#choose(this.#tab);
    if (open) ui.panel.focus(quiet);
    else refocus(ui.panel, ui.bell);
    this.#emit(open ? "open" : "close", null);
  }

  // The client.

  #connect() {
    const at = this.getAttribute("token-url");
    if (this.#client || !this.isConnected) return;
    if (this.#given) return this.#use(this.#given);
    if (!this.#token && !at) return;
    const url = this.getAttribute("api") ?? new URL(import.meta.url).origin;
    this.#use(new InboxClient({ url, token: (how) => this.#ask(how, at) }));
  }

  /**
   * @param {{ refresh: boolean }} how
   * @param {string | null} at
   */
  async #ask(how, at) {
    if (typeof this.#token === "function") return this.#token(how);
    if (this.#token || !at) return this.#token ?? "";
    const reply = await fetch(at, { cache: "no-store" });
    if (reply.status === 401 || reply.status === 403) return "";
    if (!reply.ok) throw new Error(`${at} replied ${reply.status}`);
    const text = (await reply.text()).trim();
    return text[0] === "{" ? JSON.parse(text).token : text;
  }

  #renew() {
    if (this.#given) return;
    this.#leave();
    queueMicrotask(() => this.#connect());
  }

  #leave() {
    for (const end of this.#ends) end();
    this.#ends = [];
    this.#feed?.close();
    if (!this.#given) this.#client?.close();
    this.#feed = this.#client = null;
    this.#seen = this.#shown = -1;
    this.#plan();
  }

  /** @param {InboxClient} client */
  #use(client) {
    this.#client = client;
    this.#ends = [
      client.subscribe(this.#plan),
      client.on("message", (messages) => this.#arrived(messages)),
      client.on("refused", () => this.#say(this.#t("refused"), true)),
      client.on("error", (error) => this.#emit("error", { error })),
    ];
    client.start();
    this.#choose(this.#tab);
  }

  /** @param {Message[]} messages */
  #arrived(messages) {
    this.#say(this.#t("arrived", messages.length, { title: messages[0].title }));
    this.#emit("message", { messages });
  }

  // The page.

  /** @returns {Page} */
  #build() {
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [styles()];
    const badge = el("span.badge", { "aria-hidden": "true" });
    const bell = el(
      "button.bell",
      { "aria-haspopup": "dialog" },
      el("slot", { name: "bell" }, icon("bell")),
      badge,
    );
    const name = el("span");
    const readAll = el("button.tool.read-all", { click: () => this.#readAll() }, icon("all"));
    const close = el("button.tool.close", { click: () => this.hide() }, icon("close"));
    const tabs = el("div.tabs", { role: "tablist", keydown: (event) => this.#tabKey(event) });
    const strip = el("div.strip", { role: "status" });
    const rows = el("div.feed", { "aria-labelledby": "title", pointerenter: foresee, focusin: foresee });
    const tail = el("div.tail");
    const scroller = el("div.scroll", {}, rows, tail);
    const note = el("div.note");
    const bones = el("div.bones", {}, ...[..."123456"].map(() => el("i")));
    const newer = el("button.newer", { click: () => list.toTop() });
    const toast = el("div.toast", { hidden: true });
    const panel = el(
      "div.panel",
      {
        tabindex: -1,
        "aria-labelledby": "title",
        keydown: (event) => this.#key(event),
        toggle: (event) => event.target === panel && this.#toggled(event.newState === "open"),
      },
      el("div.head", {}, el("h2", { id: "title" }, el("slot", { name: "title" }, name)), el("slot", { name: "tools" }), readAll, close),
      tabs,
      strip,
      el("div.body", { id: "body", role: "tabpanel", "aria-labelledby": "title" }, scroller, note, bones, newer, toast),
      el("slot", { name: "footer" }),
    );
    const live = el("div.sr", { role: "status", "aria-live": "polite" });
    root.append(bell, panel, live);
    /** @type {HTMLButtonElement} */ (bell).popoverTargetElement = panel;
    const make = (/** @type {Message} */ message) => this.#rowOf(message);
    const list = new List(scroller, rows, make, () => this.#scrolled(), () => void this.#feed?.more());
    return { badge, bell, name, readAll, close, tabs, strip, rows, tail, note, bones, newer, toast, panel, live, list, menu: null };
  }

  #place() {
    const ui = this.#ui;
    if (!ui) return;
    set(ui.panel, "popover", this.#inline ? null : "auto");
    set(ui.panel, "role", this.#inline ? "region" : "dialog");
    ui.bell.hidden = ui.close.hidden = this.#inline;
    this.#choose(this.#tab);
  }

  async #reword() {
    const turn = ++this.#turn;
    const language = this.closest("[lang]")?.getAttribute("lang") || navigator.language;
    try {
      const wording = await wordingIn(language.replace("_", "-"), this.#texts);
      if (turn !== this.#turn) return; // another was asked for meanwhile
      this.#wording = wording;
    } catch {} // it could not be loaded: the former stays
    const ui = this.#ui;
    if (!ui) return;
    for (const part of [ui.bell, ui.panel, ui.live]) {
      set(part, "lang", this.#wording.tag);
      set(part, "dir", !this.closest("[dir]") && /^(ar|fa|he|ur)\b/.test(this.#wording.tag) && "rtl");
    }
    ui.name.textContent = this.#t("title");
    label(ui.readAll, this.#t("readAll"));
    label(ui.close, this.#t("close"));
    this.#drawTabs();
    ui.list.refresh();
    this.#told = "";
    style(ui.note, "note");
    this.#plan();
  }

  /**
   * @param {string} name
   * @param {number} [n]
   * @param {object} [parts]
   */
  #t(name, n = 0, parts) {
    return this.#wording.say(name, { n, ...parts });
  }

  #drawTabs() {
    const { tabs } = /** @type {Page} */ (this.#ui);
    tabs.replaceChildren(
      ...this.#tabs.map((tab, n) => {
        const chosen = n === this.#tab;
        const words = typeof tab === "string" ? this.#t(tab) : (tab.label ?? this.#t(tab.id));
        const about = { role: "tab", "aria-selected": String(chosen), "aria-controls": "body", tabindex: chosen ? 0 : -1 };
        return el("button.tab", { ...about, click: () => this.#choose(n) }, words, el("span.count"));
      }),
    );
    tabs.hidden = this.#tabs.length < 2;
  }

  /** @param {number} n */
  #filter(n) {
    const tab = this.#tabs[n];
    if (typeof tab !== "string") return tab?.filter ?? {};
    return /** @type {Filter} */ (FILTERS.includes(tab) ? { [tab]: true } : {});
  }

  /** @param {number} n */
  #choose(n) {
    const ui = this.#ui;
    if (!ui) return;
    this.#feed?.close();
    this.#feed = null;
    if (n !== this.#tab) {
      this.#tab = n;
      this.#drawTabs();
    }
    this.#top = Infinity;
    ui.list.show([], false);
    ui.list.toTop();
    if (this.#client && this.open) {
      this.#feed = this.#client.feed(this.#filter(n));
      this.#feed.subscribe(this.#plan);
    }
    this.#plan();
  }

  #plan = () => {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => {
      this.#planned = false;
      this.#draw();
    });
  };

  #draw() {
    const ui = this.#ui;
    if (!ui) return;
    const none = /** @type {const} */ ({ status: "connecting", reason: null, counts: { unread: 0, unseen: 0 }, revision: -1 });
    const { status, reason, counts, revision } = this.#client?.state ?? none;
    const number = this.getAttribute("badge") === "unseen" ? counts.unseen : counts.unread;
    ui.badge.hidden = !number;
    ui.badge.textContent = number > 99 ? "99+" : this.#wording.number.format(number);
    set(ui.bell, "aria-label", this.#t("open") + (number ? `, ${this.#t("badge", number)}` : ""));
    const told = JSON.stringify([counts, status, reason]);
    if (this.#client && told !== this.#told) {
      this.#told = told;
      this.#emit("count", counts);
      this.#emit("status", { status, reason });
    }
    if (!this.open) return;
    const { archived, snoozed } = this.#filter(this.#tab);
    ui.readAll.hidden = !counts.unread || !!(archived || snoozed);
    [...ui.tabs.children].forEach((tab, n) => {
      const count = /** @type {HTMLElement} */ (tab.lastElementChild);
      count.hidden = !counts.unread || JSON.stringify(this.#filter(n)) !== '{"unread":true}';
      count.textContent = this.#wording.number.format(counts.unread);
    });
    const ended = status === "closed" && reason !== "ended";
    ui.strip.hidden = !ended && status !== "offline";
    const words = this.#t(ended ? "ended" : "offline");
    if (!ui.strip.hidden && ui.strip.textContent?.indexOf(words) !== 0) {
      ui.strip.replaceChildren(icon("offline"), el("span", {}, words), ended ? "" : this.#retry());
    }
    this.#drawList(revision);
  }

  /** @param {number} revision */
  #drawList(revision) {
    const ui = /** @type {Page} */ (this.#ui);
    const { items, status, more } = this.#feed?.state ?? { items: [], status: "loading", more: false };
    const loading = status === "loading" || (!items.length && more && status === "ready");
    if (ui.list.show(items, more && status === "ready")) ui.panel.focus(quiet);
    this.#shown = revision;
    set(ui.rows, "role", items.length ? "feed" : "group"); // a feed has articles
    set(ui.rows, "aria-busy", String(loading));
    ui.bones.hidden = !loading;
    ui.tail.hidden = !items.length || !more;
    if (!ui.tail.hidden) ui.tail.replaceChildren(status === "error" ? this.#retry() : this.#t("loading"));
    ui.note.hidden = loading || !!items.length;
    const { archived, unread, ...rest } = this.#filter(this.#tab);
    const name = status === "error" ? "error" : archived ? "emptyArchived" : unread ? "emptyUnread" : "empty";
    if (!ui.note.hidden && ui.note.className !== `note ${name}`) {
      style(ui.note, `note ${name}`);
      const failed = name === "error";
      const sign = icon(failed ? "offline" : archived ? "archive" : "bell");
      const hint = name === "empty" && !Object.keys(rest).length && this.#t("emptyHint");
      const inside = [el(`div.sign${failed ? ".critical" : ""}`, {}, sign), el("b", {}, this.#t(name))];
      ui.note.replaceChildren(...(failed ? [...inside, this.#retry()] : [el("slot", { name: "empty" }, ...inside, hint)]));
    }
    this.#scrolled();
  }

  #retry() {
    return el("button.retry", { click: () => this.#client?.retry() }, this.#t("retry"));
  }

  /** What has arrived above the visible part is offered, and moves nothing. What is before the user's eyes is seen. */
  #scrolled() {
    const ui = this.#ui;
    if (!ui) return;
    const items = this.#feed?.state.items ?? [];
    const below = ui.list.scroller.scrollTop >= 40;
    if (!below) this.#top = items[0]?.position ?? this.#top;
    const n = items.findIndex((m) => m.position <= this.#top);
    ui.newer.hidden = !below || n < 1;
    ui.newer.textContent = this.#t("newer", n);
    const revision = this.#shown;
    if (revision > this.#seen && items.length && this.#client?.state.counts.unseen && !document.hidden && ui.panel.clientHeight) {
      this.#seen = revision;
      this.#try((client) => client.seen({ upTo: revision }));
    }
  }

  // What people do.

  /** @param {Message} message */
  #rowOf(message) {
    return rowOf(message, {
      wording: () => this.#wording,
      clicked: (m, event) => {
        if (!m.read_at) this.#try((client) => client.read(m.id));
        this.#chose("click", { message: m, url: linkOf(m.action_url) }, event);
      },
      acted: (m, action, event) => {
        this.#try((client) => client.act(m.id, action.id));
        this.#chose("action", { message: m, action, url: linkOf(action.url) }, event);
      },
      mark: (m, kind) => this.#try((client) => client[kind](m.id)),
      menu: (m, button) => this.#menuOf(m, button),
    });
  }

  /**
   * @param {Message} m
   * @param {HTMLElement} button
   */
  async #menuOf(m, button) {
    const ui = this.#ui;
    if (!ui) return;
    const loaded = await import("./menu.js").catch((error) => {
      this.#say(this.#t("offline"), true);
      this.#emit("error", { error });
    });
    if (!loaded) return;
    ui.menu ??= new loaded.Menu(ui.panel);
    ui.menu.show(m, button, (name) => this.#t(name), (change) => this.#try(change));
  }

  #readAll() {
    const { unread, unseen, ...filter } = this.#filter(this.#tab);
    this.#ui?.panel.focus(quiet); // the button goes
    this.#try((client) => client.read({ upTo: this.#shown, filter }));
  }

  /** @param {(client: InboxClient) => Promise<void>} change */
  #try(change) {
    if (this.#client) change(this.#client).catch(() => {}); // `refused` says so
  }

  /**
   * For screen readers; and shown for a while.
   * @param {string} words
   * @param {boolean} [shown]
   */
  #say(words, shown) {
    const ui = this.#ui;
    if (!ui) return;
    ui.live.textContent = words;
    if (!shown) return;
    ui.toast.textContent = words;
    ui.toast.hidden = false;
    setTimeout(() => (ui.toast.hidden = true), TOAST);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "ArrowDown" && event.target === this.#ui?.panel && this.#ui.list.focus()) event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  #tabKey(event) {
    const ui = this.#ui;
    if (!ui) return;
    const count = this.#tabs.length;
    const rtl = getComputedStyle(ui.tabs).direction === "rtl" ? -1 : 1;
    const to = { ArrowLeft: this.#tab - rtl, ArrowRight: this.#tab + rtl, Home: 0, End: count - 1 }[event.key];
    if (to !== undefined) {
      this.#choose((to + count) % count);
      /** @type {HTMLElement} */ (ui.tabs.children[this.#tab]).focus();
    } else if (event.key !== "ArrowDown" || !ui.list.focus()) return;
    event.preventDefault();
  }

  /**
   * @param {string} name
   * @param {Record<string, unknown>} detail
   * @param {any} event
   */
  #chose(name, detail, event) {
    if (detail.url && (event.ctrlKey || event.metaKey || event.shiftKey)) return; // the browser opens it elsewhere
    if (!this.#emit(name, detail)) event.preventDefault();
  }

  /**
   * Whether nobody has prevented what follows.
   * @param {string} name
   * @param {unknown} detail
   */
  #emit(name, detail) {
    return this.dispatchEvent(new CustomEvent(`tidings-${name}`, { detail, bubbles: true, composed: true, cancelable: true }));
  }
}
