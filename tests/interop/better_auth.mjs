// better-auth with its generic OAuth plugin. It wants an email address of everybody.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import { genericOAuth } from "better-auth/plugins";
import { page } from "./page.mjs";

const { ISSUER, APP_URL, CLIENT_ID, CLIENT_SECRET, PORT } = process.env;

const auth = betterAuth({
  baseURL: APP_URL,
  secret: "a secret of the session, which is long enough",
  telemetry: { enabled: false },
  plugins: [
    genericOAuth({
      config: [
        {
          providerId: "referral",
          clientId: CLIENT_ID,
          clientSecret: CLIENT_SECRET,
          discoveryUrl: `${ISSUER}/.well-known/openid-configuration`,
          scopes: ["openid", "phone", "offline_access"],
          pkce: true,
          mapProfileToUser: (profile) => ({
            name: profile.phone_number,
            email: `${profile.sub}@people.invalid`,
          }),
        },
      ],
    }),
  ],
});
const handle = toNodeHandler(auth);

const script = `<script>
const call = (path, body) => fetch("/api/auth" + path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
}).then(async (response) => response.ok ? response.json() : document.body.append(await response.text()));
const on = (id, then) => {
  const link = document.getElementById(id);
  if (link) link.onclick = (event) => { event.preventDefault(); then(); };
};
on("sign-in", async () => { location = (await call("/sign-in/social", { provider: "referral", callbackURL: "/" })).url; });
on("refresh", async () => {
  const [account] = await (await fetch("/api/auth/list-accounts")).json();
  if (await call("/refresh-token", { accountId: account.id })) location = "/";
});
on("sign-out", async () => { location = (await call("/sign-out", { callbackURL: "/" })).url; });
</script>`;

createServer(async (request, response) => {
  if (request.url.startsWith("/api/auth/")) return handle(request, response);
  const session = await auth.api.getSession({ headers: fromNodeHeaders(request.headers) });
  response.writeHead(200, { "Content-Type": "text/html" });
  response.end(page(session?.user.name ?? null) + script);
}).listen(Number(PORT), "127.0.0.1");
