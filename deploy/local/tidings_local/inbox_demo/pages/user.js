// One user's page: the bell and the list share a client; what happens in them is told below.
await customElements.whenDefined("tidings-inbox");
const [inbox, bell, status, online, event] = ["inbox", "bell", "status", "online", "event"].map((id) =>
  document.getElementById(id),
);
await new Promise((resolve) => setTimeout(resolve));
bell.client = inbox.client;

const tell = (name, detail) => {
  event.textContent = `${name}  ${detail}`;
};
inbox.addEventListener("tidings-status", ({ detail }) => {
  status.textContent = detail.reason ? `${detail.status}: ${detail.reason.replaceAll("_", " ")}` : detail.status;
  status.dataset.status = detail.status;
});
inbox.addEventListener("tidings-message", ({ detail }) => {
  const [first, ...more] = detail.messages;
  tell("tidings-message", first.title + (more.length ? ` and ${more.length} more` : ""));
});
// An application would go there.
document.addEventListener("tidings-click", (clicked) => {
  clicked.preventDefault();
  tell("tidings-click", clicked.detail.url ?? clicked.detail.message.id);
});
document.addEventListener("tidings-action", (acted) => {
  acted.preventDefault();
  tell("tidings-action", acted.detail.action.id);
});
document.addEventListener("tidings-error", ({ detail }) => tell("tidings-error", detail.error.message));
online.checked = true; // whatever a reload has kept
online.addEventListener("change", () => window.network(online.checked));
