import { onUnmounted, shallowRef } from "vue";
import { InboxClient } from "tidings-inbox/client";

async function token() {
  const reply = await fetch("/inbox-token");
  if (reply.status === 401) return ""; // nobody is logged in: the client closes
  if (!reply.ok) throw new Error(`status ${reply.status}`); // it asks again later
  return reply.text();
}

export const Inbox = {
  props: ["api"],
  setup(props) {
    const client = new InboxClient({ url: props.api, token });
    const feed = client.feed({ unread: true });
    const state = shallowRef(client.state);
    const messages = shallowRef(feed.state.items);
    client.subscribe(() => (state.value = client.state));
    feed.subscribe(() => (messages.value = feed.state.items));
    onUnmounted(() => client.close());
    return { state, messages, read: (id) => client.read(id) };
  },
  template: `
    <h2>{{ state.counts.unread }} unread</h2>
    <ul>
      <li v-for="message in messages" :key="message.id">
        {{ message.title }} <button @click="read(message.id)">Read</button>
      </li>
    </ul>`,
};
