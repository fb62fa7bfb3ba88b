/** A message of an inbox, as the API replies it. Of a deleted one all content is null. */
export interface Message {
  id: string;
  /** The revision with which it entered the feed: the newest has the highest. */
  position: number;
  /** The revision of its last change. */
  revision: number;
  title: string | null;
  body: string | null;
  category: string;
  type: string;
  severity: Severity;
  data: Record<string, unknown> | null;
  action_url: string | null;
  actions: Action[] | null;
  entity: { type: string; id: string } | null;
  created_at: string;
  expires_at: string | null;
  seen_at: string | null;
  read_at: string | null;
  archived_at: string | null;
  snoozed_until: string | null;
  acted_at: string | null;
  /** The id of the action that was taken. */
  action: string | null;
  deleted_at: string | null;
}

export type Severity = "info" | "success" | "warning" | "critical";

export interface Action {
  id: string;
  label: string;
  url?: string | null;
}

/** What a feed, a count or a mark of many is limited to. Without `archived` and `snoozed` it is the feed. */
export interface Filter {
  unread?: boolean;
  unseen?: boolean;
  archived?: boolean;
  snoozed?: boolean;
  /** Of several, any. */
  category?: string | readonly string[];
  type?: string | readonly string[];
  severity?: Severity | readonly Severity[];
  entity_type?: string;
  entity_id?: string;
  /** A part of title or body, in any case of letters. */
  text?: string;
}

export interface Counts {
  unread: number;
  unseen: number;
}

/** Ids, or all messages up to a revision that match a filter. */
export type Target = string | readonly string[] | { upTo: number; filter?: Filter };

export type Status = "connecting" | "live" | "offline" | "closed";

/** Why a client is offline or closed. */
export type Reason =
  | "network"
  | "unavailable"
  | "too_many_connections"
  | "token"
  | "revoked"
  | "protocol"
  | "ended"
  | null;

export interface ClientState {
  readonly status: Status;
  readonly reason: Reason;
  readonly counts: Counts;
  /** Everything that happened up to it is known; -1 before anything is. */
  readonly revision: number;
}

export interface FeedState {
  /** Newest first. */
  readonly items: readonly Message[];
  readonly status: "loading" | "ready" | "error";
  readonly more: boolean;
  readonly error: InboxError | null;
}

/**
 * Gives a token of the user; `refresh` is true if the last one has expired or was refused. An empty one says that nobody
 * is logged in, and ends the client; if it throws, or takes longer than 20 seconds, it is asked again later.
 */
export type TokenFunction = (how: { refresh: boolean }) => string | Promise<string>;

export interface ClientOptions {
  /** The API's address, e.g. `https://tidings.example.com`. */
  url: string;
  token: string | TokenFunction;
  /** Whether tabs of the same user share one connection; true by default. */
  share?: boolean;
}

export type ClientEvent = "message" | "error" | "refused";

/** One user's inbox, without a face. */
export declare class InboxClient {
  constructor(options: ClientOptions);
  readonly state: ClientState;
  /** Connect. Repeated calls change nothing. */
  start(): void;
  /** Leave for good: on logout, or when the page has no use for it any more. */
  close(): void;
  /** Connect at once instead of after a pause. */
  retry(): void;
  /** Call a function after each change of `state`; returns what ends that. */
  subscribe(changed: () => void): () => void;
  /** Messages that arrived live; errors; marks that the server refused. Returns what ends that. */
  on(event: "message", heard: (messages: Message[]) => void): () => void;
  on(event: "error" | "refused", heard: (error: InboxError) => void): () => void;
  /** A list of messages that keeps itself up to date. */
  feed(filter?: Filter, options?: { limit?: number }): Feed;
  /** A message that is known already. */
  get(id: string): Message | undefined;
  /** Numbers of messages that match each filter, of one moment. */
  count(filters: readonly Filter[]): Promise<number[]>;
  read(target: Target): Promise<void>;
  unread(target: Target): Promise<void>;
  seen(target: Target): Promise<void>;
  archive(target: Target): Promise<void>;
  unarchive(target: Target): Promise<void>;
  snooze(target: Target, until: Date): Promise<void>;
  unsnooze(target: Target): Promise<void>;
  /** Take one of a message's actions. */
  act(target: Target, action: string): Promise<void>;
  delete(target: Target): Promise<void>;
}

/** A list with a filter: what is loaded of it, always as the server has it. */
export declare class Feed {
  readonly filter: Filter;
  readonly state: FeedState;
  subscribe(changed: () => void): () => void;
  /** Load the next page; the first one too, if that failed. */
  more(): Promise<void>;
  close(): void;
}

/** What the API refused, or why it could not be asked. */
export declare class InboxError extends Error {
  /** HTTP status; 0: the network failed. */
  readonly status: number;
  /** E.g. `invalid`, `unauthenticated`, `network`. */
  readonly code: string;
  /** Whether it may succeed later. */
  readonly temporary: boolean;
}

export interface Tab {
  id: string;
  /** Its name; without it, the text of that id. */
  label?: string;
  filter: Filter;
}

/** Texts by name; `{n}` stands for a number, `{title}` for a message's title. */
export type Texts = Record<string, string | Partial<Record<Intl.LDMLPluralRule, string>>>;

/** `<tidings-inbox>`. */
export declare class TidingsInbox extends HTMLElement {
  /** A token, or a function that gives one. */
  token: string | TokenFunction | null;
  /** The client that it shows; set it to share one with your own code. */
  client: InboxClient | null;
  /** Names (`all`, `unread`, `archived`, `snoozed`) or tabs of your own. */
  tabs: readonly (string | Tab)[];
  /** Texts of your own; those left out stay. */
  texts: Texts;
  /** Whether the panel is shown. */
  open: boolean;
  show(): void;
  hide(): void;
  toggle(): void;
}

export interface TidingsInboxEvents {
  "tidings-open": CustomEvent<null>;
  "tidings-close": CustomEvent<null>;
  /** A message was chosen; `preventDefault()` keeps its link from being followed. */
  "tidings-click": CustomEvent<{ message: Message; url: string | null }>;
  /** An action was chosen; `preventDefault()` keeps its link from being followed. */
  "tidings-action": CustomEvent<{ message: Message; action: Action; url: string | null }>;
  /** Messages arrived. */
  "tidings-message": CustomEvent<{ messages: Message[] }>;
  "tidings-count": CustomEvent<Counts>;
  "tidings-status": CustomEvent<{ status: Status; reason: Reason }>;
  "tidings-error": CustomEvent<{ error: InboxError }>;
}

declare global {
  interface HTMLElementTagNameMap {
    "tidings-inbox": TidingsInbox;
  }
}
