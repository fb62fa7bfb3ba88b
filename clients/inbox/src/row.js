// One message of the list.

/**
 * @import { Action, Message } from "../index.js"
 * @import { Icon } from "./dom.js"
 * @import { Row } from "./list.js"
 * @import { Wording } from "./texts.js"
 * @typedef {object} Handlers
 * @property {() => Wording} wording
 * @property {(message: Message, event: Event) => void} clicked
 * @property {(message: Message, action: Action, event: Event) => void} acted
 * @property {(message: Message, kind: "read" | "unread" | "archive" | "unarchive") => void} mark
 * @property {(message: Message, button: HTMLElement) => void} menu
 */

import { el, icon, label, linkOf, set, style } from "./dom.js";

/** @type {Record<string, Icon>} */
const SIGNS = { success: "read", warning: "warning", critical: "critical" };
let numbers = 0;

/** @param {Message} m */
export const kindsOf = (m) => /** @type {const} */ ([m.read_at ? "unread" : "read", m.archived_at ? "unarchive" : "archive"]);

/**
 * @param {string} kind
 * @returns {Icon}
 */
export const iconOf = (kind) => (kind === "read" || kind === "unread" ? kind : "archive");

/**
 * The name of its text: a tab is called `unread` too.
 * @param {string} kind
 */
export const textOf = (kind) => (kind === "unread" ? "markUnread" : kind);

/**
 * A link if its address may be one, else a button.
 * @param {string} classes
 * @param {unknown} url
 * @param {string | null} text
 * @param {(event: Event) => void} click
 * @param {string} [id]
 */
function linkTo(classes, url, text, click, id) {
  const href = linkOf(url);
  const about = { click, id: id ?? null };
  return href ? el(`a.${classes}`, { ...about, href, rel: "noopener" }, text) : el(`button.${classes}`, about, text);
}

/**
 * @param {Message} m
 * @param {Handlers} on
 * @returns {Row}
 */
export function rowOf(m, on) {
  const id = `m${++numbers}`;
  const title = linkTo("title", m.action_url, m.title, (event) => on.clicked(m, event), id);
  const time = el("time", { datetime: m.created_at, id: `${id}t` });
  const until = el("div.until", {}, icon("snooze"), el("span"));
  const buttons = (m.actions ?? []).map((action) => linkTo("action", action.url, action.label, (event) => on.acted(m, action, event)));
  const read = el("button.tool.quick", { click: () => on.mark(m, kindsOf(m)[0]) });
  const archive = el("button.tool.quick", { click: () => on.mark(m, kindsOf(m)[1]) });
  const more = el("button.tool", { "aria-haspopup": "menu", click: () => on.menu(m, more) }, icon("more"));
  const element = el(
    "article",
    {
      "aria-labelledby": id,
      "aria-describedby": `${id}b ${id}t`,
      keydown: (event) => {
        if (event.target !== element || (event.key !== "Enter" && event.key !== " ")) return;
        event.preventDefault();
        title.click();
      },
    },
    el("div.sign", {}, icon(SIGNS[m.severity] ?? "bell")),
    el(
      "div.text",
      {},
      el("div.line", {}, title, time),
      el("p.content", { id: `${id}b`, hidden: !m.body }, m.body),
      until,
      buttons.length ? el("div.actions", {}, ...buttons) : null,
    ),
    el("div.tools", {}, read, archive, more),
  );

  const update = (/** @type {Message} */ next) => {
    m = next;
    const w = on.wording();
    style(element, `message ${m.severity}${m.read_at ? "" : " new"}`);
    time.textContent = w.when(m.created_at);
    time.title = w.date(m.created_at, { dateStyle: "full", timeStyle: "short" });
    until.hidden = !m.snoozed_until;
    if (m.snoozed_until) {
      const at = w.date(m.snoozed_until, { weekday: "short", day: "numeric", month: "short", hour: "numeric", minute: "numeric" });
      /** @type {Node} */ (until.lastChild).textContent = w.say("until", { time: at });
    }
    m.actions?.forEach((action, n) => {
      if (!action.url) set(buttons[n], "aria-pressed", String(m.action === action.id));
    });
    kindsOf(m).forEach((kind, n) => {
      const button = [read, archive][n];
      const words = w.say(textOf(kind));
      if (button.title !== words) button.replaceChildren(icon(iconOf(kind)));
      label(button, words);
    });
    label(more, w.say("more"));
  };
  update(m);
  const become = (/** @type {boolean} */ current) => {
    for (const each of [element, title, ...buttons, read, archive, more]) each.tabIndex = current ? 0 : -1;
  };
  return { element, update, become };
}
