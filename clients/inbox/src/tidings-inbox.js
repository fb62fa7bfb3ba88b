// What a page loads: defines `<tidings-inbox>`.

import { TidingsInbox } from "./element.js";

export { InboxClient, InboxError } from "./client.js";
export { TidingsInbox };

if (globalThis.customElements && !customElements.get("tidings-inbox")) customElements.define("tidings-inbox", TidingsInbox);
