// What is known of a user's inbox, as data. Revisions decide: nothing older replaces what is newer.

/**
 * @import { Counts, Filter, Message } from "../index.js"
 * @typedef {"read" | "unread" | "seen" | "archive" | "unarchive" | "snooze" | "unsnooze" | "act" | "delete"} Kind
 * @typedef {object} Mark A change that the server has not shown us yet.
 * @property {Kind} kind
 * @property {ReadonlySet<string>} [ids]
 * @property {number} [upTo]
 * @property {Filter} [filter]
 * @property {string} [until]
 * @property {string} [action]
 * @property {string} at
 * @property {number} [revision] With which the server has made it.
 */

/** @param {Message} m */
const inFeed = (m) => !m.archived_at && !m.snoozed_until && !m.deleted_at;
/** @param {Message} m */
export const isUnread = (m) => inFeed(m) && !m.read_at;
/** @param {Message} m */
export const isUnseen = (m) => isUnread(m) && !m.seen_at;

/**
 * @param {string | readonly string[] | undefined} wanted
 * @param {string} value
 */
const any = (wanted, value) => !wanted?.length || [wanted].flat().includes(value);

/**
 * Whether a list with this filter has a message: as the server decides it.
 * @param {Message} m
 * @param {Filter} filter
 */
export function matches(m, filter) {
  if (m.deleted_at || !!m.archived_at !== !!filter.archived) return false;
  if (!filter.archived && !!m.snoozed_until !== !!filter.snoozed) return false;
  if (filter.unread !== undefined && filter.unread !== !m.read_at) return false;
  if (filter.unseen !== undefined && filter.unseen !== !(m.seen_at || m.read_at)) return false;
  const { category, type, severity, entity_type, entity_id, text = "" } = filter;
  return (
    any(category, m.category) &&
    any(type, m.type) &&
    any(severity, m.severity) &&
    (entity_type ?? m.entity?.type) === m.entity?.type &&
    (entity_id ?? m.entity?.id) === m.entity?.id &&
    `${m.title ?? ""}\n${m.body ?? ""}`.toLowerCase().includes(text.toLowerCase())
  );
}

/**
 * A message as it is after a mark.
 * @param {Message} m
 * @param {Mark} mark
 * @returns {Message}
 */
function marked(m, mark) {
  const { kind, ids, filter = {}, upTo = 0, at } = mark;
  if (m.deleted_at || !(ids ? ids.has(m.id) : m.position <= upTo && matches(m, filter))) return m;
  const seen_at = m.seen_at ?? at;
  const read_at = m.read_at ?? at;
  switch (kind) {
    case "read": return { ...m, seen_at, read_at };
    case "unread": return { ...m, read_at: null };
    case "seen": return { ...m, seen_at };
    case "archive": return { ...m, archived_at: m.archived_at ?? at, snoozed_until: null };
    case "unarchive": return { ...m, archived_at: null };
    case "snooze": return { ...m, snoozed_until: mark.until ?? null, archived_at: null };
    case "unsnooze": return { ...m, snoozed_until: null };
    case "act": return { ...m, seen_at, read_at, acted_at: at, action: mark.action ?? null };
    case "delete": return { ...m, deleted_at: at };
  }
}

export class Store {
  /** @type {Map<string, Message>} As the server has them. */
  messages = new Map();
  /** @type {Mark[]} In the order in which they were made. */
  marks = [];
  /** Every change after it, up to `cursor`, is in `messages`. */
  origin = -1;
  cursor = -1;
  /** @type {Counts} */
  #counts = { unread: 0, unseen: 0 };
  #countsRevision = -1;

  /**
   * Forget everything: the server's state is another than what followed from ours.
   * @param {number} revision
   * @param {Counts} counts
   */
  reset(revision, counts) {
    this.messages.clear();
    this.origin = this.cursor = this.#countsRevision = revision;
    this.#counts = counts;
    this.marks = this.marks.filter((mark) => mark.revision === undefined);
  }

  /**
   * A list was read. Returns whether it may be shown: not if changes after it are unknown.
   * @param {number} revision
   * @param {Counts} counts
   * @param {readonly Message[]} messages
   */
  page(revision, counts, messages) {
    if (this.cursor < 0) this.origin = this.cursor = revision;
    if (revision < this.origin) return false;
    this.#take(messages);
    this.#count(revision, counts);
    this.#settle();
    return true;
  }

  /**
   * All that changed after `from`, up to `revision`. Returns what is new in the feed; null if something before it is missing.
   * @param {number} from
   * @param {number} revision
   * @param {Counts} counts
   * @param {readonly Message[]} messages
   * @returns {Message[] | null}
   */
  changes(from, revision, counts, messages) {
    if (this.cursor < 0 || from > this.cursor) return null;
    const cursor = this.cursor;
    this.#take(messages);
    this.#count(revision, counts);
    if (revision > cursor) this.cursor = revision;
    this.#settle();
    return messages.filter((m) => m.position > cursor && isUnseen(m));
  }

  /**
   * The server has made a mark.
   * @param {Mark} mark
   * @param {number} revision
   * @param {Counts} counts
   */
  made(mark, revision, counts) {
    mark.revision = revision;
    this.#count(revision, counts);
    this.#settle();
  }

  /**
   * The server has refused a mark.
   * @param {Mark} mark
   */
  undo(mark) {
    this.marks = this.marks.filter((other) => other !== mark);
  }

  /**
   * A message with the marks under way.
   * @param {Message} m
   */
  shown(m) {
    return this.marks.reduce(marked, m);
  }

  /**
   * Messages of a list, newest first.
   * @param {Filter} filter
   * @param {number} bottom The lowest position that is known of it.
   */
  list(filter, bottom) {
    const found = [];
    for (const known of this.messages.values()) {
      const m = this.shown(known);
      if (m.position >= bottom && matches(m, filter)) found.push(m);
    }
    return found.sort((a, b) => b.position - a.position);
  }

  /**
   * The counts with the marks under way.
   * @returns {Counts}
   */
  get counts() {
    let { unread, unseen } = this.#counts;
    const counted = (/** @type {Mark} */ mark) => (mark.revision ?? Infinity) <= this.#countsRevision;
    const open = this.marks.filter((mark) => !counted(mark));
    if (!open.length) return this.#counts;
    const others = this.marks.filter(counted);
    // Whatever is above `upTo` has arrived since, so it is known; whatever is not, a mark of all has changed.
    const all = open.find((mark) => mark.upTo !== undefined && !Object.keys(mark.filter ?? {}).length);
    const reads = !!all && ["read", "archive", "snooze", "act", "delete"].includes(all.kind);
    const sees = reads || all?.kind === "seen";
    if (reads) unread = 0;
    if (sees) unseen = 0;
    for (const known of this.messages.values()) {
      const before = others.reduce(marked, known);
      const after = open.reduce(marked, before);
      unread += Number(isUnread(after)) - (reads ? 0 : Number(isUnread(before)));
      unseen += Number(isUnseen(after)) - (sees ? 0 : Number(isUnseen(before)));
    }
    return { unread: Math.max(0, unread), unseen: Math.max(0, unseen) };
  }

  /** @param {readonly Message[]} messages */
  #take(messages) {
    for (const m of messages) {
      if (m.revision >= (this.messages.get(m.id)?.revision ?? -1)) this.messages.set(m.id, m);
    }
  }

  /**
   * @param {number} revision
   * @param {Counts} counts
   */
  #count(revision, { unread, unseen }) {
    if (revision < this.#countsRevision) return;
    this.#countsRevision = revision;
    this.#counts = { unread, unseen };
  }

  /** Marks are done with when the messages show them. */
  #settle() {
    this.marks = this.marks.filter((mark) => (mark.revision ?? Infinity) > this.cursor);
  }
}
