// One connection for the page. It has nothing of React: docs/reconnecting.md explains each line.
import { Client, type IMessage, type IPublishParams, ReconnectionTimeMode, type StompSubscription } from "@stomp/stompjs";

export interface Room {
  show(message: IMessage): void;
  /** Messages are gone that the broker does not keep any more. */
  reload(): void;
}

interface Joined extends Room {
  destination: string;
  last?: string; // the id of the last message that was shown
  subscription?: StompSubscription;
}

export interface ConnectionOptions {
  brokerURL: string;
  fetchToken(): Promise<string>;
  onState(connected: boolean): void;
  onProblem(code: string, message: string): void;
}

export class Connection {
  readonly #rooms = new Set<Joined>();
  readonly #unconfirmed = new Map<string, IPublishParams>(); // by dedup-id, in the order of sending
  readonly #client: Client;

  constructor({ brokerURL, fetchToken, onState, onProblem }: ConnectionOptions) {
    this.#client = new Client({
      brokerURL,
      connectionTimeout: 5000,
      discardWebsocketOnCommFailure: true,
      reconnectDelay: 500 + Math.random() * 2000,
      reconnectTimeMode: ReconnectionTimeMode.EXPONENTIAL,
      maxReconnectDelay: 30_000,
      beforeConnect: async (client) => {
        try {
          client.connectHeaders = { Authorization: `Bearer ${await fetchToken()}` };
        } catch (error) {
          onProblem("no-token", String(error)); // the next try has another chance
        }
      },
      onConnect: () => {
        for (const room of this.#rooms) this.#subscribe(room);
        for (const id of this.#unconfirmed.keys()) this.#transmit(id);
        onState(true);
      },
      onWebSocketClose: () => onState(false),
      onStompError: ({ headers }) => {
        onProblem(headers.code ?? "", headers.message ?? "");
        if (headers["retry-after"]) return;
        // It will be refused each time, so do not send it again.
        this.#unconfirmed.delete(headers["receipt-id"] ?? "");
        for (const room of this.#rooms) if (receiptOf(room) === headers["receipt-id"]) this.#rooms.delete(room);
      },
    });
  }

  open(): void {
    this.#client.activate();
  }

  close(): Promise<void> {
    return this.#client.deactivate();
  }

  /** Joins a room, now and after each reconnect, until the function that it returns is called. */
  join(destination: string, room: Room): () => void {
    const joined: Joined = { destination, ...room };
    this.#rooms.add(joined);
    if (this.#client.connected) this.#subscribe(joined);
    return () => {
      this.#rooms.delete(joined);
      if (this.#client.connected) joined.subscription?.unsubscribe();
    };
  }

  /** Sends a message once, also where the connection is lost before it is confirmed. */
  send(destination: string, body: string): void {
    const id = crypto.randomUUID();
    this.#unconfirmed.set(id, { destination, body, headers: { receipt: id, "dedup-id": id } });
    if (this.#client.connected) this.#transmit(id);
  }

  #transmit(id: string): void {
    const message = this.#unconfirmed.get(id);
    if (!message) return;
    this.#client.watchForReceipt(id, () => this.#unconfirmed.delete(id));
    this.#client.publish(message);
  }

  #subscribe(room: Joined): void {
    const returning = room.last !== undefined;
    const receipt = receiptOf(room);
    let live = false; // once the past was replayed
    this.#client.watchForReceipt(receipt, ({ headers }) => {
      live = true;
      room.last = headers["last-event-id"] ?? room.last;
      if (returning && headers.replay === "incomplete") room.reload();
    });
    room.subscription = this.#client.subscribe(room.destination, (message) => {
      if (live && message.headers.replay === "incomplete") room.reload();
      room.show(message);
      room.last = message.headers["message-id"];
    }, { receipt, ...(room.last !== undefined ? { "last-event-id": room.last } : { "replay-last": "50" }) });
  }
}

const receipts = new WeakMap<Joined, string>();

/** receiptOf returns the receipt header of a room's SUBSCRIBE. */
function receiptOf(room: Joined): string {
  const receipt = receipts.get(room) ?? crypto.randomUUID();
  receipts.set(room, receipt);
  return receipt;
}
