// @auth/core, of Auth.js and NextAuth. Refreshing and signing out of the provider are left to the app.
import { createServer } from "node:http";
import { Auth } from "@auth/core";
import { page } from "./page.mjs";

const { ISSUER, APP_URL, CLIENT_ID, CLIENT_SECRET, PORT } = process.env;

const config = {
  basePath: "/auth",
  secret: "a secret of the session, long enough",
  trustHost: true,
  providers: [
    {
      id: "referral",
      name: "Referral",
      type: "oidc",
      issuer: ISSUER,
      clientId: CLIENT_ID,
      clientSecret: CLIENT_SECRET,
      style: { logo: "" }, // the default is a picture of another site
      checks: ["pkce", "state", "nonce"],
      authorization: { params: { scope: "openid phone" } },
      profile: (claims) => ({ id: claims.sub, name: claims.phone_number }),
    },
  ],
  callbacks: {
    jwt: ({ token, account }) => (account ? { ...token, idToken: account.id_token } : token),
    session: ({ session, token }) => ({ ...session, idToken: token.idToken }),
  },
};

createServer(async (request, response) => {
  const url = new URL(request.url, APP_URL);
  const { cookie } = request.headers;
  if (url.pathname.startsWith("/auth/")) return send(await call(request, url), response);
  const asked = new Request(new URL("/auth/session", APP_URL), { headers: { cookie: cookie ?? "" } });
  const session = await (await Auth(asked, config)).json();
  if (url.pathname === "/") {
    const html = page(session?.user?.name ?? null, { signIn: "/auth/signin" });
    return response.writeHead(200, { "Content-Type": "text/html" }).end(html);
  }
  if (url.pathname !== "/sign-out") return response.writeHead(404).end();
  const query = new URLSearchParams({
    id_token_hint: session.idToken,
    post_logout_redirect_uri: `${APP_URL}/`,
  });
  response.writeHead(303, {
    Location: `${ISSUER}/oauth/logout?${query}`,
    "Set-Cookie": "authjs.session-token=; Path=/; Max-Age=0",
  });
  response.end();
}).listen(Number(PORT), "127.0.0.1");

async function call(request, url) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = request.method === "POST" ? Buffer.concat(chunks) : undefined;
  return Auth(new Request(url, { method: request.method, headers: request.headers, body }), config);
}

async function send(from, response) {
  response.writeHead(from.status, [...from.headers].flat());
  response.end(Buffer.from(await from.arrayBuffer()));
}
