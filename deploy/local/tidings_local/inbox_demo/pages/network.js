// Takes this page alone off the network, as a tunnel does: connections end, and new ones fail.
const network = { cut: false, sockets: new Set() };
const realFetch = window.fetch;
window.fetch = (...request) =>
  network.cut ? Promise.reject(new TypeError("offline")) : realFetch(...request);
window.WebSocket = class extends WebSocket {
  constructor(...address) {
    if (network.cut) throw new DOMException("offline", "NetworkError");
    super(...address);
    network.sockets.add(this);
    this.addEventListener("close", () => network.sockets.delete(this));
  }
};
window.network = (online) => {
  network.cut = !online;
  if (network.cut) for (const socket of network.sockets) socket.close();
  window.dispatchEvent(new Event(online ? "online" : "offline"));
};
