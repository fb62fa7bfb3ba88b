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
  else if (element.getAttribute(name) !== String(value === true ? "" : value)) {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

const PATHS = {
  bell: "M18 9a6 6 0 1 0-12 0c0 6-2.5 7.5-2.5 7.5h17S18 15 18 9M10 20.5a2.3 2.3 0 0 0 4 0",
  read: "m4.5 12.5 5 5 10-11",
  unread: "M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7",
  archive: "M3.5 4.5h17v4h-17zM5 8.5v11h14v-11M9.5 12.5h5",
  snooze: "M12 4.5a8 8 0 1 0 0 16 8 8 0 0 0 0-16M12 8v5l3 2",
  delete: "M4.5 6.5h15M9.5 6V4h5v2M6.5 6.5l1 13.5h9l1-13.5M10 10.5v6m4-6v6",
  more: "M5.5 12h.01M12 12h.01M18.5 12h.01",
  close: "m6 6 12 12M18 6 6 18",
  all: "m2.5 12.5 4.5 5 9-11m-3.5 10 1.5 1 7.5-9.5",
  warning: "M12 4 2.8 19.5h18.4zM12 10v4.5M12 17.2h.01",
  critical: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17M12 8v4.5M12 16h.01",
  offline: "M3 3l18 18M8.5 15.5a5 5 0 0 1 6-.8M5 12a10 10 0 0 1 5-2.8m4.2 0a10 10 0 0 1 4.8 2.8M12 19.5h.01",
};

/** @typedef {keyof typeof PATHS} Icon */

/** @param {Icon} name */
export function icon(name) {
  const [svg, path] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  set(path, "d", PATHS[name]);
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
