// The menu of one message. Loaded when a list is used.

/**
 * @import { Message } from "../index.js"
 * @import { InboxClient } from "./client.js"
 * @typedef {(client: InboxClient) => Promise<void>} Change
 * @typedef {[sign: Element, text: string, change: Change]} Entry
 */

import { css, drawn, el, icon, refocus, sheetOf } from "./dom.js";
import { iconOf, kindsOf, textOf } from "./row.js";

const HOUR = 3_600_000;
const BIN = "M5 7h14M9 7V4h6v3M6 7l1 13h10l1-13m-8 4v5m4-5v5";

const CSS = css`
.menu{position-anchor:--menu;min-width:208px;padding:6px;border-radius:12px;color:inherit;background:var(--surface);border:1px solid var(--line)}
.menu button{display:flex;align-items:center;gap:10px;width:100%;padding:7px 10px;border-radius:8px}
.menu svg{width:17px;color:var(--muted)}
.menu :hover,.menu :focus{background:var(--hover)}
`;

/**
 * Nine o'clock in the morning, so many days from now.
 * @param {number} days
 */
function morning(days) {
  const day = new Date();
  day.setDate(day.getDate() + days);
  day.setHours(9, 0, 0, 0);
  return day;
}

/**
 * What can be done with a message.
 * @param {Message} m
 * @returns {Entry[]}
 */
function entriesOf(m) {
  /** @returns {Entry} */
  const snooze = (/** @type {string} */ text, /** @type {Date} */ until) => [icon("snooze"), text, (client) => client.snooze(m.id, until)];
  /** @type {Entry[]} */
  const entries = kindsOf(m).map((kind) => [icon(iconOf(kind)), textOf(kind), (client) => client[kind](m.id)]);
  if (m.snoozed_until) entries.push([icon("snooze"), "unsnooze", (client) => client.unsnooze(m.id)]);
  else if (!m.archived_at) {
    const days = (8 - new Date().getDay()) % 7 || 7; // to Monday
    entries.push(snooze("hour", new Date(Date.now() + HOUR)), snooze("tomorrow", morning(1)), snooze("week", morning(days)));
  }
  return [...entries, [drawn(BIN), "delete", (client) => client.delete(m.id)]];
}

export class Menu {
  #button = el("i");
  #menu = el("div.menu", {
    role: "menu",
    popover: "auto",
    keydown: (event) => this.#key(event),
    toggle: (event) => event.newState === "closed" && refocus(this.#menu, this.#button),
  });

  /** @param {HTMLElement} panel */
  constructor(panel) {
    const root = /** @type {ShadowRoot} */ (panel.getRootNode());
    root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheetOf(CSS)];
    panel.append(this.#menu);
  }

  /**
   * @param {Message} m
   * @param {HTMLElement} button
   * @param {(name: string) => string} textNamed
   * @param {(change: Change) => void} run
   */
  show(m, button, textNamed, run) {
    const menu = this.#menu;
    this.#button.style.removeProperty("anchor-name");
    this.#button = button;
    button.style.setProperty("anchor-name", "--menu");
    menu.ariaLabel = button.title;
    menu.replaceChildren(
      ...entriesOf(m).map(([sign, text, change]) => {
        const click = () => {
          menu.hidePopover();
          this.#button.focus({ preventScroll: true });
          run(change);
        };
        return el("button", { role: "menuitem", tabindex: -1, click }, sign, textNamed(text));
      }),
    );
    menu.showPopover();
    this.#focus(0);
  }

  /** @param {number} n */
  #focus(n) {
    const buttons = this.#menu.querySelectorAll("button");
    buttons[(n + buttons.length) % buttons.length].focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const at = [...this.#menu.children].indexOf(/** @type {Element} */ (event.target));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to !== undefined) this.#focus(to);
    else if (event.key === "Tab") this.#menu.hidePopover();
    else return;
    event.preventDefault();
  }
}
