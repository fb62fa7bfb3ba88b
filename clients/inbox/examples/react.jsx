import { useEffect, useRef, useState } from "react";
import "tidings-inbox";

export function Inbox({ api, onMessage }) {
  const inbox = useRef(null);
  const [unread, setUnread] = useState(0);

  useEffect(() => {
    const element = inbox.current;
    const counted = ({ detail }) => setUnread(detail.unread);
    const clicked = (event) => onMessage(event.detail.message) && event.preventDefault();
    element.addEventListener("tidings-count", counted);
    element.addEventListener("tidings-click", clicked);
    return () => {
      element.removeEventListener("tidings-count", counted);
      element.removeEventListener("tidings-click", clicked);
    };
  }, [onMessage]);

  return (
    <p>
      {unread} unread <tidings-inbox ref={inbox} api={api} token-url="/inbox-token" />
    </p>
  );
}
