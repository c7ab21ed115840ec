// The chat page: STOMP.js on /ws, one topic per room, private messages through
// /user/<name>/queue/chat.
"use strict";

const $ = (id) => document.getElementById(id);
const roomTopic = (room) => `/topic/chat.${room}`;
// A user is one segment of a destination.
const userSegment = (name) => name.replace(/[%/*>]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());

let me = "";
let client;
let current;
const conversations = new Map(); // key -> {kind, name, messages, unread, subscription}

function conversation(kind, name) {
  const key = `${kind}:${name}`;
  if (!conversations.has(key)) {
    conversations.set(key, { key, kind, name, messages: [], unread: 0, subscription: null, last: null });
    if (kind === "room") subscribeRoom(conversations.get(key));
  }
  return conversations.get(key);
}

let subscribed = 0;

function subscribeRoom(c) {
  if (!client || !client.connected) return;
  // Where the broker keeps a history of the room: what was missed, or at first the latest.
  const past = c.last ? { "last-event-id": c.last } : { "replay-last": "50" };
  const receipt = `room-${++subscribed}`;
  client.watchForReceipt(receipt, (r) => { c.last = r.headers["last-event-id"] ?? c.last; });
  c.subscription = client.subscribe(roomTopic(c.name), (m) => receive(c, m), { ...past, receipt });
}

function receive(c, message) {
  const { user, timestamp, replay } = message.headers;
  c.last = message.headers["message-id"];
  if (replay === "incomplete" && c.messages.length) c.messages.push({ note: "Some messages may be missing here." });
  c.messages.push({ user, text: message.body, time: Number(timestamp) });
  if (c === current) renderMessages(); else c.unread++;
  renderLists();
}

function note(text) {
  if (!current) return;
  current.messages.push({ note: text });
  renderMessages();
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  client = new StompJs.Client({
    brokerURL: `${scheme}://${location.host}/ws`,
    reconnectDelay: 1000,
    heartbeatIncoming: 10000,
    heartbeatOutgoing: 10000,
    beforeConnect: async () => {
      setState("connecting");
      const answer = await fetch(`/dev/token?user=${encodeURIComponent(me)}`).catch(() => null);
      if (answer && answer.ok) client.connectHeaders = { Authorization: `Bearer ${await answer.text()}` };
    },
    onConnect: () => {
      setState("connected");
      client.subscribe("/user/queue/chat", (m) => receive(conversation("person", m.headers.user), m));
      client.subscribe("/user/queue/errors", (m) => note(m.headers.message || m.body));
      for (const c of conversations.values()) if (c.kind === "room") subscribeRoom(c);
    },
    onStompError: (frame) => note(`The broker says: ${frame.headers.message}`),
    onWebSocketClose: () => setState("disconnected"),
  });
  client.activate();
}

function setState(state) {
  $("state").dataset.state = state;
  $("state").textContent = state;
  $("send-form").querySelector("button").disabled = state !== "connected";
}

function open(c) {
  current = c;
  c.unread = 0;
  $("title").textContent = c.kind === "room" ? `# ${c.name}` : c.name;
  $("destination").textContent = destinationOf(c);
  renderLists();
  renderMessages();
  $("text").focus();
}

const destinationOf = (c) => (c.kind === "room" ? roomTopic(c.name) : `/user/${userSegment(c.name)}/queue/chat`);

function send(text) {
  client.publish({ destination: destinationOf(current), body: text, headers: { "content-type": "text/plain" } });
  if (current.kind === "person" && current.name !== me) {
    current.messages.push({ user: me, text, time: Date.now() });
    renderMessages();
  }
}

function renderLists() {
  for (const [kind, list] of [["room", $("rooms")], ["person", $("people")]]) {
    list.replaceChildren(...[...conversations.values()].filter((c) => c.kind === kind).map((c) => {
      const button = document.createElement("button");
      button.textContent = kind === "room" ? `# ${c.name}` : c.name;
      button.setAttribute("aria-current", String(c === current));
      button.onclick = () => open(c);
      if (c.unread) {
        const badge = document.createElement("span");
        badge.className = "unread";
        badge.textContent = c.unread;
        button.append(badge);
      }
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
  }
}

function renderMessages() {
  $("messages").replaceChildren(...current.messages.map((m) => {
    const item = document.createElement("li");
    if (m.note) {
      item.className = "note";
      item.textContent = m.note;
      return item;
    }
    if (m.user === me) item.className = "mine";
    const who = document.createElement("b");
    who.textContent = m.user;
    const when = document.createElement("time");
    when.textContent = new Date(m.time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    item.append(who, m.text, when);
    return item;
  }));
  $("messages").scrollTop = $("messages").scrollHeight;
}

function onSubmit(form, input, action) {
  $(form).onsubmit = (event) => {
    event.preventDefault();
    const value = $(input).value.trim();
    if (!value) return;
    $(input).value = "";
    action(value);
  };
}

onSubmit("join-form", "name", (name) => {
  me = name;
  $("me").textContent = name;
  $("join").hidden = true;
  $("chat").hidden = false;
  document.title = `${name} · stompbox chat`;
  open(conversation("room", "lobby"));
  conversation("room", "random");
  renderLists();
  connect();
});
onSubmit("room-form", "room-name", (name) => open(conversation("room", name)));
onSubmit("person-form", "person-name", (name) => open(conversation("person", name)));
onSubmit("send-form", "text", (text) => (client && client.connected ? send(text) : note("Not connected; the message was not sent.")));
