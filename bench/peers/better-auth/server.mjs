// better-auth with its phone plugin, as its documentation sets it up: sessions in PostgreSQL, and
// a sender that sends nothing. Its limits are off: they are of one process's memory.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { phoneNumber } from "better-auth/plugins";
import pg from "pg";

const { PORT, DATABASE, SOCKET_FOLDER } = process.env;

const options = {
  baseURL: `http://127.0.0.1:${PORT}`,
  database: new pg.Pool({ host: SOCKET_FOLDER, user: "postgres", database: DATABASE, max: 10 }),
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { disabled: true },
  plugins: [phoneNumber({ sendOTP: () => {}, expiresIn: 86_400 })],
};
await (await getMigrations(options)).runMigrations();
const answer = toNodeHandler(betterAuth(options));

createServer((request, response) => {
  if (request.url === "/health/ready") return response.end("ok");
  return answer(request, response);
}).listen(PORT, "127.0.0.1");

process.on("SIGTERM", () => process.exit(0));
