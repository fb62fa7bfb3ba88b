// A long list of which only what is near the visible part is in the document.

/**
 * @import { Message } from "../index.js"
 * @typedef {object} Row
 * @property {HTMLElement} element
 * @property {(message: Message) => void} update
 * @property {(current: boolean) => void} become Whether Tab leads to it.
 */

import { set } from "./dom.js";

const GUESS = 88; // pixels of a row that has never been shown
const AROUND = 500; // pixels kept above and below

export class List {
  /** @type {readonly Message[]} */
  #items = [];
  /** @type {Map<string, { row: Row, message: Message, height: number, top: number }>} */
  #rows = new Map();
  /** @type {Map<string, number>} */
  #heights = new Map();
  #tops = new Float64Array(1);
  #current = "";
  #more = false;

  /**
   * @param {HTMLElement} scroller
   * @param {HTMLElement} feed
   * @param {(message: Message) => Row} make
   * @param {() => void} moved Called after each change of what is visible.
   * @param {() => void} ended Called near the end, to load more.
   */
  constructor(scroller, feed, make, moved, ended) {
    this.scroller = scroller;
    this.feed = feed;
    this.make = make;
    this.moved = moved;
    this.ended = ended;
    scroller.addEventListener("scroll", () => this.#draw(), { passive: true });
    feed.addEventListener("focusin", (event) => this.#become(this.#idOf(event.target) || this.#current));
    feed.addEventListener("keydown", (event) => this.#key(event));
    let width = 0;
    new ResizeObserver(() => {
      if (width !== scroller.clientWidth) this.#heights.clear();
      width = scroller.clientWidth;
      this.#measure();
      this.#draw();
    }).observe(scroller);
  }

  /**
   * Returns whether the focus has nowhere to stay.
   * @param {readonly Message[]} items
   * @param {boolean} more Whether there are others after them.
   */
  show(items, more) {
    const focused = this.#focused();
    const anchor = this.#anchor();
    const changed = items !== this.#items;
    this.#items = items;
    this.#more = more;
    if (changed) this.#measure();
    const gone = !items.some((m) => m.id === this.#current);
    const next = Math.min(Math.max(0, focused), items.length - 1);
    if (gone) this.#become(items[next]?.id ?? "");
    this.#keep(anchor);
    this.#draw();
    if (focused >= 0 && gone) this.#focus(next);
    return focused >= 0 && !items.length;
  }

  /** Back to the newest. */
  toTop() {
    this.scroller.scrollTop = 0;
    this.#draw();
  }

  /** Update all rows, e.g. in another language or at another time. */
  refresh() {
    for (const shown of this.#rows.values()) shown.row.update(shown.message);
    this.#heights.clear();
    this.#draw();
  }

  /** Focus the current row; returns whether there is any. */
  focus() {
    this.#focus(Math.max(0, this.#items.findIndex((m) => m.id === this.#current)));
    return this.#items.length > 0;
  }

  #measure() {
    const count = this.#items.length;
    if (this.#tops.length !== count + 1) this.#tops = new Float64Array(count + 1);
    let top = 0;
    for (let n = 0; n < count; n++) {
      this.#tops[n] = top;
      top += this.#heights.get(this.#items[n].id) ?? GUESS;
    }
    this.#tops[count] = top;
  }

  /**
   * The index of the row at a height.
   * @param {number} y
   */
  #at(y) {
    let low = 0;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#tops[middle + 1] <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The rows at the upper edge, and how far they are from it: they stay where they are, whatever changes above. */
  #anchor() {
    const y = this.scroller.scrollTop;
    if (y < 4) return [];
    const first = this.#at(y);
    return this.#items.slice(first, first + 20).map((m, n) => ({ id: m.id, by: y - this.#tops[first + n] }));
  }

  /** @param {{ id: string, by: number }[]} anchor */
  #keep(anchor) {
    if (!anchor.length) return;
    const wanted = new Map(anchor.map(({ id, by }) => [id, by]));
    const found = this.#items.findIndex((m) => wanted.has(m.id));
    if (found < 0) return;
    this.#stretch();
    const y = this.#tops[found] + (wanted.get(this.#items[found].id) ?? 0);
    if (Math.abs(y - this.scroller.scrollTop) > 0.5) this.scroller.scrollTop = y;
  }

  #stretch() {
    this.feed.style.blockSize = `${this.#tops[this.#items.length]}px`;
  }

  #draw() {
    const height = this.scroller.clientHeight;
    if (!height) return;
    for (let round = 0; round < 4; round++) {
      this.#stretch();
      const y = this.scroller.scrollTop;
      const first = this.#at(Math.max(0, y - AROUND));
      const last = Math.min(this.#items.length - 1, this.#at(y + height + AROUND));
      this.#place(first, last);
      if (!this.#resized()) break;
      const anchor = this.#anchor();
      this.#measure();
      this.#keep(anchor);
    }
    if (this.#more && this.#tops[this.#items.length] - this.scroller.scrollTop < 3 * height) this.ended();
    this.moved();
  }

  /**
   * @param {number} first
   * @param {number} last
   */
  #place(first, last) {
    const wanted = new Set();
    const focused = this.#focused();
    for (let n = first; n <= last; n++) wanted.add(n);
    if (focused >= 0 && focused < this.#items.length) wanted.add(focused); // what has the focus stays
    const ids = new Set([...wanted].map((n) => this.#items[n].id));
    for (const [id, { row }] of this.#rows) {
      if (ids.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    /** @type {Element | null} */
    let next = this.feed.firstElementChild;
    for (const n of [...wanted].sort((a, b) => a - b)) {
      const { element } = this.#row(n);
      if (element === next) next = next.nextElementSibling;
      else this.feed.insertBefore(element, next);
      set(element, "aria-posinset", n + 1);
      set(element, "aria-setsize", this.#more ? -1 : this.#items.length);
    }
  }

  /** @param {number} n */
  #row(n) {
    const message = this.#items[n];
    let shown = this.#rows.get(message.id);
    if (!shown) {
      shown = { row: this.make(message), message, height: 0, top: -1 };
      this.#rows.set(message.id, shown);
      shown.row.element.dataset.id = message.id;
      shown.row.become(message.id === this.#current);
    } else if (shown.message !== message) {
      shown.message = message;
      shown.row.update(message);
    }
    if (shown.top !== this.#tops[n]) {
      shown.top = this.#tops[n];
      shown.row.element.style.transform = `translateY(${shown.top}px)`;
    }
    return shown.row;
  }

  /** Whether any row has another height than was thought. */
  #resized() {
    let changed = false;
    for (const [id, { row }] of this.#rows) {
      const height = row.element.offsetHeight;
      if (height === (this.#heights.get(id) ?? GUESS)) continue;
      this.#heights.set(id, height);
      changed = true;
    }
    return changed;
  }

  /** @param {EventTarget | null} target */
  #idOf(target) {
    const row = target instanceof Element ? target.closest("[data-id]") : null;
    return row instanceof HTMLElement ? (row.dataset.id ?? "") : "";
  }

  /** The index of the row with the focus; -1: none has it. */
  #focused() {
    const root = /** @type {ShadowRoot} */ (this.feed.getRootNode());
    const id = this.#idOf(root.activeElement);
    return id ? this.#items.findIndex((m) => m.id === id) : -1;
  }

  /** @param {string} id */
  #become(id) {
    if (id === this.#current) return;
    this.#rows.get(this.#current)?.row.become(false);
    this.#current = id;
    this.#rows.get(id)?.row.become(true);
  }

  /** @param {number} n */
  #focus(n) {
    const message = this.#items[n];
    if (!message) return;
    const y = this.scroller.scrollTop;
    const height = this.scroller.clientHeight;
    this.#become(message.id);
    if (this.#tops[n] < y) this.scroller.scrollTop = this.#tops[n];
    else if (this.#tops[n + 1] > y + height) this.scroller.scrollTop = this.#tops[n + 1] - height;
    this.#draw();
    this.#rows.get(message.id)?.row.element.focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const at = this.#focused();
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const last = this.#items.length - 1;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.#focus(Math.max(0, Math.min(last, to)));
  }
}
