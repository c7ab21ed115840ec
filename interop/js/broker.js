// Runs a real stompbox for a test, on ports of its own.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";

// Node 20 has no WebSocket of its own that the clients would find.
globalThis.WebSocket ??= WebSocket;

const binary = fileURLToPath(new URL("../../bin/stompbox", import.meta.url));

// freePort finds one below those that the system gives to outgoing connections, so
// that it stays free while the broker on it is restarted.
export function freePort() {
  return new Promise((resolve, reject) => {
    const port = 10000 + Math.floor(Math.random() * 10000);
    const server = net.createServer();
    server.once("error", (error) => (error.code === "EADDRINUSE" ? resolve(freePort()) : reject(error)));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(port)));
  });
}

export class Broker {
  static async start(env = {}, args = []) {
    const b = new Broker();
    b.args = args;
    b.http = await freePort();
    b.tcp = await freePort();
    b.dir = mkdtempSync(path.join(os.tmpdir(), "stompbox-interop-"));
    b.env = env;
    await b.run();
    return b;
  }

  get url() { return `ws://127.0.0.1:${this.http}/ws`; }
  get page() { return `http://127.0.0.1:${this.http}/`; }

  async run() {
    this.log = "";
    this.process = spawn(binary, ["serve", "--dev", "--http", `127.0.0.1:${this.http}`, "--stomp", `127.0.0.1:${this.tcp}`, "--data-dir", this.dir, ...(this.args ?? [])],
      { env: { ...process.env, ...this.env }, stdio: ["ignore", "ignore", "pipe"] });
    this.process.stderr.on("data", (d) => { this.log += d; });
    this.exit = new Promise((resolve) => this.process.once("exit", resolve));
    for (let i = 0; i < 200; i++) {
      const answer = await fetch(`${this.page}readyz`, { signal: AbortSignal.timeout(1000) }).catch(() => null);
      if (answer?.ok) return;
      await sleep(50);
    }
    throw new Error(`the broker did not start: ${this.log}`);
  }

  // stop returns the exit code.
  async stop() {
    this.process.kill("SIGTERM");
    return this.exit;
  }

  async remove() {
    const code = await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
    return code;
  }

  async token(user) { return (await fetch(`${this.page}dev/token?user=${encodeURIComponent(user)}`)).text(); }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// A queue of what callbacks deliver, to be awaited one by one.
export class Inbox {
  items = [];
  waiting = [];
  put = (item) => { const w = this.waiting.shift(); if (w) w(item); else this.items.push(item); };
  next(ms = 10000) {
    if (this.items.length) return Promise.resolve(this.items.shift());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("nothing arrived")), ms);
      this.waiting.push((item) => { clearTimeout(timer); resolve(item); });
    });
  }
}
