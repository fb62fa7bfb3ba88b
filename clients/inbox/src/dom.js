// Small parts of a page: elements without any HTML text, icons, links that are safe to follow.

/**
 * An element. Its classes are its parts too. Functions become listeners, other properties attributes.
 * @param {string} kind Name and classes: `div.head`.
 * @param {Record<string, string | number | boolean | null | ((event: any) => void)>} [about]
 * @param {(Node | string | false | null | undefined)[]} children
 */
export function el(kind, about = {}, ...children) {
  const [name, ...classes] = kind.split(".");
  const made = document.createElement(name);
  if (name === "button") set(made, "type", name);
  if (classes.length) style(made, classes.join(" "));
  for (const key in about) {
    const value = about[key];
    if (typeof value === "function") made.addEventListener(key, value);
    else set(made, key, value);
  }
  for (const child of children) if (child) made.append(child);
  return made;
}

/**
 * @param {Element} element
 * @param {string} classes
 */
export function style(element, classes) {
  set(element, "class", classes);
  set(element, "part", classes);
}

/**
 * @param {Element} element
 * @param {string} words
 */
export function label(element, words) {
  set(element, "title", words);
  set(element, "aria-label", words);
}

/**
 * Set or remove an attribute, if it is not so already.
 * @param {Element} element
 * @param {string} name
 * @param {string | number | boolean | null} value
 */
export function set(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else {
    const text = value === true ? "" : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/**
 * When something has closed that had the focus: where it goes.
 * @param {HTMLElement} closed
 * @param {HTMLElement} to
 */
export function refocus(closed, to) {
  const root = /** @type {ShadowRoot} */ (closed.getRootNode());
  const host = document.activeElement;
  if (host !== document.body && host !== root.host) return;
  if (!root.activeElement || closed.contains(root.activeElement)) to.focus({ preventScroll: true });
}

/** Text of a style sheet. */
export const css = String.raw;

/**
 * A style sheet, made by script: a page's policy need not permit inline styles.
 * @param {string} text
 */
export function sheetOf(text) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(text);
  return sheet;
}

const PATHS = {
  bell: "M18 9A6 6 0 1 0 6 9c0 6-2 7-2 7h16s-2-1-2-7m-8 11c1 2 3 2 4 0",
  read: "m5 13 4 4L19 7",
  unread: "M12 8a4 4 0 1 0 .1 0",
  archive: "M4 5h16v4H4zm1 4v10h14V9m-9 4h4",
  snooze: "M12 4a8 8 0 1 0 .1 0M12 8v4l3 2",
  more: "M5 12h.1m6.9 0h.1m6.9 0h.1",
  close: "m6 6 12 12m0-12L6 18",
  all: "m2 13 4 4L16 7m-5 9 1 1L22 7",
  warning: "M12 4 3 19h18zm0 6v4m0 3h.1",
  critical: "M12 4a8 8 0 1 0 .1 0M12 8v5m0 3h.1",
  offline: "m4 4 16 16M8 16c2-2 5-2 7-1M5 12c1-1 3-2 5-3m4 0c2 0 4 2 5 3m-7 7h.1",
};

/** @typedef {keyof typeof PATHS} Icon */

/** @param {Icon} name */
export const icon = (name) => drawn(PATHS[name]);

/** @param {string} way Of the pen, on a square of 24. */
export function drawn(way) {
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  set(path, "d", way);
  set(svg, "viewBox", "0 0 24 24");
  set(svg, "aria-hidden", "true");
  svg.append(path);
  return svg;
}

/**
 * The address of a link: http or https, or a path of this origin; null if it must not become a link.
 * @param {unknown} url
 */
export function linkOf(url, base = globalThis.location?.href) {
  if (typeof url !== "string" || !/^(https?:\/\/|\/(?![/\\]))/i.test(url)) return null;
  try {
    const made = new URL(url, base);
    const path = url[0] === "/";
    return /^https?:$/.test(made.protocol) && (!path || made.origin === new URL(base).origin) ? made.href : null;
  } catch {
    return null;
  }
}
