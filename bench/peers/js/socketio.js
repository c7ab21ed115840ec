// Socket.IO with tokens, rooms, and recovery of the connection's state.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const secret = process.env.PEER_SECRET;
const server = createServer();
const recovery = Boolean(process.env.PEER_RECOVERY);
let redis;
if (recovery) {
  redis = createClient({ url: `redis://${process.env.PEER_REDIS}` });
  await redis.connect();
}
const io = new Server(server, {
  // Sessions and packets in Redis, which outlive a process.
  adapter: redis && createAdapter(redis),
  transports: ["websocket"],
  perMessageDeflate: false,
  maxHttpBufferSize: 1e6,
  connectionStateRecovery: recovery ? { maxDisconnectionDuration: 120000, skipMiddlewares: true } : undefined,
});

// verify returns the claims of an HS256 token.
function verify(token) {
  const [head, body, signature] = String(token).split(".");
  const wanted = createHmac("sha256", secret).update(head + "." + body).digest();
  const got = Buffer.from(signature || "", "base64url");
  if (got.length !== wanted.length || !timingSafeEqual(got, wanted)) throw new Error("invalid token");
  const claims = JSON.parse(Buffer.from(body, "base64url"));
  if (claims.exp * 1000 < Date.now()) throw new Error("the token has expired");
  return claims;
}

io.use((socket, next) => {
  try {
    socket.data.user = verify(socket.handshake.auth.token).sub;
    next();
  } catch (e) {
    next(e);
  }
});

io.on("connection", (socket) => {
  socket.on("join", (room, done) => {
    socket.join(room);
    done();
  });
  socket.on("publish", (room, body, done) => {
    io.to(room).emit("m", body);
    if (done) done();
  });
});

server.listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGTERM", () =>
  io.close(async () => {
    await redis?.close(); // which waits for what is being stored
    process.exit(0);
  }),
);
