import { type FormEvent, useState } from "react";
import type { Connection } from "./connection";
import { useConnection, useRoom } from "./hooks";

export function App({ user }: { user: string }) {
  const { connection, connected, problem } = useConnection(user);
  const [room, setRoom] = useState("lobby");
  return (
    <main>
      <h1>{user} in the {room}</h1>
      <p role="status">{connected ? "connected" : "connecting…"} {problem}</p>
      <nav>
        {["lobby", "kitchen"].map((name) => (
          <button key={name} disabled={name === room} onClick={() => setRoom(name)}>{name}</button>
        ))}
      </nav>
      <Room connection={connection} destination={`/topic/chat.${room}`} />
    </main>
  );
}

function Room({ connection, destination }: { connection: Connection; destination: string }) {
  const { lines, incomplete } = useRoom(connection, destination);
  const [text, setText] = useState("");

  function submit(event: FormEvent) {
    event.preventDefault();
    if (text) connection.send(destination, text); // also while disconnected: it is sent later
    setText("");
  }

  return (
    <>
      {incomplete && <p>Some messages are missing. Load the room from your server.</p>}
      <ul>
        {lines.map((line) => <li key={line.id}>{line.user}: {line.text}</li>)}
      </ul>
      <form onSubmit={submit}>
        <input aria-label="message" value={text} onChange={(event) => setText(event.target.value)} />
        <button>Send</button>
      </form>
    </>
  );
}
