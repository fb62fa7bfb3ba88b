// What the element says, in the language of the page; and how it says times.

/** @import { Texts } from "../index.js" */

import english from "./texts.en.js";

/** @type {Record<string, () => Promise<{ default: Texts }>>} Loaded if a page needs them. */
const OTHERS = {
  ar: () => import("./texts.ar.js"),
  de: () => import("./texts.de.js"),
  es: () => import("./texts.es.js"),
  fr: () => import("./texts.fr.js"),
};

/**
 * The texts in a language, or in English.
 * @param {string} language A BCP 47 tag.
 * @param {Texts} own Texts that come before.
 */
export async function wordingIn(language, own) {
  const found = await OTHERS[language.slice(0, 2).toLowerCase()]?.();
  const spoken = found || own.title || /^en/i.test(language);
  return new Wording({ ...(found?.default ?? english), ...own }, spoken ? language : "en");
}

export class Wording {
  /**
   * @param {Texts} texts
   * @param {string} language How numbers and times are written.
   */
  constructor(texts = english, language = "en") {
    this.texts = texts;
    this.tag = language;
    /** @type {Record<string, Intl.DateTimeFormat>} */
    this.dates = {};
    this.plural = new Intl.PluralRules(this.tag);
    this.number = new Intl.NumberFormat(this.tag);
    this.ago = new Intl.RelativeTimeFormat(this.tag, { numeric: "auto", style: "short" });
  }

  /**
   * A text; with a number, in its plural form.
   * @param {string} name
   * @param {{ n?: number, [part: string]: unknown }} [parts]
   */
  say(name, parts = {}) {
    const found = this.texts[name] ?? name;
    const text = typeof found === "string" ? found : (found[this.plural.select(parts.n ?? 0)] ?? found.other ?? "");
    return text.replace(/\{(\w+)\}/g, (_, part) =>
      part === "n" ? this.number.format(parts.n ?? 0) : String(parts[part] ?? ""),
    );
  }

  /**
   * How long ago, or for more than a week the date.
   * @param {string} time
   */
  when(time, now = Date.now()) {
    const seconds = Math.min(0, (new Date(time).getTime() - now) / 1000); // clocks differ
    const size = -seconds;
    if (size < 45) return this.ago.format(0, "second");
    if (size < 3570) return this.ago.format(Math.round(seconds / 60), "minute");
    if (size < 86_000) return this.ago.format(Math.round(seconds / 3600), "hour");
    if (size < 6.5 * 86_400) return this.ago.format(Math.round(seconds / 86_400), "day");
    const sameYear = new Date(time).getFullYear() === new Date(now).getFullYear();
    return this.date(time, { day: "numeric", month: "short", ...(!sameYear && { year: "numeric" }) });
  }

  /**
   * @param {string} time
   * @param {Intl.DateTimeFormatOptions} how
   */
  date(time, how) {
    const key = JSON.stringify(how);
    this.dates[key] ??= new Intl.DateTimeFormat(this.tag, how); // slow to make
    return this.dates[key].format(new Date(time));
  }
}
