// Sends what is chosen, and shows what was published.
const form = document.getElementById("compose");
const outcome = document.getElementById("outcome");
const log = document.getElementById("log");
const LONGEST = 20;

const inSeconds = (seconds) => new Date(Date.now() + 1000 * seconds).toISOString();
const KINDS = {
  shipped: () => ({
    notification: {
      title: "Order 10042 is on its way",
      body: "It arrives tomorrow between nine and noon.",
      type: "order",
      severity: "success",
      action_url: "/orders/10042",
      entity: { type: "order", id: "10042" },
    },
  }),
  invited: () => ({
    notification: {
      title: "Linus invites you to Compilers",
      body: "Ten people work there.",
      type: "invitation",
      actions: [
        { id: "accept", label: "Accept" },
        { id: "decline", label: "Decline" },
      ],
    },
  }),
  critical: () => ({
    notification: {
      title: "New login from an unknown device",
      body: "If that was not you, change your password now.",
      type: "security",
      severity: "critical",
      priority: "urgent",
      action_url: "/settings/security",
    },
  }),
  expiring: () => ({
    notification: {
      title: "Your code is 493 027",
      body: "This message is gone in thirty seconds.",
      type: "code",
      severity: "warning",
      expires_at: inSeconds(30),
    },
  }),
  snoozed: () => ({
    notification: {
      title: "Water the plants",
      body: "Snoozed as soon as it came, and back on top after fifteen seconds.",
      type: "reminder",
    },
    snooze: 15,
  }),
  many: () => ({
    notification: { title: "One of fifty", body: "They share a few commits.", type: "digest" },
    count: 50,
  }),
};

const el = (name, about = {}, ...inside) => {
  const made = Object.assign(document.createElement(name), about);
  made.append(...inside);
  return made;
};

async function send(what) {
  const chosen = new FormData(form);
  const notification = { channel: "in_app", recipient: chosen.get("recipient"), ...what.notification };
  outcome.className = "outcome";
  outcome.textContent = "sending …";
  try {
    const reply = await fetch("/send", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...what, notification, through: chosen.get("through") }),
    });
    const answer = await reply.json();
    if (!reply.ok) throw new Error(answer.error);
    outcome.textContent = `Accepted: ${answer.ids.length === 1 ? "one message" : `${answer.ids.length} messages`} for ${notification.recipient}.`;
    show(answer, notification.recipient);
  } catch (error) {
    outcome.className = "outcome failed";
    outcome.textContent = error.message;
  }
}

function show({ where, body, ids }, recipient) {
  document.getElementById("nothing").hidden = true;
  const [first, ...rest] = body.notifications ?? [body];
  const shown = body.notifications ? { notifications: [first, `… ${rest.length} more`] } : body;
  const several = ids.length > 1 && !body.notifications ? `, the first of ${ids.length}` : "";
  const link = el("a", { href: `/notifications/${ids[0]}`, target: "_blank", rel: "noopener" }, "tidings show ", el("code", {}, ids[0]));
  log.prepend(
    el(
      "li",
      { className: "card" },
      el("p", { className: "about" }, el("b", {}, where), el("span", {}, `to ${recipient}, ${new Date().toLocaleTimeString()}${several}`), link),
      el("pre", { tabIndex: 0 }, JSON.stringify(shown, null, 2)),
    ),
  );
  while (log.children.length > LONGEST) log.lastChild.remove();
}

document.getElementById("own").open = matchMedia("(min-width: 760px)").matches;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const { title, body, severity, action_url } = Object.fromEntries(new FormData(form));
  send({ notification: { title, ...(body && { body }), severity, ...(action_url && { action_url }) } });
});
form.addEventListener("click", ({ target }) => {
  const kind = KINDS[target.dataset.kind];
  if (kind) send(kind());
});
