// better-auth's OpenID Connect provider, as its documentation sets it up: codes, sessions and tokens
// in PostgreSQL, ID tokens with RS256 as in the service, one client. Its limits are off: they are of
// one process's memory.
import { createServer } from "node:http";
import { oauthProvider } from "@better-auth/oauth-provider";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import { createHash } from "node:crypto";
import pg from "pg";

const { PORT, DATABASE, SOCKET_FOLDER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env;

const options = {
  baseURL: `http://127.0.0.1:${PORT}`,
  database: new pg.Pool({ host: SOCKET_FOLDER, user: "postgres", database: DATABASE, max: 10 }),
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { disabled: true },
  disabledPaths: ["/token"],
  plugins: [
    jwt({ disableSettingJwtHeader: true, jwks: { keyPairConfig: { alg: "RS256", modulusLength: 2048 } } }),
    oauthProvider({ loginPage: "/sign-in", consentPage: "/consent", silenceWarnings: { oauthAuthServerConfig: true } }),
  ],
};
await (await getMigrations(options)).runMigrations();
const auth = betterAuth(options);
const { adapter } = await auth.$context;
await adapter.create({
  model: "oauthClient",
  data: {
    clientId: CLIENT_ID,
    clientSecret: createHash("sha256").update(CLIENT_SECRET).digest("base64url"),
    name: "Shop",
    redirectUris: [REDIRECT_URI],
    scopes: ["openid", "offline_access"],
    grantTypes: ["authorization_code", "refresh_token"],
    responseTypes: ["code"],
    tokenEndpointAuthMethod: "client_secret_basic",
    skipConsent: true,
    createdAt: new Date(),
    updatedAt: new Date(),
  },
});
const answer = toNodeHandler(auth);

createServer((request, response) => {
  if (request.url === "/health/ready") return response.end("ok");
  return answer(request, response);
}).listen(PORT, "127.0.0.1");

process.on("SIGTERM", () => process.exit(0));
