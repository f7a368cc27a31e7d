// A certified OpenID provider that insists on PKCE: node strict_provider.mjs PACKAGES PORT REDIRECT_URI
// Whoever signs in is in the group that is called like them.
const [packages, port, redirect] = process.argv.slice(2);
const { default: Provider } = await import(`${packages}/oidc-provider/lib/index.js`);

const provider = new Provider(`http://localhost:${port}`, {
  clients: [
    {
      client_id: "rollcall",
      client_secret: "nobody asks for it",
      redirect_uris: [redirect],
      post_logout_redirect_uris: [redirect],
      backchannel_logout_uri: new URL("/auth/back-channel-logout", redirect).href,
      backchannel_logout_session_required: true,
    },
  ],
  features: { backchannelLogout: { enabled: true } },
  // Its own dispatcher refuses addresses of this machine.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  pkce: { required: () => true },
  conformIdTokenClaims: false,
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["groups"] },
  cookies: { keys: ["of the tests"] },
  findAccount: async (_, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, email: `${id}@x.io`, email_verified: true, groups: [id] }),
  }),
});
provider.listen(Number(port), "127.0.0.1");
