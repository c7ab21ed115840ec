// What components use.
import { useEffect, useMemo, useState } from "react";
import { Connection } from "./connection";

/** The connection of a user. It is open as long as the component is there. */
export function useConnection(user: string) {
  const [connected, setConnected] = useState(false);
  const [problem, setProblem] = useState("");
  const connection = useMemo(() => new Connection({
    brokerURL: `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`,
    // In production a backend of yours issues the tokens: see examples/tokens.
    fetchToken: async () => {
      const answer = await fetch(`/dev/token?user=${encodeURIComponent(user)}`, { signal: AbortSignal.timeout(5000) });
      if (!answer.ok) throw new Error(`the token server answered ${answer.status}`);
      return answer.text();
    },
    onState: (now) => {
      setConnected(now);
      if (now) setProblem("");
    },
    onProblem: (code, message) => setProblem(`${code}: ${message}`),
  }), [user]);
  useEffect(() => {
    connection.open();
    return () => void connection.close();
  }, [connection]);
  return { connection, connected, problem };
}

export interface Line {
  id: string;
  user: string;
  text: string;
}

/** The messages of a room, the newest 200 at most. */
export function useRoom(connection: Connection, destination: string) {
  const [lines, setLines] = useState<Line[]>([]);
  const [incomplete, setIncomplete] = useState(false);
  useEffect(() => {
    setLines([]);
    setIncomplete(false);
    return connection.join(destination, {
      show: ({ headers, body }) => {
        const line = { id: headers["message-id"] ?? "", user: headers.user ?? "", text: body };
        setLines((all) => [...all, line].slice(-200));
      },
      reload: () => setIncomplete(true),
    });
  }, [connection, destination]);
  return { lines, incomplete };
}
