// A backend that signs users in and issues tokens for the broker. It uses Node alone.
import { createHmac, randomBytes, scryptSync, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const secret = readFileSync("jwt.secret", "utf8").trim(); // the text itself, not decoded from base64
const seconds = Number(process.env.TOKEN_SECONDS ?? 600); // short, since a token cannot be taken back

// Your users are in a database, with a salt and a hash each.
const hash = (password, salt) => scryptSync(password, salt, 32);
const users = new Map(["alice", "bob"].map((name) => {
  const salt = randomBytes(16);
  return [name, { salt, hash: hash(`${name}'s password`, salt), rooms: ["lobby"] }];
}));
const sessions = new Map(); // id in the cookie -> name

// What a user may do is decided here, each time a token is issued.
function tokenFor(name) {
  const rooms = users.get(name).rooms.map((room) => `/topic/chat.${room}`);
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = encode({
    sub: name, exp: Math.floor(Date.now() / 1000) + seconds,
    stompbox: { send: rooms, subscribe: [...rooms, "/user/**"] },
  });
  const unsigned = `${encode({ alg: "HS256", typ: "JWT" })}.${claims}`;
  return `${unsigned}.${createHmac("sha256", secret).update(unsigned).digest("base64url")}`;
}

function signIn(name, password) {
  const user = users.get(name);
  if (!user || !timingSafeEqual(hash(password, user.salt), user.hash)) return undefined;
  const id = randomBytes(32).toString("base64url");
  sessions.set(id, name);
  return id;
}

async function body(request) {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 1000) throw new Error("the request is too large");
  }
  return JSON.parse(text);
}

const routes = {
  // The browser keeps the cookie; no script can read it, and no other site can use it.
  "POST /login": async (request, answer) => {
    const { name, password } = await body(request);
    const id = signIn(String(name), String(password));
    if (!id) return answer(401, { error: "wrong name or password" });
    answer(204, undefined, { "Set-Cookie": `session=${id}; HttpOnly; SameSite=Strict; Path=/; Max-Age=86400` }); // and Secure, with HTTPS
  },
  // A page calls this before each connection, and before its token expires.
  "POST /token": (request, answer) => {
    const name = sessions.get(/(?:^|; )session=([\w-]+)/.exec(request.headers.cookie ?? "")?.[1]);
    if (!name) return answer(401, { error: "sign in first" });
    answer(200, { token: tokenFor(name), seconds });
  },
};

createServer(async (request, response) => {
  const answer = (status, value, headers) => response
    .writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store", ...headers })
    .end(value && JSON.stringify(value));
  const route = routes[`${request.method} ${request.url}`];
  if (!route) return answer(404, { error: "no such page" });
  try {
    await route(request, answer);
  } catch {
    answer(400, { error: "the request is not as it should be" });
  }
}).listen(8092, "127.0.0.1", () => console.log("serving http://127.0.0.1:8092"));
