// The menu of one message.

/**
 * @import { Icon } from "./dom.js"
 * @typedef {[sign: Icon, label: string, run: () => void]} Entry
 */

import { el, icon, refocus } from "./dom.js";

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
    panel.append(this.#menu);
  }

  /**
   * @param {HTMLElement} button
   * @param {Entry[]} entries
   */
  show(button, entries) {
    const menu = this.#menu;
    this.#button.style.removeProperty("anchor-name");
    this.#button = button;
    button.style.setProperty("anchor-name", "--menu");
    menu.ariaLabel = button.title;
    menu.replaceChildren(
      ...entries.map(([sign, words, run]) => {
        const click = () => {
          menu.hidePopover();
          this.#button.focus({ preventScroll: true });
          run();
        };
        return el("button", { role: "menuitem", tabindex: -1, click }, icon(sign), words);
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
